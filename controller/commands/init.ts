import { access, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DeployError } from '../../shared/errors.ts'
import { fingerprintOf, publicKeyBlob } from '../../shared/sshsig/public-key.ts'
import type { Command } from '../cli/command.ts'
import { keyFlag, keyOptions } from '../cli/workspace.ts'
import { detectProject, starterConfig } from '../config/starter.ts'
import { configName, parseConfig } from '../config/load.ts'
import { createFleet, hasFleet, openFleet } from '../identity/fleet.ts'

export const initCommand: Command = {
  name: 'init',
  summary: 'write a first deploy.yaml and set up your signing key',
  flags: [keyFlag],
  examples: ['deployctl init', 'deployctl init --key ~/.ssh/id_ed25519'],
  async run(parsed, context) {
    const { cwd, configDir, out } = context
    const file = join(cwd, configName)
    const isThere = await access(file).then(
      () => true,
      () => false,
    )
    if (isThere && hasFleet(configDir)) throw new DeployError('E_CONFIG_EXISTS', { file })
    if (!isThere) {
      const found = await detectProject(cwd)
      const text = starterConfig(found)
      parseConfig(text, configName)
      await writeFile(file, text, { flag: 'wx' })
      out.line(`wrote ${configName}: ${found.kind}`)
    }
    if (hasFleet(configDir)) {
      const { root } = openFleet(configDir)
      const keys = root.keys.map(({ owner, key }) => `${owner} ${fingerprintOf(publicKeyBlob(key))}`)
      out.line(`fleet ${root.fleet.slice(0, 8)} is yours already; it trusts ${keys.join(', ')}`)
    } else {
      const { fleet, fingerprint, keyPath } = await createFleet(keyOptions(parsed, context))
      out.line(`made fleet ${fleet.root.fleet.slice(0, 8)} in ${configDir}`)
      out.line(`signing key ${keyPath}  ${fingerprint}`)
      out.line('Keep a copy of that directory: who has the key can deploy, and without it nobody can.')
    }
    out.line('')
    out.line('Next: look at deploy.yaml, then make a server ready and push:')
    out.line('  deployctl host add root@YOUR-SERVER')
    out.line('  deployctl push')
    out.event({
      type: 'initialised',
      file,
      configDir,
      root: openFleet(configDir).current.bytes.toString(),
    })
  },
}
