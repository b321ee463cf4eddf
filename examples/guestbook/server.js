import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import { route } from './lib/routes.js'
import { openBook } from './lib/book.js'

const version = await readFile(new URL('./.deployctl-version', import.meta.url), 'utf8').then(
  (text) => text.trim(),
  () => 'development',
)
const book = openBook(process.env.GUESTBOOK_LIMIT)
const server = createServer((request, response) => route({ request, response, book, version }))

// Under deployctl (or systemd) the listening socket is there already, as fd 3; else listen ourselves.
const inherited = Number(process.env.LISTEN_FDS ?? 0) > 0
server.listen(inherited ? { fd: 3 } : { port: Number(process.env.PORT ?? 8080) }, () =>
  console.log(`guestbook ${version} ready`),
)

process.once('SIGTERM', () => {
  console.log('draining')
  server.close(() => process.exit(0))
  server.closeIdleConnections()
})
