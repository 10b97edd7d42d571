// Counts requests: no query is asked twice, and a query that the service knows is sent as its hash, by GET.
import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import type { TypePolicies } from '@apollo/client';
import { connect, typePolicies } from './client.js';
import { graphql } from './graphql.js';

const Check = graphql(`
  mutation Check($id: ID!) {
    checkConnector(input: { id: $id }) {
      personalConnector { id health { outcome } }
      userErrors { code field message }
    }
  }
`);

const Create = graphql(`
  mutation Create {
    createCustomConnector(input: { name: "Our board", serverUrl: "https://board.example.com/mcp" }) {
      personalConnector { id }
      userErrors { code field message }
    }
  }
`);

const List = graphql(`
  query List {
    personalConnectors(filter: { type: [CUSTOM] }) {
      totalCount
      edges {
        node { id name health { outcome } tools { totalCount } }
      }
    }
  }
`);

const Detail = graphql(`
  query Detail($id: ID!) {
    personalConnector(id: $id) {
      id
      health {
        checkedAt
        history(first: 5) {
          edges { node { outcome checkedAt } }
        }
      }
      tools { edges { node { name } } }
    }
  }
`);

const CountsByStatus = graphql(`
  query CountsByStatus {
    personalConnectors(filter: { type: [CUSTOM] }) { facets { status { name count } } }
  }
`);

const CountsByCategory = graphql(`
  query CountsByCategory {
    personalConnectors(filter: { type: [CUSTOM] }) { facets { category { name count } } }
  }
`);

const Who = graphql(`
  query Who {
    viewer { userId organizationId }
  }
`);

const Rights = graphql(`
  query Rights {
    viewer { scopes canCreateCustomConnector }
  }
`);

const ServerName = graphql(`
  fragment ServerName on PersonalConnector {
    __typename
    health { __typename serverInfo { __typename name } }
  }
`);

const ServerVersion = graphql(`
  fragment ServerVersion on PersonalConnector {
    __typename
    health { __typename serverInfo { __typename version } }
  }
`);

/** A `fetch` that remembers the requests, and a function that gives them once no more come. */
function recorder() {
  const requests: string[] = [];
  let waiting = 0;
  const record: typeof fetch = async (input, init) => {
    const { searchParams } = new URL(input as string);
    const body = init?.method === 'POST' ? JSON.parse(init.body as string) : Object.fromEntries(searchParams);
    requests.push(`${init?.method} ${body.operationName} by its ${body.query ? 'text' : 'hash'}`);
    waiting++;
    return fetch(input, init).finally(() => waiting--);
  };
  const settled = async () => {
    let before;
    do {
      before = requests.length;
      await setTimeout(100);
    } while (waiting > 0 || requests.length > before);
    return requests;
  };
  return { record, settled };
}

/** Shows a list, a connector, counts and the viewer, as the parts of one page do, and gives the requests for them. */
async function show(policies: TypePolicies) {
  const { record, settled } = recorder();
  const client = connect({ policies, fetch: record });
  const queries = [
    client.watchQuery({ query: List }),
    client.watchQuery({ query: Detail, variables: { id } }),
    client.watchQuery({ query: CountsByStatus }),
    client.watchQuery({ query: CountsByCategory }),
    client.watchQuery({ query: Who }),
    client.watchQuery({ query: Rights }),
  ];
  for (const query of queries) {
    query.subscribe({});
    await settled();
  }
  for (const query of queries) assert.equal(query.getCurrentResult().dataState, 'complete');
  client.stop();
  return settled();
}

const client = connect();
const created = await client.mutate({ mutation: Create });
const { id } = created.data!.createCustomConnector!.personalConnector!;
const checked = await client.mutate({ mutation: Check, variables: { id } });
assert.equal(checked.data?.checkConnector?.personalConnector?.health?.outcome, 'BLOCKED');

const names = ['List', 'Detail', 'CountsByStatus', 'CountsByCategory', 'Who', 'Rights'];

// The service does not know the documents: each is sent by its hash, and then with its text.
assert.deepEqual(
  await show(typePolicies),
  names.flatMap((name) => [`GET ${name} by its hash`, `POST ${name} by its text`]),
);
// From then on a query is one GET.
assert.deepEqual(
  await show(typePolicies),
  names.map((name) => `GET ${name} by its hash`),
);
// Without the policies, two queries replace each other's fields, and each is asked again.
const without = await show({});
const repeated = names.filter((name) => without.filter((request) => request.includes(` ${name} `)).length > 1);
assert.deepEqual(repeated, names);

// A server that was called says its name and version. The tests call none, and so write into the cache.
const { cache } = client;
const wiki = { __typename: 'PersonalConnector', id: 'pcon_wiki' } as const;
const health = { __typename: 'ConnectorHealth' } as const;
const serverInfo = { __typename: 'McpServerInfo' } as const;
const named = { ...wiki, health: { ...health, serverInfo: { ...serverInfo, name: 'wiki' } } };
const versioned = { ...wiki, health: { ...health, serverInfo: { ...serverInfo, version: '1.0.0' } } };
cache.writeFragment({ fragment: ServerName, data: named });
cache.writeFragment({ fragment: ServerVersion, data: versioned });
assert.equal(cache.readFragment({ fragment: ServerName, from: wiki })?.health?.serverInfo?.name, 'wiki');
