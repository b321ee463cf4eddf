import { DeployError } from '../../shared/errors.ts'
import type { Command, Parsed } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import { environmentFlag, hostFlag, onFlag, hostKeyFlag, keyFlag } from '../cli/workspace.ts'

const actions = [
  'show',
  'init',
  'key',
  'join',
  'add-key',
  'revoke',
  'rotate',
  'renew',
  'threshold',
  'policy',
  'sign',
  'recover',
  'publish',
] as const

export const trustCommand: Command = {
  name: 'trust',
  summary: 'who may sign what in this fleet, and how that changes',
  args: [
    { arg: '<action>', summary: 'what to do', choices: actions },
    {
      arg: '[what...]',
      summary:
        'add-key: OWNER KEY.pub; revoke: owners or fingerprints; threshold: ROLE N; sign: FILE; join: [user@]host[:port]',
    },
  ],
  flags: [
    {
      flag: '--roles <names>',
      summary: 'add-key: release,order when left out; also root, schedule, recovery',
    },
    { flag: '--until <date>', summary: 'add-key: signs until then (2027-01-31)' },
    { flag: '--services <names>', summary: 'add-key, policy: only these; a name may end with *' },
    { flag: '--hosts <names>', summary: 'add-key, policy: only these; a name may end with *' },
    {
      flag: '--login <files>',
      summary: 'add-key: public keys with which the owner logs in, comma-separated',
    },
    { flag: '--approvals <count>', summary: 'policy: people who must agree, the one who pushes counted in' },
    {
      flag: '--windows <times>',
      summary: "policy: when it may be deployed: 'mon-fri 09:00-17:00 Europe/Berlin; sat 08:00-12:00 UTC'",
    },
    { flag: '--clean', summary: 'policy: only releases of a commit without changes' },
    { flag: '--years <count>', summary: 'renew, rotate: for how long the root is good', default: '5' },
    { flag: '--new-key <file>', summary: 'rotate: this key instead of one that is made' },
    { flag: '--recovery-key <file>', summary: 'recover: the key in the role recovery' },
    { flag: '--lost <names>', summary: 'recover: owners or fingerprints of what was lost; else your own' },
    { flag: '--allowed-signers', summary: 'show: the file that `ssh-keygen -Y verify` reads' },
    { flag: '-o, --output <file>', summary: 'where a root is put that others must sign too' },
    { flag: '-y, --yes', summary: 'do not ask' },
    environmentFlag,
    hostFlag,
    onFlag,
    keyFlag,
    hostKeyFlag,
  ],
  examples: [
    'deployctl trust show',
    'deployctl trust key                                  # your public key, for who adds you',
    'deployctl trust add-key ben ben.pub --login ben_login.pub',
    "deployctl trust policy --services shop --hosts 'web*' --approvals 2 --clean",
    "deployctl trust policy --services shop --hosts '*' --windows 'mon-thu 09:00-16:00 Europe/Berlin'",
    'deployctl trust revoke ben && deployctl trust publish',
    'deployctl trust show --allowed-signers > allowed_signers',
  ],
  async run(parsed: Parsed, context: CliContext) {
    const [action] = parsed.args
    const rest = { ...parsed, args: parsed.args.slice(1) }
    if (action === 'show') return (await import('./trust-show.ts')).showTrust(rest, context)
    const change = () => import('./trust-change.ts')
    const people = () => import('./trust-people.ts')
    if (action === 'init') return (await people()).initTrust(rest, context)
    if (action === 'key') return (await people()).showKey(rest, context)
    if (action === 'join') return (await people()).joinFleet(rest, context)
    if (action === 'publish') return (await people()).publishRoot(rest, context)
    if (action === 'sign') return (await change()).signRoot(rest, context)
    if (action === 'recover') return (await change()).recoverRoot(rest, context)
    if (action === 'rotate') return (await change()).rotateKey(rest, context)
    const edits = await change()
    const edit = { 'add-key': edits.addKey, revoke: edits.revoke, renew: edits.renew }[action ?? '']
    if (edit) return edit(rest, context)
    if (action === 'threshold') return edits.setThreshold(rest, context)
    if (action === 'policy') return edits.setPolicy(rest, context)
    throw new DeployError('E_USAGE', { detail: `trust knows ${actions.join(', ')}; not "${action}".` })
  },
}
