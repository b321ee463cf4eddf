import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fromNpm } from './npm.ts'

/** One service under pm2's cluster mode, which is what its `reload` is for. */
export function startPm2(server: string, port: number, home: string) {
  const dir = fromNpm('pm2', ['pm2'])
  const program = join(dir, 'node_modules/pm2/bin/pm2')
  const env = { ...process.env, PM2_HOME: home, PORT: String(port), NODE_OPTIONS: '' }
  const pm2 = (...args: string[]) =>
    execFileSync(process.execPath, [program, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  pm2('start', server, '--name', 'bench', '-i', '1')
  const { version } = JSON.parse(readFileSync(join(dir, 'node_modules/pm2/package.json'), 'utf8')) as {
    version: string
  }
  /** For a shell. */
  const command = (...args: string[]) =>
    ['env', `PM2_HOME=${home}`, process.execPath, program, ...args].join(' ')
  return { version, command, reload: () => void pm2('reload', 'bench'), end: () => void pm2('kill') }
}
