// Lists connectors page by page, creates one, changes it, and meets both kinds of errors.
import assert from 'node:assert/strict';
import { CombinedGraphQLErrors } from '@apollo/client';
import { filter, firstValueFrom } from 'rxjs';
import { connect } from './client.js';
import { graphql, type VariablesOf } from './graphql.js';

const List = graphql(`
  query List($filter: PersonalConnectorFilter, $after: String) {
    personalConnectors(filter: $filter, first: 2, after: $after) {
      totalCount
      edges {
        node { id object name type category status createdAt metadata }
      }
      pageInfo { hasNextPage endCursor }
    }
  }
`);

const Connector = graphql(`
  query Connector($id: ID!) {
    personalConnector(id: $id) { id name version metadata }
  }
`);

const Create = graphql(`
  mutation Create($input: CreateCustomConnectorInput!) {
    createCustomConnector(input: $input) {
      personalConnector { id name metadata }
      userErrors { code field message }
    }
  }
`);

const Update = graphql(`
  mutation Update($input: UpdateCustomConnectorInput!) {
    updateCustomConnector(input: $input) {
      personalConnector { id version }
      userErrors { code field message }
    }
  }
`);

const client = connect();

// Each page asks for the next. The cache has them as one list.
const variables: VariablesOf<typeof List> = {
  filter: { type: ['OFFICIAL', 'AITRONOS_BUILT'], not: { status: ['DEPRECATED'] } },
};
const list = client.watchQuery({ query: List, variables });
await firstValueFrom(list.pipe(filter(({ dataState }) => dataState === 'complete')));
const listed = () => client.readQuery({ query: List, variables })!.personalConnectors;
let pages = 1;
for (; listed().pageInfo.hasNextPage && pages < 10; pages++) {
  await list.fetchMore({ variables: { after: listed().pageInfo.endCursor } });
}
assert.ok(pages >= 3);
assert.equal(new Set(listed().edges.map(({ node }) => node.id)).size, listed().totalCount);
assert.ok(listed().edges.every(({ node }) => node.object === 'personal_connector'));

// An error in the input is in `userErrors`.
const serverUrl = 'https://wiki.example.com/mcp';
const blank = await client.mutate({ mutation: Create, variables: { input: { name: ' ', serverUrl } } });
assert.deepEqual(
  blank.data?.createCustomConnector?.userErrors.map(({ code, field }) => ({ code, field })),
  [{ code: 'BLANK', field: ['input', 'name'] }],
);

// The answer to a mutation changes what queries have read.
const metadata = { owner: 'engineering' };
const created = await client.mutate({ mutation: Create, variables: { input: { name: 'Our wiki', serverUrl, metadata } } });
const { id } = created.data!.createCustomConnector!.personalConnector!;
const { data } = await client.query({ query: Connector, variables: { id } });
assert.deepEqual(data?.personalConnector?.metadata, metadata);
await client.mutate({ mutation: Update, variables: { input: { id, version: '1.0.0' } } });
assert.equal(client.readQuery({ query: Connector, variables: { id } })?.personalConnector?.version, '1.0.0');

// Everything else is an error of the request, with a code. The second has the status 401.
const codes = async (answer: Promise<unknown>) => {
  const error: unknown = await answer.then(() => undefined, (reason: unknown) => reason);
  return CombinedGraphQLErrors.is(error) ? error.errors.map(({ extensions }) => extensions?.['code']) : error;
};
const invalid = client.query({ query: List, variables: { after: 'no cursor' } });
assert.deepEqual(await codes(invalid), ['CURSOR_INVALID']);
const stranger = connect({ token: 'none' });
assert.deepEqual(await codes(stranger.query({ query: List })), ['UNAUTHENTICATED']);
