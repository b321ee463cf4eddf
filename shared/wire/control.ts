import { Strict, Type, parserOf, type Static } from '../schema.ts'

/**
 * What the agent and the library say to each other over an instance's private socket. A connection begins
 * with one line, `DEPLOYCTL/1 ` and a request as JSON. After `connect` it is handed to the server that
 * listens on that socket, as if a client had come; every other request is answered in lines of JSON.
 */
export type ControlRequest =
  | { do: 'status' }
  /** Begin to take traffic; answered when it does. */
  | { do: 'accept' }
  /** The status now and whenever it changes, until the end. */
  | { do: 'watch' }
  | { do: 'connect'; socket: string }

export const controlLine = (request: ControlRequest): string => `DEPLOYCTL/1 ${JSON.stringify(request)}\n`

const Count = Type.Integer({ minimum: 0 })
export const ControlStatus = Strict({
  /** Sockets whose server is there, by name. */
  ready: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 64 }),
  state: Type.Union([
    Type.Literal('held'),
    Type.Literal('accepting'),
    Type.Literal('draining'),
    Type.Literal('drained'),
  ]),
  /** Being answered now. */
  requests: Count,
  /** WebSockets and event streams. */
  connections: Count,
  /** What was cut off at the end of its time. */
  cut: Strict({ requests: Count, connections: Count }),
})
export type ControlStatus = Static<typeof ControlStatus>
export const controlStatusParser = parserOf(ControlStatus)
