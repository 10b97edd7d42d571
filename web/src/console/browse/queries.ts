import { graphql, type ResultOf } from '../api/graphql.ts';

/** A page of the list. */
export const Page = graphql(`
  query ConsolePage(
    $search: String
    $filter: PersonalConnectorFilter
    $orderBy: PersonalConnectorOrder
    $first: Int
    $after: String
    $last: Int
    $before: String
  ) {
    personalConnectors(
      search: $search
      filter: $filter
      orderBy: $orderBy
      first: $first
      after: $after
      last: $last
      before: $before
    ) {
      changesCursor
      edges {
        matches { field toolName fragments { text matched } }
        node {
          id
          name
          description
          iconUrl
          type
          category
          status
          statusMessage
          visibility
          updatedAt
          replacedBy { id name }
          serverUrl
          health { outcome }
          viewerCanSetStatus
          viewerCanCurate
        }
      }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      search { corrected words { word replacements } }
    }
  }
`);

/** The counts of the whole list, which take longer than a page. */
export const Counts = graphql(`
  query ConsoleCounts($search: String, $filter: PersonalConnectorFilter) {
    personalConnectors(search: $search, filter: $filter, first: 0) {
      totalCount
      facets {
        outcome { value count }
        status { value count }
        category { value count }
        type { value count }
        serverType { value count }
      }
    }
  }
`);

export type List = ResultOf<typeof Page>['personalConnectors'];
export type Edge = List['edges'][number];
export type Row = Edge['node'];
export type CountsOf = ResultOf<typeof Counts>['personalConnectors'];
