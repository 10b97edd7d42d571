// Apollo Client: queries by GET and their hashes, mutations by POST, subscriptions over a WebSocket.
import { createHash } from 'node:crypto';
import { env } from 'node:process';
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, type TypePolicies } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { relayStylePagination } from '@apollo/client/utilities';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

export const possibleTypes = {
  Facet: ['ConnectorCategoryFacet', 'ConnectorStatusFacet', 'ConnectorTypeFacet', 'InspectionOutcomeFacet', 'OrganizationFacet', 'ServerTypeFacet'],
  Node: ['PersonalConnector'],
};

export const typePolicies: TypePolicies = {
  Query: {
    fields: { personalConnectors: relayStylePagination(['filter', 'orderBy', 'search', 'thenBy']) },
  },
  PersonalConnector: {
    fields: { tools: relayStylePagination(['search']) },
  },
  // They have no id. Merged, each keeps the fields that different queries select.
  ConnectorHealth: {
    merge: true,
    fields: { history: relayStylePagination() },
  },
  McpServerInfo: { merge: true },
  PersonalConnectorFacets: { merge: true },
  Viewer: { merge: true },
};

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

type Options = { token?: string; policies?: TypePolicies; fetch?: typeof fetch };

export function connect({ token = env['TOKEN']!, policies = typePolicies, fetch }: Options = {}) {
  const uri = env['URL']!;
  const authorization = `Bearer ${token}`;

  const http = new HttpLink({ uri, headers: { authorization }, fetch });
  const persisted = new PersistedQueryLink({ sha256, useGETForHashedQueries: true }).concat(http);
  const socket = createClient({
    url: uri.replace(/^http/, 'ws'),
    connectionParams: { authorization },
    webSocketImpl: WebSocket,
  });
  const link = ApolloLink.split(
    ({ operationType }) => operationType === 'subscription',
    new GraphQLWsLink(socket),
    persisted,
  );
  return new ApolloClient({
    link,
    cache: new InMemoryCache({ possibleTypes, typePolicies: policies }),
  });
}
