import { graphql, type ResultOf } from '../api/graphql.ts';

/** All fields of a connector but its tools, its chart and its history, and the position of what is read. */
export const Connector = graphql(`
  query ConsoleConnector($id: ID!) {
    personalConnectors(first: 0) { changesCursor }
    personalConnector(id: $id) {
      id
      name
      type
      connectorId
      description
      iconUrl
      category
      status
      statusMessage
      replacedBy { id name }
      visibility
      version
      serverType
      serverUrl
      websiteUrl
      repositoryUrl
      metadata
      revision
      createdAt
      updatedAt
      createdBy
      creator { name userId isViewer }
      organizationId
      curatedFields { field fileValue }
      packages {
        registryType
        identifier
        version
        environment { name description default isRequired isSecret }
      }
      health {
        outcome
        message
        checkedAt
        nextCheckAt
        since
        latencyMs
        transport
        isTransportDeprecated
        protocolVersion
        authorizationServers
        serverInfo { name title version description websiteUrl }
      }
      viewerCanUpdate
      viewerCanDelete
      viewerCanSetStatus
      viewerCanCurate
      viewerCanCheck
      viewerCanPublish
      viewerCannotUpdateReasons
      viewerCannotDeleteReasons
      viewerCannotSetStatusReasons
      viewerCannotCurateReasons
      viewerCannotCheckReasons
      viewerCannotPublishReasons
    }
  }
`);

export const Tools = graphql(`
  query ConsoleTools($id: ID!, $search: String, $first: Int!, $after: String) {
    personalConnector(id: $id) {
      id
      health { toolsCheckedAt }
      tools(first: $first, after: $after, search: $search) {
        totalCount
        nodes { name title description inputSchema outputSchema annotations }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
`);

export const HealthChart = graphql(`
  query ConsoleHealth($id: ID!, $hours: Int!, $count: Int!) {
    personalConnector(id: $id) {
      id
      health {
        uptime(hours: $hours)
        uptimeHours(hours: $hours)
        buckets(hours: $hours, count: $count) { from to checks working latencyMs }
        history(first: 10) { nodes { checkedAt outcome message latencyMs } }
      }
    }
  }
`);

export const History = graphql(`
  query ConsoleHistory($id: ID!, $first: Int!, $after: String) {
    personalConnector(id: $id) {
      id
      changes(first: $first, after: $after) {
        nodes {
          cursor
          kind
          occurredAt
          revision
          actor
          author { name userId isViewer }
          changedFields
          changes { field before after isBeforeCut isAfterCut }
        }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
`);

export const Check = graphql(`
  mutation ConsoleCheck($input: CheckConnectorInput!) {
    checkConnector(input: $input) {
      inspection { message }
      personalConnector { id }
      userErrors { code message }
    }
  }
`);

export type ConnectorOf = NonNullable<ResultOf<typeof Connector>['personalConnector']>;
export type HealthOf = NonNullable<ConnectorOf['health']>;
export type Tool = NonNullable<ResultOf<typeof Tools>['personalConnector']>['tools']['nodes'][number];
export type Chart = NonNullable<NonNullable<ResultOf<typeof HealthChart>['personalConnector']>['health']>;
export type Change = NonNullable<ResultOf<typeof History>['personalConnector']>['changes']['nodes'][number];
