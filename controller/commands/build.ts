import { join } from 'node:path'
import { text, type Command } from '../cli/command.ts'
import { environmentFlag, keyFlag, openWorkspace } from '../cli/workspace.ts'
import { saveRelease } from '../release/saved.ts'
import { describeRelease, releaseFor, statementFlag } from './push.ts'

export const buildCommand: Command = {
  name: 'build',
  summary: 'make and sign a release, and save it for a later push',
  flags: [
    environmentFlag,
    { flag: '-o, --output <dir>', summary: 'where to save it; .deployctl/VERSION when left out' },
    { flag: '--as <version>', summary: 'version instead of the one from git' },
    statementFlag,
    keyFlag,
  ],
  examples: ['deployctl build', 'deployctl build -o /tmp/release && deployctl push --from /tmp/release'],
  async run(parsed, context) {
    const workspace = await openWorkspace(parsed, context)
    using _ = workspace.history
    const release = await releaseFor(parsed, context, workspace)
    const dir =
      text(parsed, 'output') ??
      join(workspace.project.dir, '.deployctl', release.manifest.version.replaceAll('/', '-'))
    await saveRelease(release, dir)
    context.out.line(describeRelease(release))
    context.out.line(`saved in ${dir}; check it with \`deployctl verify ${dir}\``)
    context.out.event({ type: 'release', release: release.digest, version: release.manifest.version, dir })
  },
}
