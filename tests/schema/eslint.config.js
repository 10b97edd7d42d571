// graphql-eslint's recommended rules for schemas and its rules for Relay, on the schema that clients are generated from.
import { defineConfig } from 'eslint/config';
import graphql from '@graphql-eslint/eslint-plugin';

export default defineConfig({
  files: ['**/*.graphql'],
  plugins: { '@graphql-eslint': graphql },
  languageOptions: { parser: graphql.parser, parserOptions: { graphQLConfig: { schema: 'schema.graphql' } } },
  rules: {
    ...graphql.configs['flat/schema-recommended'].rules,
    ...graphql.configs['flat/schema-relay'].rules,
    // More than recommended: everything has a description.
    '@graphql-eslint/require-description': [
      'error',
      { types: true, FieldDefinition: true, InputValueDefinition: true, EnumValueDefinition: true, rootField: true },
    ],
    // A user's id is unique in an organization alone. Caches take a field `id` for the object's identity, so it is `userId`, as a viewer's.
    '@graphql-eslint/no-typename-prefix': 'off',
    // Only a Node has an identity. Parts of a connection, payloads and errors are values of one answer, and a viewer is
    // whoever asks: caches must not keep them under an id. A change is what its cursor says.
    '@graphql-eslint/strict-id-in-types': [
      'error',
      {
        acceptedIdNames: ['id'],
        acceptedIdTypes: ['ID'],
        exceptions: {
          types: ['BulkResult', 'ConnectorCheck', 'ConnectorDraft', 'ConnectorHealth', 'CuratedField', 'EnvironmentVariable', 'FieldChange', 'HealthBuckets', 'ImportReport', 'ImportedCategory', 'Inspection', 'McpServerInfo', 'McpTool', 'PageInfo', 'PersonalConnectorChange', 'SearchInfo', 'SearchMatch', 'SearchWord', 'ServerPackage', 'TextFragment', 'UpdateConflict', 'User', 'UserError', 'Viewer'],
          suffixes: ['Connection', 'Edge', 'Payload', 'Facet', 'Facets'],
        },
      },
    ],
    // The rule wants every list to be a connection's edges. Lists that cannot grow (errors, scopes, facets), `nodes` beside
    // `edges`, and Relay's own plural root field `nodes(ids:)` are none. It wants every edge's node to have an id too, which
    // Relay does not, and a change has none.
    '@graphql-eslint/relay-edge-types': ['error', { withEdgeSuffix: true, shouldImplementNode: false, listTypeCanWrapOnlyEdgeType: false }],
    // Tools and checks are read forwards alone, as Relay lets a list be.
    '@graphql-eslint/relay-arguments': ['error', { includeBoth: false }],
  },
});
