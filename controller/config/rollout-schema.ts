import { Name } from '../../shared/formats/names.ts'
import { OnFailure, RolloutPolicy } from '../../shared/formats/rollout.ts'
import { described, Strict, Type, type Static } from '../../shared/schema.ts'

const Count = (maximum: number, description: string) =>
  Type.Optional(Type.Integer({ minimum: 0, maximum, description }))
const { canary: CanaryBake, batch: BatchBake } = RolloutPolicy.properties.bakeSeconds.properties

/** How a release spreads over the hosts of an environment. */
export const RolloutConfig = Strict({
  parallel: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 1000, description: 'How many hosts are worked on at once (8).' }),
  ),
  onUnreachable: Type.Optional(
    Type.Union([Type.Literal('fail'), Type.Literal('skip')], {
      description:
        'A host that cannot be reached: `fail` before anything is switched anywhere (the default), or `skip` it; `deployctl catch-up` brings it on later.',
    }),
  ),
  canary: Type.Optional(
    Strict(
      {
        count: Type.Optional(
          Type.Integer({ minimum: 1, maximum: 1000, description: 'How many of the hosts go first.' }),
        ),
        hosts: Type.Optional(
          Type.Array(Name, { minItems: 1, maxItems: 1000, description: 'Or which, by their names.' }),
        ),
        bakeSeconds: Type.Optional(
          described(CanaryBake, 'How long they are compared with the others before those follow (60).'),
        ),
        promote: Type.Optional(
          described(
            RolloutPolicy.properties.promote,
            '`manual`: the others follow only on `deployctl rollout promote` (auto).',
          ),
        ),
      },
      { description: 'Hosts that go first, by which the release is judged.' },
    ),
  ),
  batches: Type.Optional(
    Strict(
      {
        size: Type.Optional(
          Type.Union(
            [Type.Integer({ minimum: 1, maximum: 1000 }), Type.String({ pattern: '^(?:100|[1-9][0-9]?)%$' })],
            { description: 'Hosts in a batch, or a share of all such as 25%; all of them when left out.' },
          ),
        ),
        oneAtATime: Type.Optional(
          Type.Array(Name, {
            minItems: 1,
            maxItems: 4,
            description: 'Labels of which one value goes after the other: [zone].',
          }),
        ),
        bakeSeconds: Type.Optional(
          described(BatchBake, 'How long the hosts of a batch are watched before the next begins (0).'),
        ),
        maxFailures: Count(1000, 'Hosts of a batch that may fail without stopping it (0).'),
      },
      { description: 'Batches: one ends before the next begins.' },
    ),
  ),
  maxFailures: Count(1000, 'Hosts of the whole rollout that may fail without stopping it (0).'),
  onFailure: Type.Optional(
    described(
      OnFailure,
      'When too many failed: `stop` where it is (the default), take this batch back, or take back all that switched.',
    ),
  ),
  progressSeconds: Type.Optional(
    described(
      RolloutPolicy.properties.progressSeconds,
      'A host from which nothing is heard for so long counts as failed (300).',
    ),
  ),
  rehearse: Type.Optional(
    Type.Boolean({
      description:
        'Before anything is switched on a host, prove there that the release to fall back to can start (false).',
    }),
  ),
})
export type RolloutConfig = Static<typeof RolloutConfig>
