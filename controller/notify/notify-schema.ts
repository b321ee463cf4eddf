import { EnvName } from '../../shared/formats/names.ts'
import { described, Strict, Type, type Static } from '../../shared/schema.ts'

const Secret = Type.Union([
  Strict({ env: described(EnvName, 'Name of an environment variable that holds it.') }),
  Strict({
    file: Type.String({
      minLength: 1,
      maxLength: 4096,
      description: 'A file that holds it, relative to deploy.yaml.',
    }),
  }),
])
export type Secret = Static<typeof Secret>

export const noticeKinds = [
  'begun',
  'paused',
  'done',
  'failed',
  'partial',
  'rolled-back',
  'schedule-failed',
  'schedule-missed',
] as const
export type NoticeKind = (typeof noticeKinds)[number]

const On = Type.Optional(
  Type.Array(Type.Union(noticeKinds.map((kind) => Type.Literal(kind))), {
    minItems: 1,
    maxItems: noticeKinds.length,
    description: 'Of what is told (all but begun).',
  }),
)

const Mailbox = Type.String({ pattern: '^[^@\\s<>]{1,64}@[^@\\s<>]{1,255}$', maxLength: 320 })

/** Who is told by e-mail. */
export const MailSpec = Strict({
  mail: Type.Array(Mailbox, { minItems: 1, maxItems: 16, description: 'Addresses to write to.' }),
  from: described(Mailbox, 'Whom it is from.'),
  smtp: Type.Union(
    [
      Type.String({
        pattern: '^smtps?://[^@\\s]+$',
        maxLength: 2048,
        description: 'The mail server: smtp://host:port, or smtps:// for TLS from the start.',
      }),
      ...Secret.anyOf,
    ],
    { description: 'The mail server; a URL with a password in it comes from a variable or a file.' },
  ),
  on: On,
})
export type MailSpec = Static<typeof MailSpec>

/** Who is told by a POST. */
export const WebhookSpec = Strict({
  url: Type.Union(
    [
      Type.String({ pattern: '^https?://', maxLength: 2048, description: 'Where to POST to.' }),
      ...Secret.anyOf,
    ],
    { description: 'Where to POST to; a URL that is a secret by itself comes from a variable or a file.' },
  ),
  secret: Type.Optional(
    described(Secret, 'Signs each message as Standard Webhooks say (whsec_…, or any text).'),
  ),
  shape: Type.Optional(
    Type.Union([Type.Literal('standard'), Type.Literal('slack')], {
      description:
        '`standard`: JSON with all there is; `slack`: a text, for whatever takes what Slack takes (standard).',
    }),
  ),
  on: On,
})
export type WebhookSpec = Static<typeof WebhookSpec>

/** Who is told how rollouts and schedules go. */
export const NotifySpec = Type.Union([WebhookSpec, MailSpec])
export type NotifySpec = Static<typeof NotifySpec>
