import { Name } from '../../../shared/formats/names.ts'
import { Strict, Type, parserOf, type Static } from '../../../shared/schema.ts'
import { InstanceSpec, Slot } from '../manager.ts'

/** One line of JSON each way on the supervisor's Unix socket. */
export const SupervisorRequest = Type.Union([
  Strict({ do: Type.Literal('start'), spec: InstanceSpec, isHeld: Type.Boolean() }),
  Strict({ do: Type.Literal('retarget'), spec: InstanceSpec }),
  Strict({ do: Type.Literal('let'), service: Name, slot: Slot }),
  Strict({ do: Type.Literal('stop'), service: Name, slot: Slot }),
  Strict({ do: Type.Literal('status'), service: Name }),
  Strict({ do: Type.Literal('end') }),
])
export type SupervisorRequest = Static<typeof SupervisorRequest>
export const requestParser = parserOf(SupervisorRequest)

export type SupervisorAnswer = { ok: true; value: unknown } | { ok: false; code: string; why: string }

/** Everything of the embedded manager under the agent's directory. */
export const supervisorPaths = (dir: string) => ({
  socket: `${dir}/supervisor.sock`,
  desired: `${dir}/supervisor.json`,
  /** Short, since the kernel takes 107 characters. */
  private: (service: string, slot: Slot) => `${dir}/private/${service}.${slot}`,
  log: (service: string) => `${dir}/logs/${service}.log`,
  ownLog: `${dir}/logs/supervisor.out`,
})
