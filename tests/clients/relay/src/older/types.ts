// A client of the older schema, which has no ConnectorType OFFICIAL.
import { graphql } from 'relay-runtime';
import type { ConnectorType } from './__generated__/typesQuery.graphql';

export const query = graphql`
  query typesQuery {
    personalConnectors { nodes { id type } }
  }
`;

/** Each enum has '%future added value' among its types. It stands for any value that is newer than the client. */
export const label = (type: ConnectorType) => {
  switch (type) {
    case 'AITRONOS_BUILT':
      return 'Built in';
    case 'CUSTOM':
      return 'Yours';
    default:
      return 'Other';
  }
};
