import { DeployError } from '../../shared/errors.ts'
import { fingerprintOf, publicKeyBlob } from '../../shared/sshsig/public-key.ts'
import { checkRootTime, openChain } from '../../shared/trust/root.ts'
import { writeRoot } from '../../shared/trust/roots.ts'
import { askYes, interactiveAsking, isInteractive } from '../cli/ask.ts'
import { text, type Parsed } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import { keyOptions, openHistory, sessionOptions, targetOf } from '../cli/workspace.ts'
import { loadProject } from '../config/load.ts'
import { hostTarget } from '../config/target.ts'
import { chooseKey, createFleet, hasFleet, openFleet, openSigner } from '../identity/fleet.ts'
import { openAll } from '../push/deploy.ts'
import { readHello, readRoots } from '../push/session.ts'
import { ChannelClient } from '../transport/channel-client.ts'
import { connectHost } from '../transport/connect.ts'
import { describeRoot } from '../identity/describe-root.ts'

const now = () => new Date().toISOString()

export async function initTrust(parsed: Parsed, context: CliContext): Promise<void> {
  const { configDir, out } = context
  if (hasFleet(configDir)) throw new DeployError('E_FLEET_EXISTS', { dir: configDir })
  const { fleet, keyPath } = await createFleet(keyOptions(parsed, context))
  for (const line of describeRoot(fleet.root)) out.line(line)
  out.line(`signing key ${keyPath}`)
  out.line('A second key, kept elsewhere, brings the fleet back when this one is lost:')
  out.line(
    '  ssh-keygen -t ed25519 -f recovery && deployctl trust add-key recovery recovery.pub --roles recovery',
  )
  out.event({ type: 'initialised', configDir, fleet: fleet.root.fleet })
}

/** One's own public key, made when there is none: what somebody else adds to the root. */
export async function showKey(parsed: Parsed, context: CliContext): Promise<void> {
  const options = keyOptions(parsed, context)
  const path = await chooseKey(options)
  const { publicKey, fingerprint } = await openSigner(options)
  context.out.event({ type: 'key', publicKey, fingerprint, path })
  context.out.line(publicKey)
  context.out.note(`${path}  ${fingerprint}`)
}

/** Takes the fleet's roots from one of its hosts; which fleet that is, is trusted at first sight. */
export async function joinFleet(parsed: Parsed, context: CliContext): Promise<void> {
  const [address] = parsed.args
  if (address === undefined)
    throw new DeployError('E_USAGE', { detail: 'trust join needs a host of the fleet.' })
  const { configDir, out, env } = context
  if (hasFleet(configDir)) throw new DeployError('E_FLEET_EXISTS', { dir: configDir })
  const asking = out.json ? {} : interactiveAsking()
  const target = hostTarget(address, address)
  const hostKey = text(parsed, 'hostKey')
  const client = new ChannelClient(await connectHost(target, { configDir, env, asking, hostKey }), address)
  try {
    const { host } = await readHello(client, address)
    const { roots } = await readRoots(client, 0)
    const chain = openChain(roots)
    const newest = chain.at(-1)
    if (!newest) throw new DeployError('E_HOST_ANSWER', { host, why: 'it knows no root' })
    checkRootTime(newest.root, now())
    for (const line of describeRoot(newest.root)) out.line(line)
    const question = `Trust fleet ${newest.root.fleet.slice(0, 8)}, as ${host} shows it?`
    const isAgreed =
      parsed.flags['yes'] === true || (isInteractive() && !out.json && (await askYes(question)))
    if (!isAgreed) throw new DeployError('E_NOT_CONFIRMED', { what: question, flag: '--yes' })
    await chooseKey(keyOptions(parsed, context))
    for (const root of chain) writeRoot(configDir, root)
    const fleet = openFleet(configDir)
    out.line(`joined fleet ${fleet.root.fleet.slice(0, 8)} at root ${fleet.root.version}`)
    const { publicKey } = await openSigner(keyOptions(parsed, context))
    const own = fleet.root.keys.find(({ key }) => key === publicKey)
    out.line(
      own
        ? `you are ${own.owner}: ${own.roles.join(', ')}`
        : `the root does not name your key yet; have it added: deployctl trust add-key NAME '${publicKey}'`,
    )
    out.event({ type: 'joined', fleet: fleet.root.fleet, version: fleet.root.version })
  } finally {
    client.close()
  }
}

/** Brings the newest root to every host of an environment, or of all. */
export async function publishRoot(parsed: Parsed, context: CliContext): Promise<void> {
  const project = await loadProject(context.cwd)
  const fleet = openFleet(context.configDir)
  using history = openHistory(context)
  const named = text(parsed, 'env')
  const sessions = sessionOptions(parsed, context, fleet, history)
  let failure: DeployError | null = null
  for (const name of named === undefined ? Object.keys(project.config.environments) : [named]) {
    const { flags } = parsed
    const target = await targetOf(project, { flags: { ...flags, env: name } }, context)
    const { opened, failed } = await openAll({ sessions, target })
    for (const { target, hello, client } of opened) {
      client.close()
      context.out.line(`${target.name} follows root ${hello.root.version}`)
      context.out.event({ type: 'published', host: target.name, root: hello.root })
    }
    for (const { host, error } of failed) {
      failure ??= error
      context.out.line(`${host} was not reached and follows at its next push: ${error.message}`)
    }
  }
  context.out.note(
    `root ${fleet.root.version}: ${fleet.root.keys.map(({ owner, key }) => `${owner} ${fingerprintOf(publicKeyBlob(key)).slice(0, 15)}…`).join(', ')}`,
  )
  if (failure) throw failure
}
