// Installs what is missing, so that `npm start` and `npm test` work on a fresh clone. Any Node can run it.
'use strict'
const { createHash } = require('crypto')
const { existsSync, readFileSync, writeFileSync } = require('fs')
const { join } = require('path')
const { spawnSync } = require('child_process')

const root = join(__dirname, '..')
const marker = join(root, 'node_modules', '.deployctl-setup')
const lock = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex')
const isDone = existsSync(marker) && readFileSync(marker, 'utf8') === lock

if (!isDone) {
  console.error('Installing the packages (once)…')
  // Not `npm ci`: it insists on the optional binaries of every platform, and registries may lack some.
  const args = ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error']
  const { status } = spawnSync('npm', args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) process.exit(status === null ? 1 : status)
  writeFileSync(marker, lock)
}
