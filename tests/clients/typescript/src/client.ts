// urql with its normalised cache, which merges the pages of a list.
import { Client, fetchExchange, type Exchange } from '@urql/core';
import { cacheExchange } from '@urql/exchange-graphcache';
import { relayPagination } from '@urql/exchange-graphcache/extras';

export const connect = (url: string, token: string, ...more: Exchange[]) =>
  new Client({
    url,
    fetchOptions: { headers: { authorization: `Bearer ${token}` } },
    exchanges: [
      cacheExchange({
        resolvers: { Query: { personalConnectors: relayPagination() } },
        // What has no id is kept with what it is a part of.
        keys: { PersonalConnectorChange: () => null, UserError: () => null },
      }),
      fetchExchange,
      ...more,
    ],
  });
