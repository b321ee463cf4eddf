import prettyMs from 'pretty-ms'

const greeting = 'Welcome!'
const escape = (text) => text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`)

const since = (at) => `${prettyMs(Math.max(0, Date.now() - Date.parse(at)), { compact: true })} ago`

export const page = (entries, version) => `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Guestbook</title>
<style>body{font:1rem/1.5 system-ui;max-width:40rem;margin:2rem auto;padding:0 1rem}footer{color:#666}</style>
<h1>Guestbook</h1>
<p>${greeting}</p>
${entries.map(({ name, text, at }) => `<p><b>${escape(name)}</b>: ${escape(text)} <small>${since(at)}</small></p>`).join('\n') || '<p>Nobody has signed yet.</p>'}
<footer>release ${escape(version)}</footer>
</html>
`
