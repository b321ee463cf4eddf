import type { Parsed } from '../cli/command.ts'
import type { CliContext } from '../cli/context.ts'
import { allowedSigners } from '../identity/allowed-signers.ts'
import { describeRoot } from '../identity/describe-root.ts'
import { openFleet } from '../identity/fleet.ts'

export async function showTrust(parsed: Parsed, { configDir, out }: CliContext): Promise<void> {
  const fleet = openFleet(configDir)
  const { root } = fleet
  if (parsed.flags['allowedSigners'] === true) return out.line(allowedSigners(root).trimEnd())
  out.event({ type: 'root', digest: fleet.digest, ...root })
  for (const line of describeRoot(root)) out.line(line)
}
