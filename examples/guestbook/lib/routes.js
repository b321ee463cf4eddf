import { page } from './page.js'

const routes = {
  'GET /': ({ response, book, version }) => send(response, 200, page(book.list(), version), 'text/html'),
  'GET /healthz': ({ response, version }) => json(response, 200, { ok: true, version }),
  'GET /version': ({ response, version }) => send(response, 200, `${version}\n`, 'text/plain'),
  'GET /entries': ({ response, book }) => json(response, 200, book.list()),
  'POST /entries': async ({ request, response, book }) => {
    const { name, text } = JSON.parse(await body(request))
    if (typeof name !== 'string' || typeof text !== 'string' || !text)
      return json(response, 400, { error: 'an entry has a name and a text' })
    json(response, 201, book.sign(name || 'somebody', text))
  },
}

export async function route(context) {
  const { request, response } = context
  const { pathname } = new URL(request.url, 'http://localhost')
  const handler = routes[`${request.method} ${pathname}`]
  if (!handler) return json(response, 404, { error: 'no such page' })
  try {
    await handler(context)
  } catch (error) {
    json(response, error instanceof SyntaxError ? 400 : 500, { error: error.message })
  }
}

const json = (response, status, value) => send(response, status, JSON.stringify(value), 'application/json')

function send(response, status, text, type) {
  response.writeHead(status, { 'content-type': `${type}; charset=utf-8` }).end(text)
}

async function body(request) {
  let text = ''
  for await (const chunk of request) {
    text += chunk
    if (text.length > 10_000) throw new SyntaxError('too long')
  }
  return text
}
