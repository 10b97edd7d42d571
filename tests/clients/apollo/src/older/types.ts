// A client of the older schema, which has no ConnectorType OFFICIAL.
import { initGraphQLTada, type ResultOf } from 'gql.tada';
import type { introspection } from '../generated/older.js';

const graphql = initGraphQLTada<{ introspection: introspection }>();

export const Types = graphql(`
  query Types {
    personalConnectors { nodes { id type } }
  }
`);

type ConnectorType = ResultOf<typeof Types>['personalConnectors']['nodes'][number]['type'];
const labels: Record<ConnectorType, string> = { AITRONOS_BUILT: 'Built in', CUSTOM: 'Yours' };

/** The types say that each value has a label. A value that is newer than the client has none. */
export const label = (type: ConnectorType) => labels[type] ?? 'Other';
