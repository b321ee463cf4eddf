import { EnvName, Name, Seconds } from '../../shared/formats/names.ts'
import { HookSpec } from '../../shared/formats/hooks.ts'
import { ActivationSpec, HealthSpec, RunSpec } from '../../shared/formats/service-spec.ts'
import { SocketSpec } from '../../shared/formats/sockets.ts'
import { described, Strict, Type, type Static } from '../../shared/schema.ts'
import { NotifySpec } from '../notify/notify-schema.ts'
import { RolloutConfig } from './rollout-schema.ts'

const Pattern = Type.String({ minLength: 1, maxLength: 1024 })
const Patterns = (description: string) => Type.Optional(Type.Array(Pattern, { maxItems: 1000, description }))
const Target = Type.String({
  pattern: '^(?:[A-Za-z0-9._-]+@)?(?:\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?$',
  maxLength: 320,
})

export const Labels = Type.Record(
  Type.String({ pattern: '^[a-z0-9][a-z0-9._-]{0,62}$' }),
  Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$' }),
  { maxProperties: 32 },
)

const Host = Type.Union([
  described(Target, '`[user@]host[:port]`; the user is deployctl when left out.'),
  Strict({
    address: described(Target, '`[user@]host[:port]`; the user is deployctl when left out.'),
    transport: Type.Optional(
      Type.Union([Type.Literal('auto'), Type.Literal('ssh2'), Type.Literal('system')], {
        description:
          '`ssh2` speaks SSH itself, `system` runs your ssh; `auto` takes ssh2 unless your ssh settings need more.',
      }),
    ),
    identity: Type.Optional(
      Type.String({ minLength: 1, maxLength: 4096, description: 'Private key file to log in with.' }),
    ),
    labels: Type.Optional(described(Labels, 'What tells it apart, for `--on zone=eu,role=web` and batches.')),
  }),
])

/** Hosts by their names: in deploy.yaml, in a file, or as a command prints them. */
export const Hosts = Type.Record(Name, Host, {
  minProperties: 0,
  maxProperties: 1000,
  description: 'By the name each host has in this fleet.',
})
export type Hosts = Static<typeof Hosts>

const Inventory = Type.Union([
  Strict({
    file: Type.String({
      minLength: 1,
      maxLength: 4096,
      description: 'A YAML or JSON file of hosts, as `hosts` has them; relative to deploy.yaml.',
    }),
  }),
  Strict({
    sshConfig: Type.String({
      pattern: '^[A-Za-z0-9._*?-]{1,253}$',
      description: 'Hosts of your ~/.ssh/config whose alias fits this pattern, such as web-*.',
    }),
    labels: Type.Optional(described(Labels, 'What all of them are.')),
  }),
  Strict({
    command: Type.Array(Type.String({ minLength: 1, maxLength: 4096 }), {
      minItems: 1,
      maxItems: 64,
      description: 'A program that prints hosts as JSON, as `hosts` has them; run beside deploy.yaml.',
    }),
  }),
])
export type Inventory = Static<typeof Inventory>

const EnvironmentConfig = Strict({
  hosts: Hosts,
  inventory: Type.Optional(
    Type.Array(Inventory, { maxItems: 16, description: 'Where further hosts are listed.' }),
  ),
  env: Type.Optional(
    Type.Record(EnvName, Type.Union([Type.String({ maxLength: 32_768 }), Type.Number(), Type.Boolean()]), {
      maxProperties: 256,
      description: 'Values of environment variables. Not for secrets: those stay in a file on the host.',
    }),
  ),
  sockets: Type.Optional(
    Type.Array(SocketSpec, { maxItems: 16, description: 'Where sockets listen here instead of as in run.' }),
  ),
  protected: Type.Optional(
    Type.Boolean({
      description:
        'Ask before anything is pushed or rolled back there, and say when files are not committed.',
    }),
  ),
  confirmSeconds: Type.Optional(described(Seconds, 'Instead of activation.confirmSeconds.')),
  rollout: Type.Optional(described(RolloutConfig, 'Instead of the general rollout, key by key.')),
})

/** deploy.yaml. This schema is the check, the type, the documentation and what editors use. */
export const Config = Strict(
  {
    service: described(Name, 'Name of the service on its hosts.'),
    build: Type.Optional(
      Strict(
        {
          command: Type.Optional(
            Type.Array(Type.String({ minLength: 1, maxLength: 4096 }), {
              minItems: 1,
              maxItems: 64,
              description: 'Run before the release is made, for example [npm, run, build].',
            }),
          ),
          output: Type.Optional(
            Type.String({
              minLength: 1,
              maxLength: 1024,
              description: 'The directory that becomes the release; that of deploy.yaml when left out.',
            }),
          ),
          include: Patterns('Only what fits one of these patterns (.gitignore syntax).'),
          exclude: Patterns('Leave out what fits one of these patterns (.gitignore syntax).'),
        },
        { description: 'How the files of a release come to be.' },
      ),
    ),
    run: described(RunSpec, 'How the service is run.'),
    health: Type.Optional(described(HealthSpec, 'How it is known to be well.')),
    activation: Type.Optional(described(ActivationSpec, 'How a new release takes over.')),
    notify: Type.Optional(
      Type.Array(NotifySpec, {
        maxItems: 16,
        description: 'Who is told how rollouts and schedules go, by webhook or e-mail.',
      }),
    ),
    hooks: Type.Optional(described(HookSpec, 'Programs that are run around a deployment.')),
    environments: Type.Record(Name, EnvironmentConfig, {
      minProperties: 1,
      maxProperties: 64,
      description: 'Sets of hosts, each with its own settings.',
    }),
    watch: Type.Optional(
      Strict(
        {
          gates: Type.Optional(
            Type.Record(
              Name,
              Type.Array(Type.String({ minLength: 1, maxLength: 4096 }), { minItems: 1, maxItems: 64 }),
              {
                maxProperties: 16,
                description:
                  'Commands by a name of yours that must succeed before anything is pushed: `tests: [npm, test]`.',
              },
            ),
          ),
          ignore: Patterns('Saving what fits one of these patterns does nothing (.gitignore syntax).'),
        },
        { description: 'What `deployctl watch` does on a save.' },
      ),
    ),
    rollout: Type.Optional(described(RolloutConfig, 'How a release spreads over the hosts.')),
  },
  { title: 'deploy.yaml' },
)
export type Config = Static<typeof Config>
export type HostConfig = Static<typeof Host>
