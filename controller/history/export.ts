import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { namespaces } from '../../shared/formats/namespaces.ts'
import { rootFile } from '../../shared/trust/roots.ts'
import { allowedSigners } from '../identity/allowed-signers.ts'
import type { Fleet } from '../identity/fleet.ts'
import type { History } from './history.ts'

/**
 * Every signed document of a service's history as files that `ssh-keygen -Y verify` reads without us, with
 * the keys of people and hosts that it needs for it. Gives how many there are.
 */
export async function exportHistory(
  dir: string,
  service: string,
  hosts: readonly string[],
  fleet: Fleet,
  history: History,
): Promise<number> {
  await mkdir(dir, { recursive: true })
  let count = 0
  const write = async (name: string, bytes: Buffer | string, signatures: readonly string[]) => {
    await writeFile(join(dir, name), bytes)
    await writeFile(join(dir, `${name}.sig`), signatures.join(''))
    count += 1
  }
  for (const { root, signatures } of fleet.after(0)) {
    const { version } = JSON.parse(root) as { version: number }
    await write(rootFile('.', version), root, signatures)
  }
  for (const { opId, order, orderSignatures, approvals } of history.pushes(service, null, 100_000)) {
    await write(`${opId}.order.json`, order, orderSignatures)
    for (const [index, { approval, signatures }] of approvals.entries())
      await write(`${opId}.approval.${index + 1}.json`, approval, signatures)
  }
  const receiptKeys: string[] = []
  for (const host of hosts) {
    const pinned = history.pinnedKey(fleet.root.fleet, host)
    if (pinned !== null) receiptKeys.push(`${host} namespaces="${namespaces.receipt}" ${pinned}\n`)
    for (const { receipt } of history.receiptsOf(host))
      if (receipt) await write(`${host}.${receipt.number}.receipt.json`, receipt.bytes, [receipt.signature])
  }
  await writeFile(join(dir, 'allowed_signers'), allowedSigners(fleet.root) + receiptKeys.join(''))
  return count
}
