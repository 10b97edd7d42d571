import { graphql, type ResultOf } from '../api/graphql.ts';

/** The fields that a form edits, and the revision that they are of. */
export const Editable = graphql(`
  fragment Editable on PersonalConnector {
    id
    revision
    name
    description
    category
    serverType
    serverUrl
    visibility
    version
    iconUrl
    metadata
  }
`);

export const Errors = graphql(`
  fragment Errors on UserError {
    code
    field
    message
    conflict {
      occurredAt
      changedFields
      author { name userId isViewer }
    }
  }
`);

export const ForEdit = graphql(`
  query ConsoleForEdit($id: ID!) {
    personalConnector(id: $id) {
      ...Editable
      viewerCanUpdate
      viewerCannotUpdateReasons
      viewerCannotPublishReasons
    }
  }
`, [Editable]);

export const Inspect = graphql(`
  mutation ConsoleInspect($input: InspectServerInput!) {
    inspectServer(input: $input) {
      draft { name description iconUrl version }
      inspection {
        outcome
        message
        tools(first: 20) { totalCount nodes { name title } }
      }
      userErrors { ...Errors }
    }
  }
`, [Errors]);

export const Create = graphql(`
  mutation ConsoleCreate($input: CreateCustomConnectorInput!) {
    createCustomConnector(input: $input) {
      personalConnector { id }
      userErrors { ...Errors }
    }
  }
`, [Errors]);

export const Update = graphql(`
  mutation ConsoleUpdate($input: UpdateCustomConnectorInput!) {
    updateCustomConnector(input: $input) {
      personalConnector { ...Editable }
      userErrors { ...Errors }
    }
  }
`, [Editable, Errors]);

export const Delete = graphql(`
  mutation ConsoleDelete($input: DeleteCustomConnectorInput!) {
    deleteCustomConnector(input: $input) {
      deletedId
      userErrors { ...Errors }
    }
  }
`, [Errors]);

export const DeleteMany = graphql(`
  mutation ConsoleDeleteMany($input: DeleteCustomConnectorsInput!) {
    deleteCustomConnectors(input: $input) {
      deletedIds
      results { personalConnectorId userErrors { ...Errors } }
      userErrors { ...Errors }
    }
  }
`, [Errors]);

export const SetStatus = graphql(`
  mutation ConsoleSetStatus($input: SetConnectorStatusInput!) {
    setConnectorStatus(input: $input) {
      personalConnector { id }
      userErrors { ...Errors }
    }
  }
`, [Errors]);

export const Curate = graphql(`
  mutation ConsoleCurate($input: UpdateCatalogConnectorsInput!) {
    updateCatalogConnectors(input: $input) {
      results { personalConnectorId userErrors { ...Errors } }
      userErrors { ...Errors }
    }
  }
`, [Errors]);

export const SetStatuses = graphql(`
  mutation ConsoleSetStatuses($input: SetConnectorStatusesInput!) {
    setConnectorStatuses(input: $input) {
      results { personalConnectorId userErrors { ...Errors } }
      userErrors { ...Errors }
    }
  }
`, [Errors]);

export const Replacements = graphql(`
  query ConsoleReplacements($search: String!) {
    personalConnectors(search: $search, first: 6) {
      nodes { id name type }
    }
  }
`);

export type EditableOf = ResultOf<typeof Editable>;
export type UserError = ResultOf<typeof Errors>;
