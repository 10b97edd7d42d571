// What the protocols' own clients meet when something is wrong.
import assert from 'node:assert/strict';
import { env } from 'node:process';
import { createClient as createEventStream, NetworkError } from 'graphql-sse';
import { type ClientOptions, createClient as createWebSocket } from 'graphql-ws';
import WebSocket from 'ws';

const url = env['URL']!;
const good = { Authorization: `Bearer ${env['TOKEN']!}` };
const bad = { Authorization: 'Bearer none' };

const webSocket = (options: Partial<ClientOptions>) =>
  createWebSocket({ url: url.replace(/^http/, 'ws'), webSocketImpl: WebSocket, ...options });
const eventStream = (headers: Record<string, string>) => createEventStream({ url, headers, retryAttempts: 0 });

type Client = { iterate(request: { query: string }): AsyncIterable<unknown> };

/** All that an operation says, and what it ends with unless it completes. */
async function all(client: Client, query: string) {
  const said: unknown[] = [];
  try {
    for await (const next of client.iterate({ query })) said.push(next);
  } catch (error) {
    return { said, error };
  }
  return { said };
}

const viewer = 'query { viewer { userId } }';
const answer = { data: { viewer: { userId: 'ann' } } };
const broken = 'subscription { personalConnectorChanged { nothing } }';
const expired = 'subscription { personalConnectorChanged(after: "AAAA") { kind } }';
const codeOf = (errors: unknown) => (errors as { extensions: { code: string } }[])[0]?.extensions.code;

// A bad token closes the socket with 4403, and a client that renews its token goes on.
const refused = await all(webSocket({ connectionParams: bad, retryAttempts: 0 }), viewer);
assert.equal((refused.error as CloseEvent).code, 4403);
const tokens = [bad, good];
const renewing = webSocket({ connectionParams: () => tokens.shift(), retryAttempts: 1, retryWait: async () => {} });
assert.deepEqual(await all(renewing, viewer), { said: [answer] });
assert.deepEqual(tokens, []);

// What is no valid operation is an error, and the socket serves on.
const socket = webSocket({ connectionParams: good, lazyCloseTimeout: 1000 });
const invalid = await all(socket, broken);
assert.deepEqual([invalid.said, codeOf(invalid.error)], [[], 'GRAPHQL_VALIDATION_FAILED']);
const unbegun = await all(socket, expired);
assert.equal(codeOf((unbegun.said[0] as { errors: unknown }).errors), 'CURSOR_INVALID');
assert.deepEqual(await all(socket, viewer), { said: [answer] });
await socket.dispose();

// Of events, a bad token is the response's status, and the rest is said as an answer.
const unauthorized = await all(eventStream(bad), viewer);
assert.ok(unauthorized.error instanceof NetworkError);
assert.equal((unauthorized.error as NetworkError<Response>).response?.status, 401);
const events = eventStream(good);
for (const [query, code] of [[broken, 'GRAPHQL_VALIDATION_FAILED'], [expired, 'CURSOR_INVALID']] as const) {
  const { said, error } = await all(events, query);
  assert.deepEqual([said.length, error], [1, undefined]);
  assert.equal(codeOf((said[0] as { errors: unknown }).errors), code);
}
assert.deepEqual(await all(events, viewer), { said: [answer] });
