import type { FreezePeriod } from '../../shared/formats/freeze.ts'
import type { Environment } from '../../shared/formats/order.ts'
import type { Login, Strategy } from '../../shared/formats/receipt.ts'
import type { SignedApproval } from '../../shared/wire/api.ts'
import type { Deployment } from '../activate/machine.ts'

/** `environment` and `slot` are those of the active release; all null until the first commit. */
export type ServiceRow = {
  name: string
  seq: number
  active: string | null
  previous: string | null
  environment: Environment | null
  slot: 'a' | 'b' | null
  /** Releases that the running program may still read, besides the active one. */
  inUse: string[]
}

/** An accepted order, as the journal keeps it. `who` is the signer's name, for messages. */
export type Begin = {
  opId: string
  service: string
  seq: number
  action: string
  release: string
  prev: string | null
  environment: Environment
  slot: 'a' | 'b'
  began: string
  bootId: string
  who: string
  fingerprint: string
  order: Buffer
  signatures: string[]
  /** What people agreed to, as they signed it. */
  approvals: SignedApproval[]
  /** Who brought it; null in the rows of older agents. */
  login: Login | null
}

export type Entry = Begin & {
  life: Deployment
  ended: string | null
  /** Null until it is chosen. */
  strategy: Strategy | null
}

/** `until` is null where it lifts a freeze; `who` and `fingerprint` are of who signed it. */
export type FreezeRow = {
  opId: string
  service: string
  until: string | null
  /** A calendar; null where it is no calendar. */
  periods: FreezePeriod[] | null
  reason: string
  who: string
  fingerprint: string
  at: string
  order: Buffer
  signatures: string[]
}

export type ReceiptRow = { number: number; opId: string; bytes: Buffer; signature: string; digest: string }

export type Row = Record<string, string | number | Buffer | null>

// The rows come from our own STRICT tables, so their types are those of the columns.
export function serviceOf(row: Row): ServiceRow {
  const { environment, in_use: inUse, ...rest } = row
  return {
    ...rest,
    inUse: JSON.parse(String(inUse)) as string[],
    environment: environment && (JSON.parse(String(environment)) as Environment),
  } as ServiceRow
}

export function entryOf(row: Row): Entry {
  const { op_id: opId, boot_id: bootId, order_bytes: order, signatures, life, state: _, ...rest } = row
  return {
    ...rest,
    environment: JSON.parse(String(row['environment'])) as Environment,
    opId,
    bootId,
    order,
    signatures: JSON.parse(String(signatures)) as string[],
    approvals: JSON.parse(String(row['approvals'])) as SignedApproval[],
    login: row['login'] === null ? null : (JSON.parse(String(row['login'])) as Login | null),
    life: JSON.parse(String(life)) as Deployment,
  } as Entry
}
