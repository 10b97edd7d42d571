// Values that clients take differently: fields that are omitted or null, mapped scalars, enum values that are unknown.
import assert from 'node:assert/strict';
import { commitMutation, fetchQuery, graphql, type GraphQLTaggedNode, type MutationParameters } from 'relay-runtime';
import type { casesCheckMutation } from './__generated__/casesCheckMutation.graphql';
import type { casesCreateMutation, CreateCustomConnectorInput } from './__generated__/casesCreateMutation.graphql';
import type { casesInspectMutation } from './__generated__/casesInspectMutation.graphql';
import type { casesSinceQuery } from './__generated__/casesSinceQuery.graphql';
import type { casesUpdateMutation, UpdateCustomConnectorInput } from './__generated__/casesUpdateMutation.graphql';
import { environment } from './environment';
import type { typesQuery } from './older/__generated__/typesQuery.graphql';
import { label, query as types } from './older/types';

const createMutation = graphql`
  mutation casesCreateMutation($input: CreateCustomConnectorInput!) {
    createCustomConnector(input: $input) {
      personalConnector { id category serverType visibility description version metadata iconUrl createdAt }
      userErrors { code field message }
    }
  }
`;

const updateMutation = graphql`
  mutation casesUpdateMutation($input: UpdateCustomConnectorInput!) {
    updateCustomConnector(input: $input) {
      personalConnector { id description version }
      userErrors { code field message }
    }
  }
`;

const inspectMutation = graphql`
  mutation casesInspectMutation($input: InspectServerInput!) {
    inspectServer(input: $input) {
      inspection { outcome }
      userErrors { code field message }
    }
  }
`;

const checkMutation = graphql`
  mutation casesCheckMutation($id: ID!, $hours: Int) {
    checkConnector(input: { id: $id }) {
      personalConnector { id health { uptime(hours: $hours) } }
      userErrors { code field message }
    }
  }
`;

const since = graphql`
  query casesSinceQuery($moment: DateTime) {
    personalConnectors(filter: { createdAt: { gte: $moment }, type: [CUSTOM] }) { totalCount }
  }
`;

const mutate = <Mutation extends MutationParameters>(mutation: GraphQLTaggedNode, variables: Mutation['variables']) =>
  new Promise<Mutation['response']>((onCompleted, onError) =>
    commitMutation<Mutation>(environment, { mutation, variables, onCompleted, onError }),
  );

const create = async (input: CreateCustomConnectorInput) => {
  const { createCustomConnector: payload } = await mutate<casesCreateMutation>(createMutation, { input });
  assert.deepEqual(payload?.userErrors, []);
  return payload.personalConnector!;
};

const update = async (input: UpdateCustomConnectorInput) => {
  const { updateCustomConnector: payload } = await mutate<casesUpdateMutation>(updateMutation, { input });
  assert.deepEqual(payload?.userErrors, []);
  return payload.personalConnector!;
};

/** A field that is omitted or undefined is not sent. */
const omitFieldsAndSendNull = async () => {
  const serverUrl = 'https://plans.example.com/mcp';
  const plans = await create({ name: 'Our plans', serverUrl, description: 'Plans of the team', category: undefined });
  const { category, serverType, visibility, version } = plans;
  assert.deepEqual([category, serverType, visibility, version], ['CUSTOM', 'HTTP', 'PRIVATE', null]);

  const { description } = await update({ id: plans.id, version: '1.0.0', description: undefined });
  assert.equal(description, 'Plans of the team');
  const cleared = await update({ id: plans.id, description: null });
  assert.deepEqual([cleared.description, cleared.version], [null, '1.0.0']);
};

/** Null and the default mean the same as no value. A category may be null, and so null means none. */
const sendNullAndTheDefault = async () => {
  const serverUrl = 'https://tracker.example.com/mcp';
  const nulls = { category: null, serverType: null, visibility: null, verify: null, validateOnly: null, hours: null };
  const defaults = {
    category: 'CUSTOM',
    serverType: 'HTTP',
    visibility: 'PRIVATE',
    verify: false,
    validateOnly: false,
    hours: 24,
  } as const;
  for (const [name, { hours, ...input }] of Object.entries({ 'Our tracker': nulls, 'Our planner': defaults })) {
    const { id, category, serverType, visibility } = await create({ name, serverUrl, ...input });
    assert.deepEqual([category, serverType, visibility], [input.category, 'HTTP', 'PRIVATE']);

    const { version } = await update({ id, version: '1.0.0', validateOnly: input.validateOnly });
    assert.equal(version, '1.0.0');

    // The tests let the service call no server.
    const server = { serverUrl, serverType: input.serverType };
    const inspected = await mutate<casesInspectMutation>(inspectMutation, { input: server });
    assert.equal(inspected.inspectServer?.inspection?.outcome, 'BLOCKED');
    const checked = await mutate<casesCheckMutation>(checkMutation, { id, hours });
    assert.equal(checked.checkConnector?.personalConnector?.health?.uptime, 0);
  }
};

/** JSON is any value. A moment and a URL are texts. */
const mapScalars = async () => {
  const began = new Date(Date.now() - 60_000);
  const iconUrl = 'https://pages.example.com/icon.png';
  const metadata = { owner: 'engineering', floors: [1, 2] };
  const pages = await create({ name: 'Our pages', serverUrl: 'https://pages.example.com/mcp', iconUrl, metadata });
  assert.deepEqual(pages.metadata, metadata);
  assert.equal(pages.iconUrl, iconUrl);
  assert.ok(new Date(pages.createdAt) > began);
  const found = await fetchQuery<casesSinceQuery>(environment, since, { moment: began.toISOString() }).toPromise();
  assert.ok(found!.personalConnectors.totalCount >= 1);
};

/** An answer passes with a value that the types do not have. */
const meetAnUnknownEnumValue = async () => {
  const found = await fetchQuery<typesQuery>(environment, types, {}).toPromise();
  const labels = new Set(found?.personalConnectors.nodes.map(({ type }) => label(type)));
  assert.deepEqual([...labels].sort(), ['Built in', 'Other', 'Yours']);
};

const main = async () => {
  await omitFieldsAndSendNull();
  await sendNullAndTheDefault();
  await mapScalars();
  await meetAnUnknownEnumValue();
};

main();
