// The same service without deployctl: ends as the guides of Express and pm2 say.
import { createServer } from 'node:http'
import { readFileSync } from 'node:fs'
const version = readFileSync(new URL('./version.txt', import.meta.url), 'utf8').trim()
const server = createServer((request, response) => response.end(`${version} ${'x'.repeat(200)}\n`))
server.listen(Number(process.env.PORT))
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => server.close(() => process.exit(0)))
