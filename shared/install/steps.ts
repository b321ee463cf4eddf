import { Name } from '../formats/names.ts'
import { RootChain } from '../wire/api.ts'
import { Strict, Type, parserOf, type Static } from '../schema.ts'

const AbsolutePath = Type.String({ pattern: '^/[^\\u0000\\n]*$', maxLength: 4096 })
const Account = Type.String({ pattern: '^[a-z_][a-z0-9_-]{0,30}$' })
const Mode = Type.Integer({ minimum: 0, maximum: 0o7777 })
const Owner = Type.Optional(Account)
const Text = Type.String({ maxLength: 1024 * 1024 })
const Argv = Type.Array(Type.String({ maxLength: 4096 }), { minItems: 1, maxItems: 64 })

/**
 * One thing to do on a host, as root. Each can be done again: a run that was cut off is completed by the
 * next one. What is printed before is made of the same values as what is done.
 */
export const Step = Type.Union([
  Strict({ do: Type.Literal('group'), name: Account }),
  Strict({
    do: Type.Literal('user'),
    name: Account,
    group: Account,
    home: AbsolutePath,
    shell: AbsolutePath,
  }),
  Strict({ do: Type.Literal('directory'), path: AbsolutePath, mode: Mode, owner: Owner, group: Owner }),
  /** A file of ours; `verify` must agree, or what was there comes back. */
  Strict({
    do: Type.Literal('file'),
    path: AbsolutePath,
    mode: Mode,
    content: Text,
    verify: Type.Optional(Argv),
    /** It was changed by hand: that version is kept beside it. */
    keep: Type.Optional(Type.Boolean()),
  }),
  /** A file that belongs to the administrator from then on. */
  Strict({ do: Type.Literal('seed'), path: AbsolutePath, mode: Mode, content: Text }),
  /** Lines that must be in a file, whatever else is. */
  Strict({
    do: Type.Literal('lines'),
    path: AbsolutePath,
    mode: Mode,
    lines: Type.Array(Type.String({ pattern: '^[^\\n]+$', maxLength: 16_384 }), { maxItems: 100 }),
  }),
  Strict({ do: Type.Literal('link'), path: AbsolutePath, target: Type.String({ maxLength: 4096 }) }),
  /** Makes the agent's directory that of a host of this fleet, as the agent's user. */
  Strict({ do: Type.Literal('trust'), host: Name, roots: RootChain }),
  /** `mayFail`: what it is about may be gone already. */
  Strict({ do: Type.Literal('run'), argv: Argv, mayFail: Type.Optional(Type.Boolean()) }),
  /** Starts this version of the agent; one that does not come up gives way to the one before. */
  Strict({
    do: Type.Literal('agent'),
    version: Type.String({ pattern: '^[A-Za-z0-9._+-]+$', maxLength: 128 }),
  }),
  Strict({ do: Type.Literal('remove'), path: AbsolutePath }),
  Strict({ do: Type.Literal('no-user'), name: Account }),
])
export type Step = Static<typeof Step>

export const Steps = Strict({ steps: Type.Array(Step, { maxItems: 1000 }) })
export const stepsParser = parserOf(Steps)

/** What became of one step; a line of JSON each. */
export const StepEvent = Strict({
  n: Type.Integer({ minimum: 0 }),
  result: Type.Union([Type.Literal('done'), Type.Literal('unchanged'), Type.Literal('failed')]),
  detail: Type.String({ maxLength: 64 * 1024 }),
  /** Which error of the catalogue it is, when it is one. */
  error: Type.Union([
    Strict({ code: Type.String({ maxLength: 64 }), facts: Type.Record(Type.String(), Type.Unknown()) }),
    Type.Null(),
  ]),
})
export type StepEvent = Static<typeof StepEvent>
export const stepEventParser = parserOf(StepEvent)

/** One line for people. */
export function describeStep(step: Step): string {
  const mode = 'mode' in step ? step.mode.toString(8).padStart(4, '0') : ''
  switch (step.do) {
    case 'group':
      return `make the system group ${step.name}`
    case 'user':
      return `make the system user ${step.name} (group ${step.group}, home ${step.home}, shell ${step.shell}, no password)`
    case 'directory':
      return `make the directory ${step.path} (${mode}, ${step.owner ?? 'root'}${step.group === undefined ? '' : `, group ${step.group}`})`
    case 'file':
      return `write ${step.path} (${mode})${step.keep === true ? ', keeping what was changed by hand beside it' : ''}${step.verify ? `, if \`${step.verify.join(' ')}\` agrees` : ''}`
    case 'seed':
      return `write ${step.path} (${mode}) unless it is there; it is yours`
    case 'lines':
      return `add to ${step.path}: ${step.lines.map(shortKey).join('; ')}`
    case 'link':
      return `link ${step.path} to ${step.target}`
    case 'trust':
      return `make it host "${step.host}" of your fleet, with a key of its own for receipts`
    case 'run':
      return `run \`${step.argv.join(' ')}\``
    case 'agent':
      return `start agent ${step.version}; if it does not come up, the one before`
    case 'remove':
      return `remove ${step.path}`
    case 'no-user':
      return `remove the user ${step.name}`
  }
}

/** A public key by its type, its end and its comment. */
function shortKey(line: string): string {
  const [type = '', key = '', ...comment] = line.split(' ')
  return [type, `…${key.slice(-12)}`, ...comment].join(' ')
}
