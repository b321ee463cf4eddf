import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import pRetry from 'p-retry'
import { Webhook } from 'standardwebhooks'
import type { Rollout } from '../rollout/machine.ts'
import { kindOf, noticeOf, noticeText, type Notice, type NoticeFacts } from './notice.decide.ts'
import { noticeKinds, type NotifySpec, type Secret } from './notify-schema.ts'

const retries = 4
const timeoutMs = 10_000

export type NotifierOptions = {
  specs: readonly NotifySpec[]
  /** Directory of deploy.yaml, for files that hold secrets. */
  dir: string
  env: NodeJS.ProcessEnv
  /** Told what could not be delivered; a rollout does not fail for that. */
  onProblem: (text: string) => void
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
  tell(rollout: Rollout, facts: NoticeFacts): void {
    const kind = kindOf(rollout.state, this.#isFirst)
    this.#isFirst = false
    if (kind === null) return
    const notice = noticeOf(kind, rollout, facts, new Date().toISOString())
    for (const spec of this.#options.specs)
      if ((spec.on ?? noticeKinds.slice(1)).includes(kind)) this.#sending.push(this.#send(spec, notice))
  }

  /** Returns when all is delivered, or given up. */
  async flush(): Promise<void> {
    await Promise.all(this.#sending)
  }

  async #send(spec: NotifySpec, notice: Notice): Promise<void> {
    const { onProblem, retryMs = 500 } = this.#options
    try {
      const url = typeof spec.url === 'string' ? spec.url : await this.#read(spec.url)
      const secret = spec.secret && (await this.#read(spec.secret))
      const body = JSON.stringify(spec.shape === 'slack' ? { text: noticeText(notice) } : notice)
      // One id for all tries: whoever gets it twice can tell.
      const id = `msg_${randomUUID()}`
      await pRetry(() => post(url, body, id, secret), { retries, minTimeout: retryMs })
    } catch (error) {
      onProblem(`${notice.type} was not delivered: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  async #read(secret: Secret): Promise<string> {
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
