// The boundary: this module and all that it imports are exchanged while the program runs.
import { page } from './lib/page.js'
import { step } from './lib/step.js'

/** Of the state below. Whoever changes its shape counts it up, and says how the old one becomes the new. */
export const version = 1
export const init = () => ({ count: 0, messages: 0, since: Date.now() })

/** Run again and again by the library, with the code of now: `tick` every second. */
export const jobs = { tick: 1000 }

/** What is no plain data, and outlives a release. */
const clientsOf = (context) => context.resource('clients', () => new Set())

export function tick(state, context) {
  state.count += step
  for (const socket of clientsOf(context)) socket.send(JSON.stringify({ count: state.count, step }))
}

export function handle(request, response, state, context) {
  if (request.url === '/healthz') return response.end('well\n')
  if (request.url === '/count') return response.end(`${state.count}\n`)
  response.setHeader('content-type', 'text/html; charset=utf-8')
  response.end(page({ ...state, step, clients: clientsOf(context).size }))
}

export const join = (socket, state, context) => void clientsOf(context).add(socket)
export const leave = (socket, context) => void clientsOf(context).delete(socket)

export function receive(socket, text, state) {
  state.messages += 1
  socket.send(JSON.stringify({ count: state.count, echo: text }))
}
