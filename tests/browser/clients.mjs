// Runs Apollo Client and urql in a page of another origin: node clients.mjs URL TOKEN PORT
//
// URL is /graphql of a server that allows the origin http://localhost:PORT, TOKEN one with the scope connectors:write.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { build } from 'esbuild';
import { launch } from './browser.mjs';

const [url, token, port] = process.argv.slice(2);

const { outputFiles } = await build({
  entryPoints: [new URL('pages/clients.js', import.meta.url).pathname],
  bundle: true,
  format: 'iife',
  write: false,
});
const script = outputFiles[0].text;
const server = createServer((request, response) => {
  const isScript = request.url === '/clients.js';
  response.writeHead(200, { 'Content-Type': isScript ? 'text/javascript' : 'text/html' });
  response.end(isScript ? script : '<script src="clients.js"></script>');
}).listen(Number(port), 'localhost');

const browser = await launch('localhost', new URL(url).hostname);
const page = await browser.newPage();
const answers = [];
page.on('response', response => {
  if (response.url() === url && response.request().method() === 'POST')
    answers.push(`${response.status()} ${response.headers()['content-type'].split(';')[0]}`);
});
await page.goto(`http://localhost:${port}/`);
// Sentry and OpenTelemetry add some of these headers. docs/reference/http.md describes the others.
const headers = {
  Authorization: `Bearer ${token}`,
  'Cache-Control': 'no-cache',
  baggage: 'sentry-environment=test',
  'sentry-trace': '4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1',
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  'X-Request-Id': 'page',
};
const found = await page.evaluate(([url, headers]) => run(url, headers), [url, headers]);
await browser.close();
server.close();

const [user] = found.users;
assert.ok(user);
assert.deepEqual(found, { users: [user, user], created: [], changes: ['From a page', 'From a page'] });
assert.ok(answers.includes('200 multipart/mixed'), answers.join());
assert.ok(answers.includes('200 text/event-stream'), answers.join());
assert.ok(answers.every(answer => answer.startsWith('200 ')), answers.join());
console.log('Clients in a page: all is well');
