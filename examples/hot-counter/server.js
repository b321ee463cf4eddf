// The cold part: loaded once, and there until the process ends. It holds what must not break off (the
// socket, open connections) and calls through the handle, which always leads to the code of now.
import { createServer } from 'node:http'
import { createHot, listen, onDrain } from 'deployctl-service'
import { WebSocketServer } from 'ws'

const hot = await createHot({ boundaries: ['./app.js'] })
const app = hot.handle('./app.js')

const server = createServer((request, response) =>
  app.call((module, state, context) => module.handle(request, response, state, context)),
)
const sockets = new WebSocketServer({ server })
sockets.on('connection', (socket) => {
  app.call((module, state, context) => module.join(socket, state, context))
  socket.on('message', (data) =>
    app.call((module, state, context) => module.receive(socket, String(data), state, context)),
  )
  socket.on('close', () => app.call((module, state, context) => module.leave(socket, context)))
})
onDrain(() => sockets.close())

// Under deployctl on the socket that the host holds; elsewhere on port 8080.
listen(server, { port: 8080 })
