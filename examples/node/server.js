import { readFile } from 'node:fs/promises'
import { listen, onDrain } from 'deployctl-service'

const version = await readFile('.deployctl-version', 'utf8').then(
  (text) => text.trim(),
  () => 'development',
)
let count = 0

// Under deployctl on the socket that the host holds; elsewhere on port 8080.
listen(
  (request, response) => {
    count += 1
    response.end(`${version} has answered ${count} requests\n`)
  },
  { port: 8080 },
)

onDrain(({ deadline }) => console.log(`${version} ends, at ${deadline.toISOString()} at the latest`))
