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
          viewerCanDelete
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

/** How many connectors of the list each visibility has, whichever of them are chosen. */
export const VisibilityCounts = graphql(`
  query ConsoleVisibilityCounts(
    $search: String
    $public: PersonalConnectorFilter
    $organization: PersonalConnectorFilter
    $private: PersonalConnectorFilter
  ) {
    public: personalConnectors(search: $search, filter: $public, first: 0) { totalCount }
    organization: personalConnectors(search: $search, filter: $organization, first: 0) { totalCount }
    private: personalConnectors(search: $search, filter: $private, first: 0) { totalCount }
  }
`);

/** Why actions are not offered for selected connectors. */
export const WhyNotOf = graphql(`
  query ConsoleWhyNot($id: [ID!]!) {
    personalConnectors(filter: { id: $id }, first: 50) {
      nodes {
        id
        name
        type
        viewerCannotSetStatusReasons
        viewerCannotCurateReasons
        viewerCannotDeleteReasons
      }
    }
  }
`);

/** A page of what is saved as a file. */
export const Exported = graphql(`
  query ConsoleExport($search: String, $filter: PersonalConnectorFilter, $after: String) {
    personalConnectors(search: $search, filter: $filter, orderBy: { field: NAME }, first: 100, after: $after) {
      nodes {
        id
        name
        type
        connectorId
        category
        status
        statusMessage
        visibility
        serverType
        serverUrl
        version
        description
        createdAt
        updatedAt
        health { outcome checkedAt }
      }
      pageInfo { hasNextPage endCursor }
    }
  }
`);

export type List = ResultOf<typeof Page>['personalConnectors'];
export type Edge = List['edges'][number];
export type Row = Edge['node'];
export type CountsOf = ResultOf<typeof Counts>['personalConnectors'];
