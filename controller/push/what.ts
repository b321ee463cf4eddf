import type { Provenance } from '../../shared/formats/manifest.ts'
import type { Order } from '../../shared/formats/order.ts'

/** What an order is about. */
export type What = {
  action: Order['action']
  service: string
  release: string
  version: string
  strategy: Order['strategy']
  reason: string
  /** Whether it is to count although the service is frozen. */
  despiteFreeze?: boolean
  provenance: Provenance | null
  /** Of the release, as they are known here. */
  releaseSignatures: readonly string[]
}
