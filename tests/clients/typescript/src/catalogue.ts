// Lists connectors page by page, creates one, and meets both kinds of errors.
import assert from 'node:assert/strict';
import { env } from 'node:process';
import { connect } from './client.js';
import { graphql } from './gql/index.js';
import type { ConnectorsQueryVariables } from './gql/graphql.js';

const Connectors = graphql(`
  query Connectors($filter: PersonalConnectorFilter, $after: String) {
    personalConnectors(filter: $filter, first: 2, after: $after) {
      totalCount
      edges {
        node { id object name type category status createdAt metadata }
      }
      pageInfo { hasNextPage endCursor }
    }
  }
`);

const Create = graphql(`
  mutation Create($input: CreateCustomConnectorInput!) {
    createCustomConnector(input: $input) {
      personalConnector { id name status metadata }
      userErrors { code field message }
    }
  }
`);

const client = connect(env['URL']!, env['TOKEN']!);

// Each page asks for the next; the cache has them as one list.
const variables: ConnectorsQueryVariables = {
  filter: { type: ['OFFICIAL', 'AITRONOS_BUILT'], not: { status: ['DEPRECATED'] } },
};
let pages = 0;
for (let after: string | null | undefined, more = true; more; pages++) {
  const { data, error } = await client.query(Connectors, { ...variables, after });
  if (!data) throw error;
  ({ endCursor: after, hasNextPage: more } = data.personalConnectors.pageInfo);
}
const list = client.readQuery(Connectors, variables)?.data?.personalConnectors;
assert.ok(pages >= 3);
assert.equal(new Set(list?.edges.map(({ node }) => node.id)).size, list?.totalCount);

// What the input can mend is in `userErrors`, null in the data otherwise.
const blank = await client.mutation(Create, { input: { name: ' ', serverUrl: 'https://wiki.example.com/mcp' } });
assert.deepEqual(
  blank.data?.createCustomConnector?.userErrors.map(({ code, field }) => ({ code, field })),
  [{ code: 'BLANK', field: ['input', 'name'] }],
);

const created = await client.mutation(Create, {
  input: { name: 'Our wiki', serverUrl: 'https://wiki.example.com/mcp', metadata: { owner: 'engineering' } },
});
assert.deepEqual(created.data?.createCustomConnector?.personalConnector?.metadata, { owner: 'engineering' });

// Everything else is an error of the request, with a code.
const broken = await client.query(Connectors, { ...variables, after: 'no cursor' });
assert.deepEqual(broken.error?.graphQLErrors.map(({ extensions }) => extensions['code']), ['CURSOR_INVALID']);
