// GQty, which requests the fields that a program reads, and declares a variable for each argument.
import { Cache, createClient, defaultResponseHandler } from 'gqty';
import { type Client, headers, typed, url } from './compare';
import {
  type CreateCustomConnectorInput,
  generatedSchema,
  type GeneratedSchema,
  type InspectServerInput,
  scalarsEnumsHash,
} from './generated/gqty/schema.generated';

const { resolve } = createClient<GeneratedSchema>({
  schema: generatedSchema,
  scalars: scalarsEnumsHash,
  cache: new Cache(),
  fetchOptions: {
    fetcher: async ({ query, variables, operationName }) => {
      const body = JSON.stringify({ query, variables, operationName });
      const request = { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body };
      return defaultResponseHandler(await fetch(url, request));
    },
  },
});

export const gqty: Client = {
  'ConnectorHealth.uptime': async ({ id, ...args }) => {
    await resolve(({ mutation }) => mutation.checkConnector({ input: { id } })?.userErrors.map(({ code }) => code));
    return resolve(({ query }) => query.personalConnector({ id })?.health?.uptime(args));
  },
  CreateCustomConnectorInput: (input) =>
    resolve(({ mutation }) => {
      const payload = mutation.createCustomConnector({ input: typed<CreateCustomConnectorInput>(input) });
      const connector = payload?.personalConnector;
      return [
        { category: connector?.category, serverType: connector?.serverType, visibility: connector?.visibility },
        payload?.inspection?.outcome,
        payload?.userErrors.map(({ code, field }) => [code, field]),
      ];
    }),
  InspectServerInput: (input) =>
    resolve(({ mutation }) => {
      const payload = mutation.inspectServer({ input: typed<InspectServerInput>(input) });
      return [payload?.inspection?.outcome, payload?.userErrors.map(({ code, field }) => [code, field])];
    }),
  UpdateCustomConnectorInput: (input) =>
    resolve(({ mutation }) => {
      const payload = mutation.updateCustomConnector({ input });
      return [payload?.personalConnector?.version, payload?.userErrors.map(({ code, field }) => [code, field])];
    }),
};
