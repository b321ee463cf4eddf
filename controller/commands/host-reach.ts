import { fingerprintOf, publicKeyBlob } from '../../shared/sshsig/public-key.ts'
import type { Parsed } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import { openHistory, sessionOptions } from '../cli/workspace.ts'
import type { HostTarget } from '../config/target.ts'
import { openFleet } from '../identity/fleet.ts'
import { openSession } from '../push/session.ts'

/** Connects as a push does, says who answers, and remembers its receipt key when it is new. */
export async function reach(target: HostTarget, parsed: Parsed, context: CliContext): Promise<void> {
  const fleet = openFleet(context.configDir)
  using history = openHistory(context)
  const { client, hello } = await openSession(target, sessionOptions(parsed, context, fleet, history))
  client.close()
  const fingerprint = fingerprintOf(publicKeyBlob(hello.receiptKey))
  context.out.line(`${target.name} answers: agent ${hello.agent}, receipt key ${fingerprint}`)
  context.out.event({ type: 'reached', host: target.name, agent: hello.agent, receiptKey: fingerprint })
}
