// genql, which declares a variable for each argument.
import { type Client, headers, url } from './compare';
import { createClient } from './generated/genql';

const { mutation, query } = createClient({ url, headers });
const userErrors = { code: true, field: true } as const;

export const genql: Client = {
  'ConnectorHealth.uptime': async ({ id, ...args }) => {
    await mutation({ checkConnector: { __args: { input: { id } }, userErrors } });
    return query({ personalConnector: { __args: { id }, health: { uptime: { __args: args } } } });
  },
  CreateCustomConnectorInput: (input) =>
    mutation({
      createCustomConnector: {
        __args: { input },
        personalConnector: { category: true, serverType: true, visibility: true },
        inspection: { outcome: true },
        userErrors,
      },
    }),
  InspectServerInput: (input) =>
    mutation({ inspectServer: { __args: { input }, inspection: { outcome: true }, userErrors } }),
  UpdateCustomConnectorInput: (input) =>
    mutation({ updateCustomConnector: { __args: { input }, personalConnector: { version: true }, userErrors } }),
};
