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
        // These have no id, and are kept in the object that has them.
        keys: {
          BulkResult: () => null,
          ConnectorCategoryFacet: () => null,
          ConnectorCheck: () => null,
          ConnectorDraft: () => null,
          ConnectorHealth: () => null,
          ConnectorStatusFacet: () => null,
          ConnectorTypeFacet: () => null,
          CuratedField: () => null,
          EnvironmentVariable: () => null,
          FieldChange: () => null,
          HealthBuckets: () => null,
          ImportReport: () => null,
          ImportedCategory: () => null,
          Inspection: () => null,
          InspectionOutcomeFacet: () => null,
          McpServerInfo: () => null,
          McpTool: () => null,
          OrganizationFacet: () => null,
          PersonalConnectorChange: () => null,
          PersonalConnectorFacets: () => null,
          ServerPackage: () => null,
          ServerTypeFacet: () => null,
          UpdateConflict: () => null,
          User: () => null,
          UserError: () => null,
          Viewer: () => null,
        },
      }),
      fetchExchange,
      ...more,
    ],
  });
