import { commands } from '../commands/all.ts'
import { version } from '../../shared/version.ts'
import { runProgram } from './program.ts'

const code = await runProgram(process.argv.slice(2), commands, version)
// Connections that linger must not keep the program from ending.
setImmediate(() => process.exit(code))
