#!/usr/bin/env node
// Runs under whatever Node there is, so it is plain CommonJS: finds Node 24 and hands over to it.
'use strict'
const { version } = require('../package.json')
const args = process.argv.slice(2)
if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) {
  console.log(version)
} else if (Number(process.versions.node.split('.')[0]) >= 24) {
  import('../controller/cli/main.ts')
} else {
  const { join } = require('node:path')
  const { spawnSync } = require('node:child_process')
  const node = join(require.resolve('node/package.json'), '..', 'bin', 'node')
  const { status, signal, error } = spawnSync(node, [__filename, ...args], { stdio: 'inherit' })
  if (error) throw error
  if (signal) process.kill(process.pid, signal)
  process.exitCode = status ?? 1
}
