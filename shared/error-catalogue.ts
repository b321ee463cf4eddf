/** Exit codes tell programs what became of production; the README lists them. */
export const exit = {
  internal: 1,
  usage: 2,
  config: 3,
  build: 4,
  refused: 5,
  unreachable: 6,
  aborted: 7,
  rolledBack: 8,
  partial: 9,
  inconsistent: 10,
  unknown: 11,
} as const

type Production = 'untouched' | 'restored' | 'at-risk' | 'unknown'
type Entry = { exit: number; production: Production; message: string; next: string }

const entry = (exitCode: number, production: Production, message: string, next: string): Entry => ({
  exit: exitCode,
  production,
  message,
  next,
})

/**
 * Every error there is. `{name}` is filled from the facts given where it is thrown.
 * docs/errors.md is made from this list (npm run docs), and a test holds them together.
 */
export const catalogue = {
  E_INTERNAL: entry(
    exit.internal,
    'unknown',
    'Unexpected: {detail}',
    'This is a defect in deployctl; run again with --verbose and report it. `deployctl status` tells what runs.',
  ),
  E_USAGE: entry(exit.usage, 'untouched', '{detail}', 'See `deployctl --help`.'),
  E_NOT_CONFIRMED: entry(
    exit.usage,
    'untouched',
    'Not confirmed: {what}',
    'Answer yes at the prompt, or give {flag} when there is nobody to ask.',
  ),

  E_CONFIG_MISSING: entry(
    exit.config,
    'untouched',
    'There is no deploy.yaml in {dir} or above it.',
    'Run `deployctl init` in your project.',
  ),
  E_CONFIG_INVALID: entry(
    exit.config,
    'untouched',
    '{file}:{line}:{column}: {detail}',
    'Correct that line; docs/deploy-yaml.md lists every key.',
  ),
  E_CONFIG_EXISTS: entry(
    exit.config,
    'untouched',
    '{file} exists already.',
    'Edit it, or remove it and run `deployctl init` again.',
  ),
  E_ENVIRONMENT_NEEDED: entry(
    exit.config,
    'untouched',
    'deploy.yaml has several environments: {known}.',
    'Say which: `-e NAME`.',
  ),
  E_ENVIRONMENT_UNKNOWN: entry(
    exit.config,
    'untouched',
    'deploy.yaml has no environment "{name}"; it has: {known}.',
    'Name one of those.',
  ),
  E_NO_HOSTS: entry(
    exit.config,
    'untouched',
    'The environment "{environment}" has no hosts.',
    'Add one: `deployctl host add USER@HOST`.',
  ),
  E_HOST_UNKNOWN: entry(
    exit.config,
    'untouched',
    'Environment "{environment}" has no host "{name}"; it has: {known}.',
    'Name one of those, or add it: `deployctl host add`.',
  ),

  E_BUILD_FAILED: entry(
    exit.build,
    'untouched',
    'The build command `{command}` ended with {status}.',
    'Its last lines are above; run it by hand to see more.',
  ),
  E_BUILD_OUTPUT_MISSING: entry(
    exit.build,
    'untouched',
    'There is no directory {dir} to make a release from.',
    'Check build.output in deploy.yaml, and that the build command writes it.',
  ),
  E_BUILD_EMPTY: entry(
    exit.build,
    'untouched',
    'No file is left for the release in {dir}.',
    'Check build.include and build.exclude in deploy.yaml.',
  ),
  E_BUILD_FILE: entry(
    exit.build,
    'untouched',
    '{path} cannot be part of a release: {why}.',
    'Remove it, or exclude it with build.exclude.',
  ),
  E_BUILD_CHANGED: entry(
    exit.build,
    'untouched',
    '{path} changed while the release was being made.',
    'Run the command again when nothing writes to the directory.',
  ),

  E_SAVED_RELEASE: entry(
    exit.usage,
    'untouched',
    '{dir} is not a release made by `deployctl build`: {why}.',
    'Name the directory that `deployctl build` printed.',
  ),
  E_KEY_MISSING: entry(
    exit.config,
    'untouched',
    'No signing key: {path} is not there.',
    'Run `deployctl init`, or name a key with --key.',
  ),
  E_NO_FLEET: entry(
    exit.config,
    'untouched',
    'There is no fleet yet: {path} is not there.',
    'Run `deployctl init`, or copy the fleet directory of a colleague.',
  ),
  E_KEY_UNREADABLE: entry(
    exit.config,
    'untouched',
    'The key {path} cannot be used: {why}.',
    'Signing needs an ssh-ed25519 key: `ssh-keygen -t ed25519`.',
  ),
  E_KEY_PASSPHRASE: entry(
    exit.config,
    'untouched',
    'The passphrase of {path} is missing or wrong.',
    'Run it on a terminal to be asked, or load the key into ssh-agent.',
  ),
  E_AGENT_REFUSED: entry(
    exit.config,
    'untouched',
    'ssh-agent would not sign with {fingerprint}: {why}.',
    'Check `ssh-add -l`; a hardware key may be waiting for a touch.',
  ),

  E_SIGNATURE_FORMAT: entry(
    exit.refused,
    'untouched',
    'Not a valid SSH signature: {why}.',
    'Sign it again; the file may be cut or changed.',
  ),
  E_SIGNATURE_INVALID: entry(
    exit.refused,
    'untouched',
    'The signature of the {what} does not fit its content.',
    'Someone or something changed it on the way. Build and sign again; if it happens again, find out who.',
  ),
  E_SIGNER_UNKNOWN: entry(
    exit.refused,
    'untouched',
    'The {what} is not signed by a key that may sign it (got {fingerprint}).',
    'Sign with a trusted key; `deployctl doctor` lists the keys a host trusts.',
  ),
  E_DOCUMENT_INVALID: entry(
    exit.refused,
    'untouched',
    'The {what} is not valid: {why}.',
    'Both sides may have different versions; `deployctl doctor` shows them.',
  ),
  E_PATH_UNSAFE: entry(
    exit.refused,
    'untouched',
    'The release has an unsafe path {path}: {why}.',
    'Rename or exclude that file.',
  ),
  E_RELEASE_TOO_LARGE: entry(
    exit.refused,
    'untouched',
    'The release has {count} {what}; {limit} are allowed.',
    'Exclude what need not be deployed (build.exclude).',
  ),

  E_WRONG_FLEET: entry(
    exit.refused,
    'untouched',
    'This host belongs to fleet {own}, the {what} is for {other}.',
    'Check the host in deploy.yaml and the key directory you use.',
  ),
  E_WRONG_HOST: entry(
    exit.refused,
    'untouched',
    'The order does not name this host ({own}).',
    'Check the host entries in deploy.yaml.',
  ),
  E_WRONG_SERVICE: entry(
    exit.refused,
    'untouched',
    'The {what} is for service {other}, not {own}.',
    'Check `service` in deploy.yaml.',
  ),
  E_ORDER_EXPIRED: entry(
    exit.refused,
    'untouched',
    "The order is valid from {notBefore} to {expires}; the host's clock says {now}.",
    'Compare the clocks (`deployctl doctor`) and push again.',
  ),
  E_ORDER_SEQ: entry(
    exit.refused,
    'untouched',
    'Someone else deployed first: this host expects order {expected}, got {given}. {who}',
    'Look at `deployctl history`, then push again if you still want to.',
  ),
  E_ORDER_PREV: entry(
    exit.refused,
    'untouched',
    'The order replaces {given}, but the host runs {expected}. {who}',
    'Look at `deployctl status`, then push again if you still want to.',
  ),
  E_ORDER_CHALLENGE: entry(
    exit.refused,
    'untouched',
    'The order does not answer a fresh challenge of this host.',
    'Push again; an order can be used once only.',
  ),
  E_ORDER_REPLAYED: entry(
    exit.refused,
    'untouched',
    'The order {opId} was carried out already.',
    'Push again; an order can be used once only.',
  ),
  E_ORDER_LOST: entry(
    exit.aborted,
    'untouched',
    'The order never reached {host}: the connection broke before.',
    'Push again.',
  ),
  E_BUSY: entry(
    exit.refused,
    'untouched',
    'A deployment of {service} is under way ({opId}, {state}).',
    'Wait for it to end: `deployctl status`.',
  ),
  E_RELEASE_UNKNOWN: entry(
    exit.refused,
    'untouched',
    'This host has no release {release} of {service}.',
    'Push it; `deployctl history` shows what was there.',
  ),
  E_RELEASE_AMBIGUOUS: entry(
    exit.usage,
    'untouched',
    '"{name}" fits more than one release: {found}.',
    'Give more digits of its digest.',
  ),
  E_RELEASE_INCOMPLETE: entry(
    exit.aborted,
    'untouched',
    '{missing} files of the release are not on the host yet.',
    'Push again; what arrived is kept.',
  ),
  E_ENVIRONMENT_DIGEST: entry(
    exit.refused,
    'untouched',
    'The environment sent does not fit the digest in the order.',
    'Push again; if it happens again, someone changes what you send.',
  ),
  E_NOTHING_TO_ROLL_BACK: entry(
    exit.refused,
    'untouched',
    '{service} has no earlier release on {host}.',
    '`deployctl history` shows what was there.',
  ),
  E_BASE_UNKNOWN: entry(
    exit.aborted,
    'untouched',
    'The host no longer has {base}.',
    'The push sends it whole instead.',
  ),

  E_BLOB_MISMATCH: entry(
    exit.aborted,
    'untouched',
    'What arrived as {blob} has another digest.',
    'Push again; if it happens again, someone changes what you send, or a disk is failing.',
  ),
  E_BLOB_UNEXPECTED: entry(
    exit.refused,
    'untouched',
    'Nobody asked for {blob}.',
    'Both sides may have different versions; `deployctl doctor` shows them.',
  ),
  E_PACK_FORMAT: entry(
    exit.refused,
    'untouched',
    'The upload is not a valid pack: {why}.',
    'Push again; both sides may have different versions.',
  ),
  E_DISK_FULL: entry(
    exit.aborted,
    'untouched',
    'Not enough disk space on {host}: {need} needed, {free} free under {path}.',
    'Make room, or keep fewer releases (`keepReleases` in the agent’s settings), and push again.',
  ),
  E_INODES_FULL: entry(
    exit.aborted,
    'untouched',
    'Not enough inodes on {host}: {need} needed, {free} free under {path}.',
    'Make room and push again.',
  ),
  E_STORE: entry(
    exit.aborted,
    'untouched',
    'The host could not store the release: {why}.',
    "See `deployctl doctor` and the agent's log.",
  ),

  E_HOST_KEY_UNKNOWN: entry(
    exit.unreachable,
    'untouched',
    '{host} is not in known_hosts; it shows {type} {fingerprint}.',
    'Compare it with `ssh-keygen -lf` on the host, then run `deployctl host trust {name}`, or give --host-key {fingerprint}.',
  ),
  E_HOST_KEY_CHANGED: entry(
    exit.unreachable,
    'untouched',
    'The host key of {host} CHANGED: it shows {fingerprint}, known is {known}. Someone may be listening.',
    "If you reinstalled it, compare with the host's console, then run `deployctl host trust {name} --replace`.",
  ),
  E_HOST_KEY_REVOKED: entry(
    exit.unreachable,
    'untouched',
    'The host key of {host} is marked as revoked in {file}.',
    'Do not connect; give the host a new key.',
  ),
  E_SSH_CONNECT: entry(
    exit.unreachable,
    'untouched',
    'Cannot reach {host}: {why}.',
    'Check address, port and firewall; `ssh -v` to that host tells more.',
  ),
  E_SSH_AUTH: entry(
    exit.unreachable,
    'untouched',
    '{host} accepts none of your keys as {user} (tried: {tried}).',
    'Add your public key there, or load it: `ssh-add`.',
  ),
  E_SSH_SUBSYSTEM: entry(
    exit.unreachable,
    'untouched',
    '{host} has no subsystem "deployctl": {why}.',
    'Set the host up first: docs/hosts.md.',
  ),
  E_SSH_EXEC: entry(
    exit.unreachable,
    'untouched',
    '{host} runs no commands for you: {why}.',
    'Log in as an administrator: `deployctl host add USER@HOST`. Where an agent runs already: --installed.',
  ),
  E_SSH_CONFIG: entry(
    exit.config,
    'untouched',
    'The ssh settings for {host} cannot be used: {why}.',
    'Compare with `ssh -G {host}`.',
  ),
  E_CONNECTION_LOST: entry(
    exit.unknown,
    'unknown',
    'The connection to {host} broke while {during}.',
    'The host finishes or undoes it by itself; `deployctl status` tells which.',
  ),
  E_TIMEOUT: entry(
    exit.unknown,
    'unknown',
    '{host} did not answer within {seconds} s while {during}.',
    'The host finishes or undoes it by itself; `deployctl status` tells which.',
  ),
  E_HOST_ANSWER: entry(
    exit.unreachable,
    'unknown',
    '{host} gave an answer that deployctl does not understand: {why}.',
    'Compare versions with `deployctl doctor`.',
  ),
  E_API_VERSION: entry(
    exit.unreachable,
    'untouched',
    '{host} runs agent {agent} (API {theirs}); this deployctl speaks API {ours}.',
    'Upgrade the older side.',
  ),
  E_HOST_IDENTITY: entry(
    exit.refused,
    'unknown',
    '{host} answers as "{given}" with receipt key {key}; pinned is "{known}" with {knownKey}.',
    'If you set it up anew, run `deployctl host trust {name} --replace`.',
  ),
  E_RECEIPT_INVALID: entry(
    exit.unknown,
    'unknown',
    'The receipt of {host} cannot be trusted: {why}.',
    'Run `deployctl history --verify` and look at the host.',
  ),

  E_AGENT_RUNS: entry(
    exit.config,
    'untouched',
    'Another agent answers on {path} already.',
    'End that one first, or give this one another --dir.',
  ),
  E_AGENT_DOWN: entry(
    exit.unreachable,
    'untouched',
    'The agent of {host} does not answer.',
    'Start it on the host: `systemctl start deploy-agent`, or `deploy-agent serve`.',
  ),
  E_HOST_UNFIT: entry(
    exit.refused,
    'untouched',
    '{host} cannot be set up as it is: {problems}.',
    'Each line above names its remedy; nothing was changed. Then run the command again.',
  ),
  E_SUDO: entry(
    exit.unreachable,
    'untouched',
    '{user} cannot become root on {host}: {why}.',
    'Log in as somebody who may use sudo (or as root), or give the password when asked (DEPLOYCTL_SUDO_PASSWORD where nobody can be).',
  ),
  E_LOGIN_KEY: entry(
    exit.config,
    'untouched',
    'None of your SSH keys is known that could log in to {host} for pushes.',
    'Make one (`ssh-keygen -t ed25519`), load it (`ssh-add`), or name one: --login-key FILE.pub.',
  ),
  E_SETUP_STEP: entry(
    exit.aborted,
    'unknown',
    '{host}: could not {step}: {why}.',
    'Steps before it are done and stay. Correct that and run the command again; it completes the rest.',
  ),
  E_AGENT_UPGRADE: entry(
    exit.rolledBack,
    'restored',
    'Agent {version} does not come up on {host}: {why}. Agent {previous} runs again; services were not touched.',
    'See `journalctl -u deploy-agent` on the host, and report it.',
  ),
  E_RUNTIME: entry(
    exit.build,
    'untouched',
    'The agent for {arch} cannot be made here: {why}.',
    'Check the connection to the npm registry, then run the command again.',
  ),
  E_HOST_NOT_SET_UP: entry(
    exit.config,
    'untouched',
    '{dir} is not the directory of a host.',
    'Run `deploy-agent setup` there first: docs/hosts.md.',
  ),
  E_CHECK_FAILED: entry(
    exit.aborted,
    'untouched',
    'The release cannot run here: {why}.',
    'Correct the release and push again.',
  ),
  E_SERVICE_UNREGISTERED: entry(
    exit.refused,
    'untouched',
    'This host does not know a service "{service}".',
    'Register it there, once: `deployctl service add`.',
  ),
  E_SERVICE_REGISTRATION: entry(
    exit.aborted,
    'untouched',
    'The host has {service} registered with {registered}; the release asks for {wanted}.',
    'Register it anew: `deployctl service add`; it shows what changes.',
  ),
  E_UNIT: entry(
    exit.aborted,
    'unknown',
    'systemd could not {verb} {unit}: {why}.',
    'See `deployctl logs` and, on the host, `systemctl status {unit}`.',
  ),
  E_SERVICE_START: entry(
    exit.rolledBack,
    'restored',
    'The new release did not start: {why}.',
    'Its last log lines are above; correct it and push again.',
  ),
  E_SERVICE_STOP: entry(
    exit.aborted,
    'untouched',
    '{service} did not stop within {seconds} s.',
    'See its log: `deployctl logs`.',
  ),
  E_PROBE_FAILED: entry(
    exit.rolledBack,
    'restored',
    'The new release is not healthy: {why}.',
    'Its last answer and log lines are above; correct it and push again.',
  ),
  E_CONFIRM_TIMEOUT: entry(
    exit.rolledBack,
    'restored',
    'Nobody confirmed over a fresh connection within {seconds} s.',
    'The host may have cut itself off the network with this release; check what it changes.',
  ),
  E_CONFIRM_REFUSED: entry(
    exit.refused,
    'unknown',
    'The confirm was refused: {why}.',
    'The host goes back by itself when nobody confirms; `deployctl status` tells.',
  ),
  E_INTERRUPTED: entry(
    exit.rolledBack,
    'restored',
    'The agent was interrupted while it was {state} and went back to the old release.',
    'Push again; `deployctl history` has the details.',
  ),
  E_ROLLBACK_FAILED: entry(
    exit.inconsistent,
    'at-risk',
    'Rolling back {service} failed as well: {why}.',
    'Look at the service now (`deployctl logs`), then push a release known to be good.',
  ),
  E_SUPERVISOR: entry(
    exit.aborted,
    'unknown',
    'The supervisor does not answer: {why}.',
    "See `deployctl doctor` and the agent's log.",
  ),

  E_ABORTED: entry(
    exit.aborted,
    'untouched',
    'Nothing was changed: {why}',
    'Correct what is named above and push again.',
  ),
  E_ROLLED_BACK: entry(
    exit.rolledBack,
    'restored',
    '{count} of {total} hosts went back to the old release.',
    'The reasons are above; correct them and push again.',
  ),
  E_PARTIAL: entry(
    exit.partial,
    'at-risk',
    '{done} of {total} hosts run the new release; the others do not: {others}.',
    'Push again, or `deployctl rollback` on those that switched.',
  ),
  E_INCONSISTENT: entry(
    exit.inconsistent,
    'at-risk',
    '{hosts}: neither the new nor the old release runs well.',
    'Look at the host now (`deployctl logs`), then push a release known to be good.',
  ),
  E_HISTORY_BROKEN: entry(
    exit.refused,
    'unknown',
    '{count} of {total} receipts do not verify.',
    'The list above says which; a missing or altered receipt means that a host or this history was tampered with.',
  ),
  E_DOCTOR: entry(
    exit.aborted,
    'unknown',
    'Findings that need attention: {count}.',
    'Each one above names its remedy.',
  ),
} as const satisfies Record<string, Entry>

export type ErrorCode = keyof typeof catalogue
