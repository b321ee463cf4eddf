import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generateKey } from '../../shared/sshsig/generate-key.ts'
import { runCli, type Ran, type Rig } from './rig.ts'

/** Somebody else with a home, keys and a checkout of their own. */
export type SecondPerson = {
  name: string
  dir: string
  project: string
  loginKey: string
  env: NodeJS.ProcessEnv
  cli(...args: string[]): Promise<Ran>
  /** Copies the project of the first person as it is now, with deploy.yaml naming this person's key. */
  checkOut(): void
}

export function secondPerson({ home, project }: Pick<Rig, 'home' | 'project'>, name: string): SecondPerson {
  const dir = join(home.dir, name)
  mkdirSync(dir)
  const loginKey = join(dir, 'login')
  const { privateKey, publicKey } = generateKey(`${name}'s login`)
  writeFileSync(loginKey, privateKey, { mode: 0o600 })
  writeFileSync(`${loginKey}.pub`, `${publicKey}\n`)
  writeFileSync(
    join(dir, 'ssh_config'),
    `Host *\n  UserKnownHostsFile ${join(home.dir, 'known_hosts')}\n  GlobalKnownHostsFile none\n  IdentityAgent none\n  IdentityFile ${loginKey}\n`,
  )
  const env = {
    ...home.env,
    HOME: dir,
    DEPLOYCTL_HOME: join(dir, 'home'),
    DEPLOYCTL_SSH_CONFIG: join(dir, 'ssh_config'),
  }
  const own = join(dir, 'project')
  mkdirSync(own)
  return {
    name,
    dir,
    project: own,
    loginKey,
    env,
    cli: (...args) => runCli(own, env, args),
    checkOut() {
      cpSync(project, own, { recursive: true })
    },
  }
}
