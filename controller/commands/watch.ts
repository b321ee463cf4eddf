import { atOnce } from '../config/rollout-policy.ts'
import { styleText } from 'node:util'
import { DeployError } from '../../shared/errors.ts'
import { version } from '../../shared/version.ts'
import { text, type Command, type Parsed } from '../cli/command.ts'
import type { Output } from '../cli/context.ts'
import {
  environmentFlag,
  hostFlag,
  onFlag,
  hostKeyFlag,
  keyFlag,
  openWorkspace,
  signerFor,
} from '../cli/workspace.ts'
import { duration } from '../cli/words.ts'
import type { Config } from '../config/schema.ts'
import { HotFilesMaker } from '../release/hot-files.ts'
import { Scanner } from '../release/scan.ts'
import type { Gate } from '../watch/gates.ts'
import type { Round, WatchEvent } from '../watch/watch.ts'
import { shortList } from '../../shared/plan/changes.ts'

const gateLinesShown = 20

export const watchCommand: Command = {
  name: 'watch',
  summary: 'push whenever a file is saved; the running program takes it in where it can',
  flags: [
    environmentFlag,
    hostFlag,
    onFlag,
    { flag: '--skip <names>', summary: 'leave out these gates of deploy.yaml, separated by commas' },
    keyFlag,
    hostKeyFlag,
  ],
  examples: ['deployctl watch -e staging', 'deployctl watch -e staging --skip tests'],
  async run(parsed, context) {
    const workspace = await openWorkspace(parsed, context)
    using history = workspace.history
    const { out, cacheDir } = context
    const { project, target, sessions, fleet } = workspace
    if (target.isProtected)
      throw new DeployError('E_WATCH_PROTECTED', { environment: target.environment.name })
    if (target.hosts.length === 0)
      throw new DeployError('E_NO_HOSTS', { environment: target.environment.name })
    const gates = gatesOf(project.config, parsed)
    const signer = await signerFor(parsed, context)
    const { Changes } = await import('../watch/changes.ts')
    const { watchAndPush } = await import('../watch/watch.ts')
    await using changes = new Changes({ dir: project.dir, exclude: excludedFrom(project.config) })
    const over = new AbortController()
    process.once('SIGINT', () => over.abort()).once('SIGTERM', () => over.abort())
    const scanner = new Scanner(cacheDir)
    const hotFiles = new HotFilesMaker(cacheDir)
    try {
      await changes.ready()
      const hosts = target.hosts.map(({ name }) => name)
      const guarded = gates.length > 0 ? `, after ${gates.map(({ name }) => name).join(' and ')}` : ''
      out.line(
        `watching ${project.dir} for ${shortList(hosts)} (${target.environment.name})${guarded}; Ctrl-C ends it`,
      )
      out.event({ type: 'watching', dir: project.dir, hosts, gates: gates.map(({ name }) => name) })
      // Whoever saves wants to see it at once, and is no canary.
      await watchAndPush({
        project,
        target: { ...target, rollout: atOnce(target.rollout) },
        history,
        sessions,
        signer,
        cacheDir,
        gates,
        changes,
        signal: over.signal,
        tell: (event) => tell(event, out),
        build: {
          fleet: fleet.root.fleet,
          signer,
          cacheDir,
          scanner,
          hotFiles,
          builder: `deployctl/${version}`,
          onOutput: () => {},
        },
      })
    } finally {
      await Promise.all([scanner.close(), hotFiles.save()])
    }
  },
}

/** @throws DeployError E_USAGE for a gate that is to be skipped and is none */
function gatesOf({ watch }: Config, parsed: Parsed): Gate[] {
  const gates = Object.entries(watch?.gates ?? {}).map(([name, argv]) => ({ name, argv }))
  const skipped = (text(parsed, 'skip') ?? '').split(',').filter(Boolean)
  const unknown = skipped.find((name) => !gates.some((gate) => gate.name === name))
  if (unknown !== undefined)
    throw new DeployError('E_USAGE', {
      detail: `--skip ${unknown}: deploy.yaml has ${gates.length > 0 ? `the gates ${gates.map(({ name }) => name).join(', ')}` : 'no gates'}.`,
    })
  return gates.filter(({ name }) => !skipped.includes(name))
}

/** What the build writes would set it going for ever. */
function excludedFrom({ build, watch }: Config): string[] {
  const output =
    build?.command && build.output !== undefined ? [`/${build.output.replace(/^\.?\/+|\/+$/g, '')}/`] : []
  return [...output, ...(build?.exclude ?? []), ...(watch?.ignore ?? [])]
}

function tell(event: WatchEvent, out: Output) {
  if (event.type === 'push') return out.event(event.event)
  if (event.type === 'begin') return out.event(event)
  const { release, reports, gates, error, ...rest } = event
  out.event({
    ...rest,
    release: release?.digest ?? null,
    version: release?.manifest.version ?? null,
    gates: gates.map(({ name, ok, status, ms }) => ({ name, ok, status, ms })),
    hosts: reports.map(({ host, result, strategy }) => ({ host, result, strategy })),
    error: error?.toJSON() ?? null,
  })
  if (out.json) return
  out.line(describeRound(event))
  if (error) showFailure(event, out)
}

/** One line: what was saved, what became of it, and how long that took. */
function describeRound({ paths, reports, error, builtMs, liveMs, ms }: Round): string {
  const at = new Date().toTimeString().slice(0, 8)
  const what = shortList(paths)
  if (error) return `${at}  ${what}  ${styleText('red', '✘ not pushed')}  ${duration(ms)}`
  const done = reports.filter(({ result }) => result === 'committed')
  if (done.length === 0) return `${at}  ${what}  ${styleText('dim', 'nothing to push')}  ${duration(ms)}`
  const how = [...new Set(done.map(({ strategy }) => strategy))].join(', ')
  const times = `${duration(liveMs ?? ms)} after the save (built ${duration(builtMs ?? 0)}, committed ${duration(ms)})`
  return `${at}  ${what}  ${styleText('green', `✔ live by ${how}`)}  ${times}`
}

/** At once, and where it is wrong; the old code goes on. */
function showFailure({ gates, reports, error }: Round, out: Output) {
  const failed = gates.find(({ ok }) => !ok)
  if (failed) for (const line of failed.output.split('\n').slice(-gateLinesShown)) out.note(`    │ ${line}`)
  for (const report of reports)
    if (report.error) out.note(`  ${report.host}: ${report.error.code}  ${report.error.message}`)
  if (error) out.error(error)
}
