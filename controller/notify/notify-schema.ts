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

export const noticeKinds = ['begun', 'paused', 'done', 'failed', 'partial', 'rolled-back'] as const
export type NoticeKind = (typeof noticeKinds)[number]

/** Who is told how a rollout goes. */
export const NotifySpec = Strict({
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
  on: Type.Optional(
    Type.Array(Type.Union(noticeKinds.map((kind) => Type.Literal(kind))), {
      minItems: 1,
      maxItems: 6,
      description: 'Of what is told (all but begun).',
    }),
  ),
})
export type NotifySpec = Static<typeof NotifySpec>
