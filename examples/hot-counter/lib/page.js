import prettyMs from 'pretty-ms'

export const page = ({ count, messages, since, step, clients }) => `<!doctype html>
<title>Counter</title>
<h1 id="count">${count}</h1>
<p>plus ${step} every second for ${prettyMs(Date.now() - since, { compact: true })}, ${messages} messages, ${clients} browsers</p>
<script>
  const socket = new WebSocket(location.href.replace('http', 'ws'))
  socket.onmessage = ({ data }) => (document.querySelector('#count').textContent = JSON.parse(data).count)
  socket.onclose = () => setTimeout(() => location.reload(), 500)
</script>
`
