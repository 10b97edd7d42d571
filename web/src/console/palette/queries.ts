import { graphql } from '../api/graphql.ts';

/** The connectors that the palette offers. */
export const Found = graphql(`
  query ConsolePalette($search: String!) {
    personalConnectors(search: $search, first: 8) {
      nodes { id name serverUrl health { outcome } }
    }
  }
`);
