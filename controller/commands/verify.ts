import type { Command } from '../cli/command.ts'
import { short } from '../cli/words.ts'
import { openFleet } from '../identity/fleet.ts'
import { openSaved, readSavedContent } from '../release/saved.ts'

export const verifyCommand: Command = {
  name: 'verify',
  summary: 'check a saved release: signature, paths, every byte',
  args: [{ arg: '<release>', summary: 'the directory that `deployctl build` saved' }],
  examples: [
    'deployctl verify .deployctl/v1.2',
    'ssh-keygen -Y verify -f allowed_signers -I NAME -n deployctl-release-v1 -s release.json.sig < release.json',
  ],
  async run({ args: [dir = ''] }, { configDir, out }) {
    const { root } = openFleet(configDir)
    const opened = await openSaved(dir, root)
    const contents = await readSavedContent(dir, opened, false)
    const { manifest, digest, signers } = opened
    out.line(`good: ${manifest.service} ${manifest.version}  ${short(digest)}`)
    for (const { owner, fingerprint } of signers) out.line(`  signed by ${owner}  ${fingerprint}`)
    out.line(`  ${manifest.files.length} files, ${contents.size} contents, all as signed`)
    out.event({
      type: 'verified',
      release: digest,
      version: manifest.version,
      signers,
      files: manifest.files.length,
    })
  },
}
