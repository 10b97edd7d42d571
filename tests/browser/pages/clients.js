// An application that uses Apollo Client and urql with their usual links.

import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { Client, fetchExchange } from '@urql/core';
import { persistedExchange } from '@urql/exchange-persisted';

const VIEWER = 'query Viewer { viewer { userId } }';
const CHANGED = 'subscription Changed { personalConnectorChanged { kind personalConnector { name } } }';
const CREATE = `mutation Create($input: CreateCustomConnectorInput!) {
  createCustomConnector(input: $input) { personalConnector { id } userErrors { code } }
}`;

const hex = bytes => [...new Uint8Array(bytes)].map(byte => byte.toString(16).padStart(2, '0')).join('');
const sha256 = async text => hex(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));

/** Resolves with the name of the first connector that a client hears of. */
const heard = subscribe =>
  new Promise((resolve, reject) =>
    subscribe(({ data, error }) => (error ? reject(error) : resolve(data.personalConnectorChanged.personalConnector.name)), reject),
  );

const pause = () => new Promise(done => setTimeout(done, 500));

globalThis.run = async (url, headers) => {
  const apollo = new ApolloClient({
    cache: new InMemoryCache(),
    clientAwareness: { name: 'page', version: '1' },
    link: ApolloLink.from([new PersistedQueryLink({ sha256 }), new HttpLink({ uri: url, headers })]),
  });
  const urql = new Client({
    url,
    preferGetMethod: false,
    exchanges: [persistedExchange({ preferGetForPersistedQueries: false }), fetchExchange],
    fetchOptions: { headers },
    fetchSubscriptions: true,
  });
  const queries = [await apollo.query({ query: gql(VIEWER) }), await urql.query(VIEWER, {}).toPromise()];
  const changes = Promise.all([
    heard((next, error) => apollo.subscribe({ query: gql(CHANGED) }).subscribe({ next, error })),
    heard(next => urql.subscription(CHANGED, {}).subscribe(next)),
  ]);
  await pause();
  const variables = { input: { name: 'From a page', serverUrl: 'https://page.example.com/mcp' } };
  const created = await apollo.mutate({ mutation: gql(CREATE), variables });
  return {
    users: queries.map(({ data, error }) => (error ? String(error) : data.viewer.userId)),
    created: created.data.createCustomConnector.userErrors,
    changes: await changes,
  };
};
