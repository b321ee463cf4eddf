import { randomBytes } from 'node:crypto'
import { encodeDocument } from '../../shared/documents/document.ts'
import { asDeployError, type DeployError } from '../../shared/errors.ts'
import type { Freeze, FreezePeriod } from '../../shared/formats/freeze.ts'
import { namespaces } from '../../shared/formats/namespaces.ts'
import { parserOf } from '../../shared/schema.ts'
import { checkRootTime } from '../../shared/trust/root.ts'
import { ServiceState, type FreezeRequest } from '../../shared/wire/api.ts'
import type { DeployOptions } from './deploy-options.ts'
import { openAll } from './deploy.ts'
import { readState } from './session.ts'

const stateParser = parserOf(ServiceState)
const validMinutes = 5

export type FreezeReport = { host: string; error: DeployError | null }

/**
 * One signed word to all hosts: nothing is deployed of the service until then.
 * @param until ISO instant; null lifts it; or a calendar of times
 */
export async function freezeAll(
  service: string,
  until: string | null | readonly FreezePeriod[],
  reason: string,
  { sessions, target, signer }: Pick<DeployOptions, 'sessions' | 'target' | 'signer'>,
): Promise<FreezeReport[]> {
  const { opened, failed } = await openAll({ sessions, target })
  try {
    const states = await Promise.all(opened.map((session) => readState(session, service)))
    const { root } = sessions.fleet
    const now = Date.now()
    checkRootTime(root, new Date(now).toISOString())
    const freeze: Freeze = {
      spec: 'deployctl/freeze/v1',
      fleet: root.fleet,
      epoch: root.epoch,
      root: root.version,
      opId: randomBytes(16).toString('hex'),
      service,
      ...(until === null || typeof until === 'string' ? { until } : { until: null, periods: [...until] }),
      notBefore: new Date(now).toISOString(),
      expires: new Date(now + validMinutes * 60_000).toISOString(),
      reason,
      hosts: opened.map(({ target: { name } }, index) => ({
        id: name,
        challenge: states[index]?.challenge ?? '',
      })),
    }
    const away = failed.map(({ host, error }) => ({ host, error }))
    if (opened.length === 0) return away
    const bytes = encodeDocument(freeze)
    const signatures = [await signer.sign(namespaces.order, bytes)]
    const body = JSON.stringify({ freeze: bytes.toString(), signatures } satisfies FreezeRequest)
    const sent = opened.map(async ({ client, target: { name } }): Promise<FreezeReport> => {
      try {
        await client.post('/v1/freezes', stateParser, 'application/json', body)
        return { host: name, error: null }
      } catch (error) {
        return { host: name, error: asDeployError(error) }
      }
    })
    return [...(await Promise.all(sent)), ...away]
  } finally {
    for (const { client } of opened) client.close()
  }
}
