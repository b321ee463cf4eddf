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

// An ordinary server: `adopt: true` in deploy.yaml sees to it that no request is lost between two releases.
server.listen(Number(process.env.PORT ?? 8080), () => console.log(`guestbook ${version} ready`))
