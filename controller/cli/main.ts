import { commands } from '../commands/all.ts'
import { version } from '../../shared/version.ts'
import { runProgram } from './program.ts'

// Whoever reads may stop reading (`| head`): what is under way goes on all the same.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
const code = await runProgram(process.argv.slice(2), commands, version)
// Connections that linger must not keep the program from ending.
setImmediate(() => process.exit(code))
