// Goes on after the last change when the connection breaks, with clients that subscribe again by themselves.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as dial, createServer, type AddressInfo, type Socket } from 'node:net';
import { env } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient as createEventStream } from 'graphql-sse';
import { createClient as createWebSocket } from 'graphql-ws';
import WebSocket from 'ws';

type Result = { data?: { personalConnectorChanged: { cursor: string; personalConnector: { name: string } | null } } | null };
type Sink = { next(result: Result): void; error(error: unknown): void; complete(): void };
type Variables = Record<string, unknown>;
type Subscribe = (request: { query: string; variables: Variables }, sink: Sink) => () => void;

// The client sends `variables`, this very object, again when it subscribes again.
function follow(subscribe: Subscribe, query: string, variables: Variables, sink: Sink) {
  return subscribe({ query, variables }, {
    ...sink,
    next(result) {
      variables['after'] = result.data?.personalConnectorChanged.cursor ?? variables['after'];
      sink.next(result);
    },
  });
}

function onPing(variables: Variables) {
  return (received: boolean, payload?: Record<string, unknown>) => {
    if (received && payload?.['cursor']) variables['after'] = payload['cursor'];
  };
}

const query = `subscription Live($after: String) {
  personalConnectorChanged(after: $after, filter: { type: [CUSTOM] }) { cursor personalConnector { name } }
}`;

const direct = new URL(env['URL']!);
const Authorization = `Bearer ${env['TOKEN']!}`;

async function ask(query: string, variables = {}) {
  const headers = { Authorization, 'Content-Type': 'application/json' };
  const response = await fetch(direct, { method: 'POST', headers, body: JSON.stringify({ query, variables }) });
  return (await response.json()).data;
}

async function create(name: string) {
  const mutation = `mutation($name: String!) { createCustomConnector(input: { name: $name, serverType: STDIO }) {
    changesCursor userErrors { message } } }`;
  const { createCustomConnector } = await ask(mutation, { name });
  assert.deepEqual(createCustomConnector.userErrors, []);
  return createCustomConnector.changesCursor as string;
}

// A proxy whose connections can be cut.
const sockets = new Set<Socket>();
const proxy = createServer((from) => {
  const to = dial(Number(direct.port), direct.hostname);
  for (const [socket, other] of [[from, to], [to, from]] as const) {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => other.destroy()).pipe(other);
  }
}).listen(0, '127.0.0.1');
await once(proxy, 'listening');
const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/graphql`;
const cut = () => sockets.forEach((socket) => socket.destroy());

const soon = async () => {};
const overWebSocket = createWebSocket({
  url: url.replace(/^http/, 'ws'),
  connectionParams: { Authorization },
  webSocketImpl: WebSocket,
  retryWait: soon,
});
const overEvents = createEventStream({ url, headers: { Authorization }, retry: soon });
const transports: Record<string, Subscribe> = {
  'a WebSocket': (request, sink) => overWebSocket.subscribe(request, sink as never),
  'server-sent events': (request, sink) => overEvents.subscribe(request, sink as never),
};

for (const [name, subscribe] of Object.entries(transports)) {
  const { personalConnectors } = await ask('{ personalConnectors(first: 0) { changesCursor } }');
  const heard: (string | undefined)[] = [];
  const cursors: (string | undefined)[] = [];
  let wake = () => {};
  const until = async (count: number) => {
    while (heard.length < count) await new Promise<void>((resolve) => (wake = resolve));
  };
  const unsubscribe = follow(subscribe, query, { after: personalConnectors.changesCursor }, {
    next({ data }) {
      heard.push(data?.personalConnectorChanged.personalConnector?.name);
      cursors.push(data?.personalConnectorChanged.cursor);
      wake();
    },
    error: (error) => assert.fail(String(error)),
    complete: () => {},
  });
  const expected: string[] = [];
  for (const turn of [1, 2, 3]) {
    for (const when of ['connected', 'cut off']) {
      const named = `${turn} ${when}, over ${name}`;
      if (when === 'cut off') cut();
      expected.push(named);
      // It comes with the cursor that the mutation gave: an echo of one's own.
      const cursor = await create(named);
      await until(expected.length);
      assert.equal(cursors.at(-1), cursor);
    }
  }
  assert.deepEqual(heard, expected);
  unsubscribe();
}

// A socket that is silent for long is given the position that it passed, and goes on there.
{
  const { personalConnectors } = await ask('{ personalConnectors(first: 0) { changesCursor } }');
  const variables: Variables = { after: personalConnectors.changesCursor };
  const ping = onPing(variables);
  let positions = 0;
  const client = createWebSocket({
    url: url.replace(/^http/, 'ws'),
    connectionParams: { Authorization },
    webSocketImpl: WebSocket,
    retryWait: soon,
    on: {
      ping(received, payload) {
        positions += Number(received && payload !== undefined);
        ping(received, payload);
      },
    },
  });
  const rare = `subscription Rare($after: String) {
    personalConnectorChanged(after: $after, list: { search: "Awaited" }) { cursor personalConnector { name } }
  }`;
  const heard = new Promise<Result>((next) =>
    follow((request, sink) => client.subscribe(request, sink as never), rare, variables, {
      next,
      error: (error) => assert.fail(String(error)),
      complete: () => {},
    }));
  const passed = await create('Passed');
  // At most ten seconds without an event, and the service's own delay.
  while (positions === 0) await sleep(100);
  assert.equal(variables['after'], passed);
  cut();
  const cursor = await create('Awaited');
  assert.equal((await heard).data?.personalConnectorChanged.cursor, cursor);
  await client.dispose();
}

// A client that keeps the id of each event sends the last one, with the variables of before.
const { personalConnectors } = await ask('{ personalConnectors(first: 0) { changesCursor } }');
const variables = { after: personalConnectors.changesCursor };
const id = await create('Known');
await create('Missed');
const response = await fetch(direct, {
  method: 'POST',
  headers: { Authorization, 'Content-Type': 'application/json', Accept: 'text/event-stream', 'Last-Event-ID': id },
  body: JSON.stringify({ query, variables }),
});
const { value } = await response.body!.getReader().read();
const event = new TextDecoder().decode(value);
assert.match(event, /^id: \S+\nevent: next\ndata: .*"Missed"/);
proxy.close();
process.exit();
