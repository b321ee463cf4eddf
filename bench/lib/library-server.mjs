// The same service with the library.
import { readFileSync } from 'node:fs'
import { listen } from './library/index.mjs'
const version = readFileSync('version.txt', 'utf8').trim()
listen((request, response) => response.end(`${version} ${'x'.repeat(200)}\n`))
