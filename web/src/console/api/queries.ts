import { graphql } from './graphql.ts';

/** What happens to the connectors of a list. */
export const Changed = graphql(`
  subscription ConsoleChanged($after: String, $list: PersonalConnectorListInput) {
    personalConnectorChanged(after: $after, list: $list) {
      cursor
      kind
      changedFields
      personalConnectorId
      inListBefore
      inList
    }
  }
`);
