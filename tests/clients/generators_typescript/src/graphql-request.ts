// GraphQL Code Generator's plugin for graphql-request, and the one for zod, which checks inputs before they are sent.
import { GraphQLClient } from 'graphql-request';
import { type Client, headers, url } from './compare';
import { getSdk } from './generated/request';
import {
  CreateCustomConnectorInputSchema,
  InspectServerInputSchema,
  UpdateCustomConnectorInputSchema,
} from './generated/zod';

const sdk = getSdk(new GraphQLClient(url, { headers }));

export const graphqlRequest: Client = {
  'ConnectorHealth.uptime': async ({ id, ...args }) => {
    await sdk.Check({ id });
    return sdk.Uptime({ id, ...args });
  },
  CreateCustomConnectorInput: (input) => sdk.Create({ input }),
  InspectServerInput: (input) => sdk.Inspect({ input }),
  UpdateCustomConnectorInput: (input) => sdk.Update({ input }),
};

/** The schemas fill in defaults. */
export const zod: Client = {
  'ConnectorHealth.uptime': graphqlRequest['ConnectorHealth.uptime'],
  CreateCustomConnectorInput: (input) => sdk.Create({ input: CreateCustomConnectorInputSchema().parse(input) }),
  InspectServerInput: (input) => sdk.Inspect({ input: InspectServerInputSchema().parse(input) }),
  UpdateCustomConnectorInput: (input) => sdk.Update({ input: UpdateCustomConnectorInputSchema().parse(input) }),
};
