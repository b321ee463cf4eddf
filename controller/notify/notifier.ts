import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import pRetry from 'p-retry'
import { Webhook } from 'standardwebhooks'
import type { ScheduleRun } from '../history/schedules.ts'
import type { Rollout } from '../rollout/machine.ts'
import type { Schedule } from '../schedule/schedule-schema.ts'
import { kindOf, noticeOf, noticeText, runNotice, type Notice, type NoticeFacts } from './notice.decide.ts'
import {
  noticeKinds,
  type MailSpec,
  type NoticeKind,
  type NotifySpec,
  type Secret,
  type WebhookSpec,
} from './notify-schema.ts'

const retries = 4
const timeoutMs = 10_000

export type NotifierOptions = {
  specs: readonly NotifySpec[]
  /** Directory of deploy.yaml, for files that hold secrets. */
  dir: string
  env: NodeJS.ProcessEnv
  /** Told what could not be delivered; a rollout does not fail for that. */
  onProblem: (text: string) => void
  /** Where people can look at a rollout. */
  linkOf?: ((id: string) => string | null) | undefined
  /** Milliseconds before the first try again; doubled each time. */
  retryMs?: number
}

/** Tells others how a rollout goes, beside it: it never waits for them but at its end. */
export class Notifier {
  readonly #options: NotifierOptions
  #isFirst = true
  #sending: Promise<unknown>[] = []

  constructor(options: NotifierOptions) {
    this.#options = options
  }

  /** Called at each change of a rollout's state. */
  tell(rollout: Rollout, facts: Omit<NoticeFacts, 'link'>): void {
    const kind = kindOf(rollout.state, this.#isFirst)
    this.#isFirst = false
    if (kind === null) return
    const link = this.#options.linkOf?.(rollout.plan.id) ?? null
    this.#tellAll(kind, noticeOf(kind, rollout, { ...facts, link }, new Date().toISOString()))
  }

  /** A run of a schedule that came to nothing. @param link where to look at it */
  tellRun(
    run: Pick<ScheduleRun, 'slot' | 'why'> & { state: 'failed' | 'missed' },
    spec: Schedule,
    link: string | null,
  ): void {
    this.#tellAll(`schedule-${run.state}`, runNotice(run, spec, link, new Date().toISOString()))
  }

  #tellAll(kind: NoticeKind, notice: Notice) {
    for (const spec of this.#options.specs)
      if ((spec.on ?? noticeKinds.slice(1)).includes(kind)) this.#sending.push(this.#send(spec, notice))
  }

  /** Returns when all is delivered, or given up. */
  async flush(): Promise<void> {
    await Promise.all(this.#sending)
  }

  async #send(spec: NotifySpec, notice: Notice): Promise<void> {
    const { onProblem, retryMs = 500 } = this.#options
    // One id for all tries: whoever gets it twice can tell.
    const id = `msg_${randomUUID()}`
    try {
      const send = 'mail' in spec ? await this.#mail(spec, notice, id) : await this.#post(spec, notice, id)
      await pRetry(send, { retries, minTimeout: retryMs })
    } catch (error) {
      onProblem(`${notice.type} was not delivered: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  async #mail(spec: MailSpec, notice: Notice, id: string) {
    const [server, { sendMail }] = await Promise.all([this.#read(spec.smtp), import('./mail.ts')])
    return () => sendMail(spec, server, notice, id)
  }

  async #post({ url, secret, shape }: WebhookSpec, notice: Notice, id: string) {
    const to = await this.#read(url)
    const key = secret && (await this.#read(secret))
    const body = JSON.stringify(shape === 'slack' ? { text: noticeText(notice).text } : notice)
    return () => post(to, body, id, key)
  }

  async #read(secret: Secret | string): Promise<string> {
    if (typeof secret === 'string') return secret
    const { dir, env } = this.#options
    if ('file' in secret) return (await readFile(resolve(dir, secret.file), 'utf8')).trim()
    const value = env[secret.env]
    if (value === undefined) throw new Error(`the variable ${secret.env} is not set`)
    return value
  }
}

/** Signed as https://www.standardwebhooks.com says: id, time and body, by HMAC-SHA256. */
async function post(url: string, body: string, id: string, secret: string | undefined): Promise<void> {
  const now = new Date()
  const signed = secret && {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
    'webhook-signature': webhookOf(secret).sign(id, now, body),
  }
  const headers = { 'content-type': 'application/json', ...signed }
  const signal = AbortSignal.timeout(timeoutMs)
  const response = await fetch(url, { method: 'POST', headers, body, signal, redirect: 'error' })
  await response.body?.cancel()
  if (!response.ok) throw new Error(`it answered ${response.status}`)
}

const webhookOf = (secret: string) =>
  secret.startsWith('whsec_') ? new Webhook(secret) : new Webhook(secret, { format: 'raw' })
