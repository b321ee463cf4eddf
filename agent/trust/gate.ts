import { encodeDocument, parseDocument, sha256Hex } from '../../shared/documents/document.ts'
import { releaseSigners } from '../../shared/documents/release.ts'
import { DeployError } from '../../shared/errors.ts'
import { namespaces } from '../../shared/formats/namespaces.ts'
import { Order, orderLimits, type OrderHost } from '../../shared/formats/order.ts'
import { Freeze } from '../../shared/formats/freeze.ts'
import { parserOf } from '../../shared/schema.ts'
import { openApproval } from '../../shared/trust/approvals.ts'
import { authorize, type Authority } from '../../shared/trust/authorize.decide.ts'
import { checkRootTime } from '../../shared/trust/root.ts'
import type { Roots } from '../../shared/trust/roots.ts'
import { covers } from '../../shared/trust/scope.decide.ts'
import { checkWindows } from '../../shared/trust/windows.ts'
import { inRole, notEnough, whoSigned } from '../../shared/trust/signers.ts'
import type { FreezeRequest, OrderRequest } from '../../shared/wire/api.ts'
import type { Journal } from '../journal/journal.ts'
import type { FreezeRow } from '../journal/rows.ts'
import type { Releases } from '../store/releases.ts'
import type { Challenges } from './challenges.ts'
import { acceptOrder } from './decide.ts'

const parser = parserOf(Order)
const freezeParser = parserOf(Freeze)

export type Accepted = { order: Order; bytes: Buffer; own: OrderHost; authority: Authority }

export type GateParts = {
  host: string
  roots: Roots
  journal: Journal
  releases: Releases
  challenges: Challenges
  now: () => string
}

/** What an order has to get past before it is begun. */
export class Gate {
  readonly #parts: GateParts

  constructor(parts: GateParts) {
    this.#parts = parts
  }

  /**
   * The host's clock, but never earlier than an order that was accepted before: turning the clock back
   * does not bring back keys, roots and approvals that have run out.
   */
  now(): string {
    const { now, journal } = this.#parts
    const last = journal.lastBegan()
    const clock = now()
    return last !== null && last > clock ? last : clock
  }

  /** @throws DeployError of every reason there is to refuse it */
  acceptFreeze({ freeze: text, signatures }: FreezeRequest): FreezeRow {
    const { host, roots, challenges } = this.#parts
    const { root } = roots
    const now = this.now()
    checkRootTime(root, now)
    const bytes = Buffer.from(text)
    const signed = whoSigned(namespaces.order, bytes, signatures, root)
    const [signer] = inRole(signed.by, 'order', now)
    if (!signer) throw notEnough(signed, 'order', root, 'order')
    const freeze = parseDocument(freezeParser, bytes, 'freeze', orderLimits)
    const isFresh = (service: string, challenge: string) => challenges.isFresh(service, challenge)
    acceptOrder(freeze, { host, root, now, isFresh })
    const { opId, service, until, periods = null, reason } = freeze
    const { owner: who, fingerprint } = signer
    if (!covers(signer.scope, service, host)) throw new DeployError('E_SCOPE', { owner: who, service, host })
    return { opId, service, until, periods, reason, who, fingerprint, at: now, order: bytes, signatures }
  }

  /** Going back is always possible; whoever goes over a freeze or a window says so, and is no schedule. */
  #checkTime(order: Order, previous: string | null, isScheduled: boolean, now: string) {
    const { journal, roots, host } = this.#parts
    const isBack = order.action === 'rollback' && order.release === previous
    const isMeant = order.despiteFreeze === true && !isScheduled
    if (isBack || isMeant) return
    const frozen = journal.frozen(order.service, now)
    if (frozen) throw new DeployError('E_FROZEN', { service: order.service, ...frozen })
    checkWindows(roots.root, order.service, host, now)
  }

  /** @throws DeployError of every reason there is to refuse an order */
  accept(request: OrderRequest): Accepted {
    const { host, roots, journal, challenges } = this.#parts
    const { root } = roots
    const now = this.now()
    checkRootTime(root, now)
    const bytes = Buffer.from(request.order)
    const signed = whoSigned(namespaces.order, bytes, request.signatures, root)
    // Nothing of it is read unless somebody we know has signed it.
    if (signed.by.length === 0) throw notEnough(signed, 'order', root, 'order')
    const order = parseDocument(parser, bytes, 'order', orderLimits)
    const own = acceptOrder(order, {
      host,
      root,
      now,
      isFresh: (service, challenge) => challenges.isFresh(service, challenge),
    })
    const { environment } = request
    const isSame = environment.name === order.environment.name
    if (!isSame || sha256Hex(encodeDocument(environment)) !== order.environment.digest)
      throw new DeployError('E_ENVIRONMENT_DIGEST')
    const manifest = this.#checkRelease(order, request.release ?? [], now)
    const approvals = (request.approvals ?? []).map((one) =>
      openApproval(Buffer.from(one.approval), one.signatures, root),
    )
    const { previous, environment: configured } = journal.service(order.service)
    const configuration = configured && sha256Hex(encodeDocument(configured))
    const { provenance } = manifest
    const people = { signed, approvals }
    const facts = { host, previous, configuration, provenance, now }
    const authority = authorize({ root, order, ...people, ...facts })
    this.#checkTime(order, previous, authority.isScheduled, now)
    return { order, bytes, own, authority }
  }

  /** The release is whole, and signed by who may sign it now: a key may have been revoked since it came. */
  #checkRelease({ release, service }: Order, signatures: readonly string[], now: string) {
    const { releases, roots } = this.#parts
    const saved = releases.find(release)
    if (!saved) throw new DeployError('E_RELEASE_UNKNOWN', { release: release.slice(0, 12), service })
    const { manifest, bytes } = saved
    if (manifest.service !== service)
      throw new DeployError('E_WRONG_SERVICE', { what: 'release', other: manifest.service, own: service })
    const all = [...new Set([...saved.signatures, ...signatures])]
    releaseSigners(bytes, all, roots.root, service, now)
    const missing = releases.missing(manifest).length
    if (missing > 0) throw new DeployError('E_RELEASE_INCOMPLETE', { missing })
    if (all.length > saved.signatures.length) releases.save(release, { ...saved, signatures: all })
    return manifest
  }
}
