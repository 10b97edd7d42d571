// GraphQL Zeus, which writes inputs into the document.
import assert from 'node:assert/strict';
import { type Client, headers, typed, url } from './compare';
import { Thunder, type ValueTypes } from './generated/zeus';

const send = Thunder(async (query) => {
  const request = { method: 'POST', headers: { ...headers, 'content-type': 'application/json' } };
  const response = await fetch(url, { ...request, body: JSON.stringify({ query }) });
  const { data, errors } = await response.json();
  assert.equal(errors, undefined);
  return data;
});
const mutation = send('mutation');
const query = send('query');
const userErrors = { code: true, field: true } as const;

export const zeus: Client = {
  'ConnectorHealth.uptime': async ({ id, ...args }) => {
    await mutation({ checkConnector: [{ input: { id } }, { userErrors }] });
    return query({ personalConnector: [{ id }, { health: { uptime: [args, true] } }] });
  },
  CreateCustomConnectorInput: (input) =>
    mutation({
      createCustomConnector: [
        { input: typed<ValueTypes['CreateCustomConnectorInput']>(input) },
        { personalConnector: { category: true, serverType: true, visibility: true }, inspection: { outcome: true }, userErrors },
      ],
    }),
  InspectServerInput: (input) =>
    mutation({
      inspectServer: [{ input: typed<ValueTypes['InspectServerInput']>(input) }, { inspection: { outcome: true }, userErrors }],
    }),
  UpdateCustomConnectorInput: (input) =>
    mutation({ updateCustomConnector: [{ input }, { personalConnector: { version: true }, userErrors }] }),
};
