import { graphql, type ResultOf } from '../api/graphql.ts';

export const Me = graphql(`
  query ConsoleViewer {
    viewer {
      userId
      organizationId
      scopes
      readOnly
      canCreateCustomConnector
      cannotCreateCustomConnectorReasons
      user { name }
    }
  }
`);

export type Viewer = ResultOf<typeof Me>['viewer'];
