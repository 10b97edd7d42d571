import { graphql, type ResultOf } from '../api/graphql.ts';
import { Errors } from '../edit/queries.ts';

export const Import = graphql(`
  mutation ConsoleImport($input: ImportConnectorsInput!) {
    importConnectors(input: $input) {
      report {
        total
        created
        updated
        unchanged
        rejected
        warnings
        deleted
        disabled
        withoutReplacement
        olderVersions
        lines
        categories { category count }
      }
      userErrors { ...Errors }
    }
  }
`, [Errors]);

export type Report = NonNullable<NonNullable<ResultOf<typeof Import>['importConnectors']>['report']>;
