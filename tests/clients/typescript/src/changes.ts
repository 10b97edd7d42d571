// Hears of its own changes as they happen, over a WebSocket and over server-sent events.
import assert from 'node:assert/strict';
import { env } from 'node:process';
import { subscriptionExchange } from '@urql/core';
import { createClient as createEventStream } from 'graphql-sse';
import { createClient as createWebSocket } from 'graphql-ws';
import { toAsyncIterable } from 'wonka';
import WebSocket from 'ws';
import { connect } from './client.js';
import { graphql } from './gql/index.js';

const Cursor = graphql(`
  query Cursor {
    personalConnectors(first: 0) { changesCursor }
  }
`);

const Changed = graphql(`
  subscription Changed($after: String) {
    personalConnectorChanged(after: $after, filter: { type: [CUSTOM] }) {
      kind personalConnectorId changedFields
      personalConnector { id name description }
    }
  }
`);

const Create = graphql(`
  mutation CreateNamed($name: String!) {
    createCustomConnector(input: { name: $name, serverType: STDIO }) {
      personalConnector { id }
      userErrors { code field message }
    }
  }
`);

const Describe = graphql(`
  mutation Describe($id: ID!, $description: String!) {
    updateCustomConnector(input: { id: $id, description: $description }) {
      personalConnector { id }
      userErrors { code field message }
    }
  }
`);

const url = env['URL']!;
const Authorization = `Bearer ${env['TOKEN']!}`;
const transports = {
  'WebSocket': createWebSocket({
    url: url.replace(/^http/, 'ws'),
    connectionParams: { Authorization },
    webSocketImpl: WebSocket,
  }),
  'server-sent events': createEventStream({ url, headers: { Authorization } }),
};

for (const [name, transport] of Object.entries(transports)) {
  const subscriptions = subscriptionExchange({
    forwardSubscription: ({ query = '', ...request }) => ({
      subscribe: (sink) => ({ unsubscribe: transport.subscribe({ query, ...request }, sink) }),
    }),
  });
  const client = connect(url, env['TOKEN']!, subscriptions);

  // From where a list stood, no change is missed.
  const { data } = await client.query(Cursor, {});
  const after = data?.personalConnectors.changesCursor;
  const changes = toAsyncIterable(client.subscription(Changed, { after }))[Symbol.asyncIterator]();
  const next = async () => {
    const { value } = await changes.next();
    if (!value?.data) throw value?.error;
    return value.data.personalConnectorChanged;
  };

  const created = await client.mutation(Create, { name: `Over ${name}` });
  const id = created.data!.createCustomConnector!.personalConnector!.id;
  const { kind, personalConnector } = await next();
  assert.deepEqual({ kind, id: personalConnector?.id }, { kind: 'CREATED', id });

  await client.mutation(Describe, { id, description: 'Pages of the wiki' });
  const { changedFields, personalConnector: described } = await next();
  assert.deepEqual(changedFields, ['DESCRIPTION']);
  assert.equal(described?.description, 'Pages of the wiki');
  await changes.return!();
}
