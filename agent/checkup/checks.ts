import { statfsSync } from 'node:fs'
import type { Root } from '../../shared/formats/root.ts'
import type { Finding, ServiceState } from '../../shared/wire/api.ts'

const enoughBytes = 512 * 1024 * 1024
const enoughInodes = 20_000
const dayMs = 24 * 60 * 60 * 1000
const rootWarningDays = 60
const shortDigest = 12

/** Room for one more release of a usual size. */
export function checkDisk(dir: string): Finding[] {
  const { bavail, bsize, blocks, ffree, files } = statfsSync(dir)
  const free = bavail * bsize
  const percent = Math.round((bavail / blocks) * 100)
  const remedy = 'Make room, or keep fewer releases: `keepReleases` in agent.json.'
  const disk = {
    ok: free >= enoughBytes,
    what: `${Math.round(free / 1_000_000)} MB (${percent} %) free under ${dir}`,
    remedy,
  }
  if (files === 0) return [disk]
  return [disk, { ok: ffree >= enoughInodes, what: `${ffree} inodes free under ${dir}`, remedy }]
}

export function checkRoot({ version, expires, keys }: Root, now: string): Finding[] {
  const days = Math.floor((Date.parse(expires) - Date.parse(now)) / dayMs)
  return [
    {
      ok: days > rootWarningDays,
      what: `it trusts ${keys.length} ${keys.length === 1 ? 'key' : 'keys'} by root ${version}, for ${days} more days`,
      remedy: 'Renew it before that day: deployctl trust renew',
    },
  ]
}

/** What runs against what was committed, and slots that nobody needs. */
export function checkDrift(state: ServiceState): Finding[] {
  const { service, active, version, instances, deploying } = state
  const name = `${service} ${version ?? active?.slice(0, shortDigest) ?? ''}`
  if (deploying) return [{ ok: true, what: `${service}: a deployment is under way (${deploying.state})` }]
  const own = instances.filter(({ release }) => release === active)
  const others = instances.filter(({ release }) => release !== active)
  const leftover = others.map(({ slot, release }) => ({
    ok: false,
    what: `${service}: slot ${slot} runs ${release.slice(0, shortDigest)}, which is not committed`,
    remedy: `Push ${service} again, or stop that slot on the host.`,
  }))
  const [one] = own
  if (!one || one.state !== 'running')
    return [
      {
        ok: false,
        what: `${name} is committed and ${one ? `in state ${one.state}` : 'does not run'}`,
        remedy: `See \`deployctl logs\`; the agent starts it again when it starts: systemctl restart deploy-agent.`,
      },
      ...leftover,
    ]
  const restarts = one.restarts > 0 ? `, started again ${one.restarts} times` : ''
  return [
    {
      ok: one.restarts === 0,
      what: `${name} runs in slot ${one.slot}${restarts}`,
      remedy: 'See `deployctl logs`.',
    },
    ...leftover,
  ]
}
