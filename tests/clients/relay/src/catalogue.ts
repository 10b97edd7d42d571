// Lists connectors page by page, creates one, reads it again, and meets both kinds of errors.
import assert from 'node:assert/strict';
import {
  commitMutation,
  createOperationDescriptor,
  fetchQuery,
  getFragment,
  getPaginationMetadata,
  getPaginationVariables,
  getRefetchMetadata,
  getRequest,
  getSingularSelector,
  graphql,
  type GraphQLTaggedNode,
  type MutationParameters,
} from 'relay-runtime';
import { waitForFragmentData } from 'relay-runtime/experimental';
import type { catalogueCreateMutation } from './__generated__/catalogueCreateMutation.graphql';
import type { catalogueUpdateMutation } from './__generated__/catalogueUpdateMutation.graphql';
import type { catalogue_connector$key } from './__generated__/catalogue_connector.graphql';
import type { catalogue_list$key } from './__generated__/catalogue_list.graphql';
import type { catalogueQuery } from './__generated__/catalogueQuery.graphql';
import { environment, post } from './environment';

const query = graphql`
  query catalogueQuery($filter: PersonalConnectorFilter) {
    ...catalogue_list @arguments(filter: $filter)
  }
`;

const list = graphql`
  fragment catalogue_list on Query
  @argumentDefinitions(
    filter: { type: "PersonalConnectorFilter" }
    count: { type: "Int", defaultValue: 2 }
    cursor: { type: "String" }
  )
  @refetchable(queryName: "cataloguePageQuery") {
    personalConnectors(filter: $filter, first: $count, after: $cursor)
      @connection(key: "catalogue_personalConnectors") {
      __id
      totalCount
      edges {
        node { id ...catalogue_connector }
      }
      pageInfo { hasNextPage endCursor }
    }
  }
`;

const connector = graphql`
  fragment catalogue_connector on PersonalConnector @refetchable(queryName: "catalogueConnectorQuery") {
    object name type status version createdAt metadata
  }
`;

const create = graphql`
  mutation catalogueCreateMutation($input: CreateCustomConnectorInput!, $connections: [ID!]!) {
    createCustomConnector(input: $input) {
      personalConnector @prependNode(connections: $connections, edgeTypeName: "PersonalConnectorEdge") {
        id
        ...catalogue_connector
      }
      userErrors { code field message }
    }
  }
`;

const update = graphql`
  mutation catalogueUpdateMutation($input: UpdateCustomConnectorInput!) {
    updateCustomConnector(input: $input) {
      userErrors { code field message }
    }
  }
`;

const readList = (key: catalogue_list$key) => waitForFragmentData(environment, list, key);
const readConnector = (key: catalogue_connector$key) => waitForFragmentData(environment, connector, key);

/** Asks for the next page, as usePaginationFragment does: the store appends it to the connection. */
const loadNext = async (key: catalogue_list$key, cursor: string | null | undefined) => {
  const fragment = getFragment(list);
  const selector = getSingularSelector(fragment, key);
  const { paginationRequest, paginationMetadata } = getPaginationMetadata(fragment, 'catalogue');
  const base = { ...selector.owner.variables, ...selector.variables };
  const variables = getPaginationVariables('forward', 2, cursor, base, {}, paginationMetadata);
  await fetchQuery(environment, paginationRequest, variables).toPromise();
};

const mutate = <Mutation extends MutationParameters>(mutation: GraphQLTaggedNode, variables: Mutation['variables']) =>
  new Promise<Mutation['response']>((onCompleted, onError) =>
    commitMutation<Mutation>(environment, { mutation, variables, onCompleted, onError }),
  );

const main = async () => {
  const variables: catalogueQuery['variables'] = {
    filter: { not: { status: ['DEPRECATED'] }, type: ['OFFICIAL', 'AITRONOS_BUILT'] },
  };
  environment.retain(createOperationDescriptor(getRequest(query), variables));
  const key = (await fetchQuery<catalogueQuery>(environment, query, variables).toPromise())!;
  let { personalConnectors: connection } = await readList(key);
  let pages = 1;
  for (; connection.pageInfo.hasNextPage; pages++) {
    await loadNext(key, connection.pageInfo.endCursor);
    ({ personalConnectors: connection } = await readList(key));
  }
  assert.ok(pages >= 3);
  assert.equal(new Set(connection.edges.map(({ node }) => node.id)).size, connection.totalCount);

  // The payload's user errors list the errors that another input would avoid.
  const serverUrl = 'https://wiki.example.com/mcp';
  const blank = await mutate<catalogueCreateMutation>(create, { input: { name: ' ', serverUrl }, connections: [] });
  assert.deepEqual(
    blank.createCustomConnector?.userErrors.map(({ code, field }) => ({ code, field })),
    [{ code: 'BLANK', field: ['input', 'name'] }],
  );

  // What is created stands first in the list that it is prepended to.
  const created = await mutate<catalogueCreateMutation>(create, {
    input: { name: 'Our wiki', serverUrl, metadata: { owner: 'engineering' } },
    connections: [connection.__id],
  });
  const wiki = created.createCustomConnector!.personalConnector!;
  ({ personalConnectors: connection } = await readList(key));
  assert.equal(connection.edges[0]?.node.id, wiki.id);
  const { metadata } = await readConnector(wiki);
  assert.deepEqual(metadata, { owner: 'engineering' });

  // A node is read again by its id.
  await mutate<catalogueUpdateMutation>(update, { input: { id: wiki.id, version: '1.0.0' } });
  const { refetchableRequest } = getRefetchMetadata(getFragment(connector), 'catalogue');
  await fetchQuery(environment, refetchableRequest, { id: wiki.id }).toPromise();
  const { version } = await readConnector(wiki);
  assert.equal(version, '1.0.0');

  // Everything else is an error of the request, with a code.
  await assert.rejects(loadNext(key, 'no cursor'), ({ source }) => {
    assert.deepEqual(codes(source), ['CURSOR_INVALID']);
    return true;
  });
  assert.deepEqual(codes(await post({ query: '{ viewer { userId } }' })), ['DOCUMENT_NOT_TRUSTED']);
};

const codes = (answer: { errors: { extensions: { code: string } }[] }) =>
  answer.errors.map(({ extensions }) => extensions.code);

main();
