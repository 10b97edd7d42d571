// Values that clients take differently: fields that are omitted or null, mapped scalars, enum values that are unknown.
import assert from 'node:assert/strict';
import { connect } from './client.js';
import { graphql, type VariablesOf } from './graphql.js';
import { label, Types } from './older/types.js';

const Create = graphql(`
  mutation CreateCase($input: CreateCustomConnectorInput!) {
    createCustomConnector(input: $input) {
      personalConnector { id category serverType visibility description version metadata iconUrl createdAt }
      userErrors { code field message }
    }
  }
`);

const Update = graphql(`
  mutation UpdateCase($input: UpdateCustomConnectorInput!) {
    updateCustomConnector(input: $input) {
      personalConnector { id description version }
      userErrors { code field message }
    }
  }
`);

const Inspect = graphql(`
  mutation Inspect($input: InspectServerInput!) {
    inspectServer(input: $input) {
      inspection { outcome }
      userErrors { code field message }
    }
  }
`);

const Check = graphql(`
  mutation Check($id: ID!, $hours: Int) {
    checkConnector(input: { id: $id }) {
      personalConnector { id health { uptime(hours: $hours) } }
      userErrors { code field message }
    }
  }
`);

const Since = graphql(`
  query Since($moment: DateTime) {
    personalConnectors(filter: { createdAt: { gte: $moment }, type: [CUSTOM] }) { totalCount }
  }
`);

const client = connect();

const create = async (input: VariablesOf<typeof Create>['input']) => {
  const { data } = await client.mutate({ mutation: Create, variables: { input } });
  assert.deepEqual(data?.createCustomConnector?.userErrors, []);
  return data.createCustomConnector.personalConnector!;
};

const update = async (input: VariablesOf<typeof Update>['input']) => {
  const { data } = await client.mutate({ mutation: Update, variables: { input } });
  assert.deepEqual(data?.updateCustomConnector?.userErrors, []);
  return data.updateCustomConnector.personalConnector!;
};

/** A field that is omitted or undefined is not sent. */
async function omitFieldsAndSendNull() {
  const serverUrl = 'https://plans.example.com/mcp';
  const plans = await create({ name: 'Our plans', serverUrl, description: 'Plans of the team', category: undefined });
  const { category, serverType, visibility, version } = plans;
  assert.deepEqual([category, serverType, visibility, version], ['CUSTOM', 'HTTP', 'PRIVATE', null]);

  const { description } = await update({ id: plans.id, version: '1.0.0', description: undefined });
  assert.equal(description, 'Plans of the team');
  const cleared = await update({ id: plans.id, description: null });
  assert.deepEqual([cleared.description, cleared.version], [null, '1.0.0']);
}

/** Null and the default mean the same as no value. A category may be null, and so null means none. */
async function sendNullAndTheDefault() {
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
    const inspected = await client.mutate({
      mutation: Inspect,
      variables: { input: { serverUrl, serverType: input.serverType } },
    });
    assert.equal(inspected.data?.inspectServer?.inspection?.outcome, 'BLOCKED');
    const checked = await client.mutate({ mutation: Check, variables: { id, hours } });
    assert.equal(checked.data?.checkConnector?.personalConnector?.health?.uptime, 0);
  }
}

/** JSON is any value. A moment and a URL are texts. */
async function mapScalars() {
  const began = new Date(Date.now() - 60_000);
  const iconUrl = 'https://pages.example.com/icon.png';
  const metadata = { owner: 'engineering', floors: [1, 2] };
  const pages = await create({ name: 'Our pages', serverUrl: 'https://pages.example.com/mcp', iconUrl, metadata });
  assert.deepEqual(pages.metadata, metadata);
  assert.equal(pages.iconUrl, iconUrl);
  assert.ok(new Date(pages.createdAt) > began);
  const { data } = await client.query({ query: Since, variables: { moment: began.toISOString() } });
  assert.ok(data!.personalConnectors.totalCount >= 1);
}

/** An answer passes with a value that the types do not have. */
async function meetAnUnknownEnumValue() {
  const { data } = await client.query({ query: Types });
  const labels = new Set(data?.personalConnectors.nodes.map(({ type }) => label(type)));
  assert.deepEqual([...labels].sort(), ['Built in', 'Other', 'Yours']);
}

await omitFieldsAndSendNull();
await sendNullAndTheDefault();
await mapScalars();
await meetAnUnknownEnumValue();
