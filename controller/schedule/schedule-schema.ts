import { Digest, Name } from '../../shared/formats/names.ts'
import { described, Strict, Type, type Static } from '../../shared/schema.ts'
import { RolloutConfig } from '../config/rollout-schema.ts'

const day = 86_400

/** What is done when a schedule is due. */
export const ScheduledAction = Type.Union([
  Strict({
    do: Type.Literal('deploy'),
    channel: described(Name, 'The newest approved release of this channel.'),
  }),
  Strict({ do: Type.Literal('deploy'), release: described(Digest, 'This approved release.') }),
  Strict({ do: Type.Literal('catch-up') }),
  Strict({
    do: Type.Literal('prune'),
    keepDays: Type.Integer({
      minimum: 1,
      maximum: 3650,
      description: 'How long events of rollouts and releases that no channel names are kept.',
    }),
  }),
  Strict({ do: Type.Literal('verify-history') }),
])
export type ScheduledAction = Static<typeof ScheduledAction>

/** Something that is to be done again and again. */
export const Schedule = Strict({
  name: Name,
  cron: Type.String({ minLength: 9, maxLength: 256, description: 'Five fields, as cron has them.' }),
  timeZone: Type.String({ minLength: 2, maxLength: 64, description: 'Such as Europe/Berlin.' }),
  service: Name,
  environment: Name,
  on: Type.Optional(
    Type.String({
      minLength: 3,
      maxLength: 1024,
      description: 'Only hosts with these labels: zone=eu,role=web.',
    }),
  ),
  action: ScheduledAction,
  /** A run that was missed (the controller was off, the clock jumped) is made up for so long; 0 skips it. */
  lateSeconds: Type.Integer({ minimum: 0, maximum: 30 * day }),
  /** Each run begins up to so much later, always the same for the same slot. */
  jitterSeconds: Type.Integer({ minimum: 0, maximum: day / 2 }),
  rollout: Type.Optional(RolloutConfig),
  isPaused: Type.Boolean(),
})
export type Schedule = Static<typeof Schedule>

export const scheduleDefaults = { lateSeconds: 3600, jitterSeconds: 0, isPaused: false } as const
