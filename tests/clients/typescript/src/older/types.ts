// A client of the older schema, which has no ConnectorType OFFICIAL.
import { graphql } from './gql/index.js';
import type { ConnectorType } from './gql/graphql.js';

export const Types = graphql(`
  query Types {
    personalConnectors(first: 20) { nodes { id type } }
  }
`);

const labels: Record<ConnectorType, string> = { AITRONOS_BUILT: 'Built in', CUSTOM: 'Yours' };

/** The types say that each value has a label. A value that is newer than the client has none. */
export const label = (type: ConnectorType) => labels[type] ?? 'Other';
