import { parseStatus, parseSwapAnswer } from '../../agent/activate/control.ts'
import { readMetrics } from '../../agent/health/metrics.ts'
import { parseLogin } from '../../agent/trust/login.ts'
import { parseConfig } from '../../controller/config/load.ts'
import { periodsOf } from '../../controller/schedule/calendar.ts'
import { openCron } from '../../controller/schedule/cron.ts'
import { encodeDocument, parseDocument } from '../../shared/documents/document.ts'
import { checkManifestPaths } from '../../shared/documents/path-rules.ts'
import type { Approval } from '../../shared/formats/approval.ts'
import { Freeze } from '../../shared/formats/freeze.ts'
import { Manifest } from '../../shared/formats/manifest.ts'
import { namespaces } from '../../shared/formats/namespaces.ts'
import { Order, orderLimits } from '../../shared/formats/order.ts'
import { Receipt } from '../../shared/formats/receipt.ts'
import type { Root } from '../../shared/formats/root.ts'
import { derive } from '../../shared/hot/derive.ts'
import { SourceProblem } from '../../shared/hot/source-problem.ts'
import { parserOf } from '../../shared/schema.ts'
import { armor, parseArmored } from '../../shared/sshsig/format.ts'
import { generateKey } from '../../shared/sshsig/generate-key.ts'
import { parsePublicKey, publicKeyBlob } from '../../shared/sshsig/public-key.ts'
import { WireReader, uint32, wireString } from '../../shared/sshsig/wire.ts'
import { parseApproval } from '../../shared/trust/approvals.ts'
import { parseRoot } from '../../shared/trust/root.ts'
import { readFrames } from '../../shared/wire/pack.ts'

/** A parser that takes bytes from outside, with inputs to begin with and words of its language. */
export type Target = {
  seeds: readonly Buffer[]
  words: readonly string[]
  /** Longer inputs are cut; 16 KB when left out. */
  maxBytes?: number
  /** Throws a DeployError for what it refuses; anything else it throws is a defect. */
  run(input: Buffer): void | Promise<void>
}

const digest = 'a'.repeat(64)
const fleet = 'f'.repeat(32)
const { publicKey } = generateKey('fuzz')
const key = publicKey.split(' ').slice(0, 2).join(' ')
const sk = wireString('sk-ssh-ed25519@openssh.com')
const skBlob = Buffer.concat([sk, wireString(Buffer.alloc(32, 7)), wireString('ssh:')])

const manifest: Manifest = {
  spec: 'deployctl/release/v1',
  fleet,
  service: 'shop',
  version: 'v1.2.3',
  created: '2026-01-01T00:00:00.000Z',
  files: [
    { mode: '0644', path: 'app/index.js', sha256: digest, size: 12 },
    { mode: '0755', path: 'bin/run', sha256: digest, size: 1 },
    { mode: '0644', path: 'ünïcode', sha256: digest, size: 0 },
  ],
  links: [{ path: 'current', target: 'app/../bin' }],
  emptyDirs: ['tmp'],
  run: {
    argv: ['node', 'app/index.js'],
    sockets: [
      { name: 'http', port: 8080 },
      { name: 'quic', port: 8443, type: 'udp' },
      { name: 'deployctl', private: true },
    ],
    env: ['PORT'],
    stop: { seconds: 30, longConnections: 'close' },
  },
  health: { probes: [{ type: 'http', path: '/', timeoutSeconds: 1 }], minHealthySeconds: 1 },
  activation: { strategy: 'handover', overlap: true, exclusive: ['data.sqlite'] },
  minimumAgent: 1,
  provenance: { commit: 'c'.repeat(40), dirty: false, builder: 'deployctl/1', lockfile: digest },
}

const freeze: Freeze = {
  spec: 'deployctl/freeze/v1',
  fleet,
  epoch: 1,
  root: 1,
  opId: fleet,
  service: 'shop',
  until: '2026-01-02T00:00:00.000Z',
  notBefore: '2026-01-01T00:00:00.000Z',
  expires: '2026-01-01T00:05:00.000Z',
  reason: 'the holidays',
  hosts: [{ id: 'web1', challenge: digest }],
}

const calendarText = `BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:fair\r\nDTSTART;VALUE=DATE:20261225\r\nDTEND;VALUE=DATE:20261227\r\nRRULE:FREQ=YEARLY;COUNT=9\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n`
const metricsText = `# HELP http_requests_total All.
# TYPE http_requests_total counter
http_requests_total{method="get",code="200"} 1027 1395066363000
# TYPE seconds histogram
seconds_bucket{le="0.05"} 10
seconds_bucket{le="+Inf"} 12
seconds_sum 1.5
seconds_count 12
odd{path="C:\\\\x",error="a\\n\\""} 1.4e9
`
const metricsSpec = {
  requests: { name: 'http_requests_total' },
  errors: { name: 'http_requests_total', labels: { code: '5*' } },
  latency: { name: 'seconds' },
}

const order: Order = {
  spec: 'deployctl/order/v1',
  fleet,
  epoch: 1,
  root: 1,
  opId: 'c'.repeat(32),
  action: 'deploy',
  service: 'shop',
  release: digest,
  environment: { name: 'production', digest },
  strategy: 'auto',
  confirmSeconds: 30,
  notBefore: '2026-01-01T00:00:00.000Z',
  expires: '2026-01-01T00:10:00.000Z',
  reason: 'why "not"',
  hosts: [{ id: 'web1', seq: 1, prev: null, challenge: digest }],
}

const root: Root = {
  spec: 'deployctl/root/v1',
  version: 2,
  fleet,
  epoch: 1,
  expires: '2030-01-01T00:00:00.000Z',
  keys: [
    { owner: 'ann', key, roles: ['root', 'release', 'order', 'schedule', 'recovery'] },
    {
      owner: 'ben@example.com',
      key: `sk-ssh-ed25519@openssh.com ${skBlob.toString('base64')}`,
      roles: ['order'],
      notAfter: '2029-01-01T00:00:00.000Z',
      scope: { services: ['shop', 'blog*'], hosts: ['*'] },
      logins: [key],
    },
  ],
  thresholds: { root: 1, release: 1, order: 1, schedule: 1, recovery: 1 },
  policies: [{ scope: { services: ['*'], hosts: ['web*'] }, approvals: 2, cleanCommit: true }],
  revokedLogins: [`SHA256:${'A'.repeat(43)}`],
}

const approval: Approval = {
  spec: 'deployctl/approval/v1',
  fleet,
  epoch: 1,
  service: 'shop',
  release: digest,
  environment: { name: 'production', digest },
  hosts: ['web1', 'web2'],
  notBefore: '2026-01-01T00:00:00.000Z',
  expires: '2026-01-02T00:00:00.000Z',
  reason: '',
}

const receipt: Receipt = {
  spec: 'deployctl/receipt/v1',
  fleet,
  host: 'web1',
  number: 7,
  opId: 'c'.repeat(32),
  order: digest,
  service: 'shop',
  release: digest,
  result: 'rolled-back',
  active: digest,
  strategy: 'restart',
  reasons: ['the entry file changed'],
  error: { code: 'E_PROBE_FAILED', message: 'http /: 500' },
  began: '2026-01-01T00:00:00.000Z',
  ended: '2026-01-01T00:00:01.000Z',
  steps: [{ step: 'staging', ms: 1.5 }],
  login: { user: 'deployctl', key: 'SHA256:x', certificate: { id: 'ann', serial: '12' } },
  previous: null,
}

/** Short, since a parser of YAML takes long for long ones. */
const configs = [
  'service: a\nrun: { argv: [b] }\nenvironments: { p: { hosts: {} } }\n',
  `service: shop # x
build: { command: [npm, ci], output: dist, exclude: ['*.map'] }
run:
  argv: [node, s.js]
  sockets: [{ name: http, port: 80 }]
  env: [PORT]
environments: { p: { hosts: {} } }
`,
  `service: shop
run: &r { argv: [b], limits: { memory: 512M } }
health: { probes: [{ type: http, path: /up }], deadlineSeconds: 3 }
environments: { p: { hosts: {} } }
rollout: { parallel: 4, onUnreachable: skip }
`,
  `service: shop
run: { argv: [b] }
environments:
  p:
    protected: true
    env: { PORT: "80", D: 'no' }
    hosts:
      web1: d@w.example.com:22
      web2: { address: 10.0.0.2, identity: ~/.ssh/id }
`,
]

const frame = (header: unknown, payload = '') => `${JSON.stringify(header)}\n${payload}`
const frames = [
  frame({ release: 5, length: 5, signatures: ['s'.repeat(64)] }, 'hello'),
  frame({ blob: digest, size: 8, length: 3, offset: 5 }, 'abc'),
  frame({ blob: digest, size: 8, length: 2, base: digest }, 'xy'),
  frame({ end: 3 }),
].join('')

const json = [
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  'null',
  'true',
  '""',
  '"__proto__"',
  '"spec"',
  '\\u0000',
  '{}',
  '[]',
]

/** Words of a document: its own keys and texts. */
function wordsOf(value: unknown): string[] {
  const found = JSON.stringify(value).match(/"(?:[^"\\]|\\.)*"/g) ?? []
  return [...new Set([...json, ...found])]
}

/** What was taken must be what is written again: nothing was dropped, rounded or read in two ways. */
function documentTarget(value: unknown, parse: (bytes: Buffer) => unknown): Target {
  return {
    seeds: [encodeDocument(value)],
    words: wordsOf(value),
    run(input) {
      const taken = parse(input)
      const again = encodeDocument(taken)
      if (!encodeDocument(parse(again)).equals(again))
        throw new Error('it is not the same when written again')
    },
  }
}

const freezeParser = parserOf(Freeze)
const [manifestParser, orderParser, receiptParser] = [parserOf(Manifest), parserOf(Order), parserOf(Receipt)]

const signatureBlob = Buffer.concat([wireString('ssh-ed25519'), wireString(Buffer.alloc(64, 3))])
const armoredBlob = (publicBlob: Buffer) => {
  const text = armor(publicBlob, namespaces.order, 'sha512', signatureBlob)
  return Buffer.from(text.split('\n').slice(1, -2).join(''), 'base64')
}

const fault = {
  message: 'TypeError: x',
  module: 'app.js',
  line: 3,
  stack: ['TypeError: x', '    at app.js:3:1'],
}

/** Whatever is read as a module must be JavaScript when it was transformed, with as many lines. */
function transformed(source: string): void {
  try {
    const { code } = derive('x.js', source, 'esm')
    if (code.split('\n').length !== source.split('\n').length + 1) throw new Error('its lines moved')
    // oxlint-disable-next-line no-new-func, no-implied-eval
    void new Function(`return ${code}`)
  } catch (error) {
    if (!(error instanceof SourceProblem)) throw error
  }
}

export const targets: Record<string, Target> = {
  manifest: documentTarget(manifest, (bytes) => {
    const taken = parseDocument(manifestParser, bytes, 'release')
    checkManifestPaths(taken)
    for (const { path } of taken.files)
      if (`/${path}/`.includes('/../') || path.startsWith('/')) throw new Error(`${path} leaves the release`)
    return taken
  }),
  freeze: documentTarget(freeze, (bytes) => parseDocument(freezeParser, bytes, 'freeze', orderLimits)),
  calendar: {
    seeds: [Buffer.from(calendarText)],
    words: [
      'BEGIN:VEVENT',
      'END:VEVENT',
      'RRULE:FREQ=',
      'DAILY',
      'YEARLY',
      ';COUNT=',
      ';UNTIL=',
      'DTSTART',
      ';VALUE=DATE:',
      ';TZID=',
      'EXDATE:',
      'DURATION:P1D',
      '\r\n',
      'T000000Z',
    ],
    run: (bytes) =>
      void periodsOf(bytes.toString(), 'a.ics', {
        fromMs: 1_795_000_000_000,
        untilMs: 1_826_000_000_000,
        timeZone: 'Europe/Berlin',
      }),
  },
  cron: {
    seeds: ['0 3 * * mon-fri', '*/15 9-17 1,15 jan-jun *', '0 0 L * *', '5 4 * * 5#2'].map((text) =>
      Buffer.from(text),
    ),
    words: ['*', '/', '-', ',', 'L', '#', ' ', 'mon', 'jan', '0', '59', '31'],
    run: (bytes) =>
      void openCron(bytes.toString().slice(0, 256), 'Europe/Berlin').slots(
        1_795_000_000_000,
        1_795_100_000_000,
      ),
  },
  metrics: {
    seeds: [Buffer.from(metricsText)],
    words: [
      '# TYPE ',
      ' histogram\n',
      '_bucket{le="',
      '+Inf',
      '"} ',
      'NaN',
      '\\"',
      '{',
      '}',
      ',',
      '=',
      '\n',
      ' 1395066363000',
    ],
    // What it is not a text of is told as a problem of the sample, in whatever words.
    run: (input) => {
      try {
        readMetrics(input.toString(), metricsSpec)
      } catch {
        // Refused.
      }
    },
  },
  order: documentTarget(order, (bytes) => parseDocument(orderParser, bytes, 'order', orderLimits)),
  root: documentTarget(root, parseRoot),
  approval: documentTarget(approval, parseApproval),
  receipt: documentTarget(receipt, (bytes) => parseDocument(receiptParser, bytes, 'receipt')),
  signature: {
    seeds: [
      Buffer.concat([Buffer.from('b'), armoredBlob(publicKeyBlob(key))]),
      Buffer.concat([Buffer.from('b'), armoredBlob(skBlob)]),
      Buffer.from(`t${armor(publicKeyBlob(key), namespaces.order, 'sha512', signatureBlob)}`),
    ],
    words: [
      'SSHSIG',
      'sha256',
      'sha512',
      'ssh-ed25519',
      'ssh-rsa',
      '\0\0\0\0',
      '\0\0\0\x20',
      namespaces.root,
    ],
    run(input) {
      // Mostly the bytes inside of the armor: changed armor is nearly never armor.
      const body = input.subarray(1)
      const lines = body.toString('base64').match(/.{1,70}/g) ?? []
      const wrapped = `-----BEGIN SSH SIGNATURE-----\n${lines.join('\n')}\n-----END SSH SIGNATURE-----\n`
      const parsed = parseArmored(input[0] === 0x74 ? body.toString('latin1') : wrapped)
      const { blob } = parsePublicKey(parsed.publicKey)
      const reader = new WireReader(parsed.signature)
      reader.string()
      reader.string()
      if (!blob.equals(parsed.publicKey)) throw new Error('another key than the one inside')
    },
  },
  control: {
    seeds: [
      Buffer.from(
        JSON.stringify({
          ready: ['http'],
          state: 'draining',
          requests: 1,
          connections: 2,
          cut: { requests: 0, connections: 0 },
        }),
      ),
    ],
    words: [...json, '"ready"', '"state"', '"held"', '"cut"', '"requests"', '1e400', '-1'],
    run: (input) => void parseStatus(input.toString()),
  },
  swap: {
    seeds: [
      {
        ok: true,
        ms: 1.5,
        evaluated: 3,
        state: 'kept',
        problems: [fault],
        modules: [['app.js', '0'.repeat(64)]],
      },
      { ok: false, fault },
    ].map((answer) => Buffer.from(JSON.stringify(answer))),
    words: [...json, '"ok"', '"fault"', '"modules"', '"line"', 'null', 'true', '1e400', '-1'],
    run: (input) => void parseSwapAnswer(input.toString()),
  },
  modules: {
    seeds: [
      `import a, { b as c } from './x.js'\nexport { c }\nexport default a(b)\nawait import('./y.js')\n`,
      `export * as n from 'x'\nexport * from "y"\nexport class A { static { b\`\` } }\nexport const { d = c, ...e } = { c }\n`,
      `#!/bin/node\nimport x from 'x' with { type: 'json' }\nexport default async function* () { yield import.meta.url }\nx\n(1)`,
    ].map((text) => Buffer.from(text)),
    words: [
      'import ',
      'export ',
      'default ',
      'from ',
      'as ',
      'await ',
      'async ',
      'function ',
      'class ',
      '=>',
      '`',
      '${',
      '{',
      '}',
      '(',
      ')',
      '*',
      '//',
      '/*',
      '*/',
      '\n',
      ';',
      'import.meta',
      'x',
      '...',
      '?.',
      'static ',
    ],
    run: (input) => transformed(input.toString()),
  },
  login: {
    seeds: [
      Buffer.from(`publickey ${key}\n`),
      Buffer.from(`publickey sk-ssh-ed25519@openssh.com ${skBlob.toString('base64')}\n`),
      Buffer.from(
        `publickey ssh-ed25519-cert-v01@openssh.com ${Buffer.concat([
          wireString('ssh-ed25519-cert-v01@openssh.com'),
          wireString('nonce'),
          wireString(Buffer.alloc(32, 1)),
          uint32(0),
          uint32(9),
          uint32(1),
          wireString('ann'),
        ]).toString('base64')}\n`,
      ),
    ],
    words: [
      'publickey ',
      'SHA256:',
      'ssh-rsa ',
      'ssh-ed25519 ',
      '-cert-v01@openssh.com',
      '\n',
      'AAAA',
      '====',
    ],
    run: (input) => void parseLogin('deployctl', input.toString('latin1')),
  },
  frames: {
    seeds: [Buffer.from(frames)],
    words: [
      ...json,
      '\n',
      '"length"',
      '"blob"',
      '"release"',
      '"end"',
      '"offset"',
      '"size"',
      '"base"',
      frame({ end: 0 }),
    ],
    async run(input) {
      let sum = 0
      const middle = input.length >> 1
      const chunks = (async function* () {
        yield input.subarray(0, middle)
        yield input.subarray(middle)
      })()
      await readFrames(chunks, async ({ payload }) => {
        for await (const chunk of payload) sum += chunk.length
      })
      if (sum > input.length) throw new Error('more was read than there is')
    },
  },
  'deploy.yaml': {
    seeds: configs.map((text) => Buffer.from(text)),
    maxBytes: 512,
    words: [...new Set(configs.join('').match(/\w+:?/g))].concat([
      '&a',
      '*a',
      '<<:',
      '|\n',
      '- ',
      '!!map',
      '? ',
      '{',
      '[',
      '\t',
      '"',
      "'",
      '~',
      '%YAML 1.2\n---\n',
    ]),
    run: (input) => void parseConfig(input.toString('utf8'), 'deploy.yaml'),
  },
}
