// Types of documents, from the schema.
import { initGraphQLTada } from 'gql.tada';
import type { introspection } from './generated/catalogue.js';

export type { ResultOf, VariablesOf } from 'gql.tada';

export const graphql = initGraphQLTada<{
  introspection: introspection;
  scalars: { DateTime: string; JSON: unknown; URL: string };
}>();
