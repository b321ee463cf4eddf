import { DeployError } from '../../shared/errors.ts'
import type { Manifest } from '../../shared/formats/manifest.ts'
import type { Journal } from '../journal/journal.ts'
import type { Entry } from '../journal/rows.ts'
import type { InstanceSpec } from '../manager/manager.ts'
import type { Releases } from '../store/releases.ts'
import { instanceSpec } from './instance-spec.ts'

/** Releases as the service manager runs them. */
export class Specs {
  readonly #releases: Releases
  readonly #journal: Journal

  constructor(releases: Releases, journal: Journal) {
    this.#releases = releases
    this.#journal = journal
  }

  /** @throws DeployError E_RELEASE_UNKNOWN */
  manifest(digest: string): Manifest {
    const saved = this.#releases.find(digest)
    if (!saved) throw new DeployError('E_RELEASE_UNKNOWN', { release: digest, service: 'any service' })
    return saved.manifest
  }

  /** What a deployment brings. */
  next({ service, release, environment, slot }: Entry): InstanceSpec {
    return this.#spec(service, release, environment, slot)
  }

  /** The committed release of a service, as it ran; null when there is none. */
  active(service: string): InstanceSpec | null {
    const { active, environment, slot } = this.#journal.service(service)
    if (active === null || environment === null || slot === null) return null
    return this.#spec(service, active, environment, slot)
  }

  #spec(service: string, release: string, environment: Entry['environment'], slot: Entry['slot']) {
    const tree = this.#releases.treeOf(service, release)
    return instanceSpec(this.manifest(release), release, tree, environment, slot)
  }
}
