// A proxy that serves the service under a prefix, which it takes off: nothing tells the service of it.

import { createServer, request as send } from 'node:http';
import { connect } from 'node:net';

export async function startProxy(origin, prefix) {
  const { hostname, port } = new URL(origin);
  const inside = path => (path.startsWith(prefix) ? path.slice(prefix.length - 1) : undefined);
  const server = createServer((request, response) => {
    const path = inside(request.url);
    if (path === undefined) return void response.writeHead(404).end();
    const { method, headers } = request;
    const forward = send({ hostname, port, path, method, headers }, answer => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    forward.on('error', () => response.destroy());
    request.pipe(forward);
  });
  server.on('upgrade', (request, socket, head) => {
    const lines = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const to = connect(port, hostname, () => {
      to.write(`GET ${inside(request.url)} HTTP/1.1\r\n${lines.join('')}\r\n`);
      to.write(head);
      to.pipe(socket).pipe(to);
    });
    to.on('error', () => socket.destroy());
    socket.on('error', () => to.destroy());
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  return { origin: `http://127.0.0.1:${server.address().port}`, stop: () => server.close().closeAllConnections() };
}
