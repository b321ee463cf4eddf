// Runs a program on a Node that it can run on: the one at hand when it is new enough, else the one that
// came with the package. Old syntax on purpose: any Node must be able to read this file.
'use strict'
const { existsSync } = require('fs')
const { join, sep } = require('path')
const { spawnSync } = require('child_process')
const { name, version } = require('../package.json')

const oldestNode = 24
const root = join(__dirname, '..')

/** The sources in a clone, the bundle in an installed package, where Node does not strip types. */
function entryOf(program, bundle) {
  const source = join(root, program)
  const isInstalled = root.split(sep).includes('node_modules')
  return !isInstalled && existsSync(source) ? source : join(root, 'dist', bundle)
}

module.exports = function launch(self, program, bundle) {
  if (process.argv.length === 3 && process.argv[2] === '--version') return console.log(version)
  if (Number(process.versions.node.split('.')[0]) >= oldestNode) {
    // What starts itself again, as the agent does, must find the program and not this launcher.
    process.argv[1] = entryOf(program, bundle)
    // A third of the time to start is compiling what was compiled the last time.
    require('module').enableCompileCache()
    return import(process.argv[1]).catch((error) => {
      console.error(error)
      process.exitCode = 1
    })
  }
  const node = join(root, 'node_modules', 'node', 'bin', 'node')
  const found = existsSync(node) ? node : require.resolve('node/bin/node')
  const { status, signal, error } = spawnSync(found, [self, ...process.argv.slice(2)], { stdio: 'inherit' })
  if (error) console.error(`${name} needs Node ${oldestNode}: ${error.message}`)
  if (signal) process.kill(process.pid, signal)
  process.exitCode = status === null ? 1 : status
}
