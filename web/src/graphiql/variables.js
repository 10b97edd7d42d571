// The JSON Schema that marks mistakes in variables. The library's own marks three things that GraphQL allows.

import { Kind, parse } from 'graphql';

/** The values of scalars whose JSON the library cannot know. */
export const scalarSchemas = {
  JSON: { type: ['object', 'array', 'string', 'number', 'boolean'] },
  URL: { type: 'string' },
};

/** The names of variables with a default, in all operations of a document. */
function withDefault(document) {
  const { definitions } = parse(document);
  return definitions
    .filter(({ kind }) => kind === Kind.OPERATION_DEFINITION)
    .flatMap(({ variableDefinitions }) => variableDefinitions)
    .filter(({ defaultValue }) => defaultValue)
    .map(({ variable }) => variable.name.value);
}

/** A list may be written as its one item (GraphQL, section 3.11). */
const withSingleItem = ({ description, markdownDescription, ...list }) => ({
  description,
  markdownDescription,
  anyOf: [list, withItems(list.items)],
});
const withItems = schema => (schema.items ? withSingleItem(schema) : schema);

/** A field with a default may be left out, although its type is non-null (GraphQL, section 3.10). */
function lenient({ properties, required, ...object }) {
  const entries = Object.entries(properties);
  return {
    ...object,
    properties: Object.fromEntries(entries.map(([name, schema]) => [name, withItems(schema)])),
    required: required.filter(name => !('default' in properties[name])),
  };
}

/** The library's schema for the variables of a document, without what it marks wrongly. */
export function corrected(schema, document) {
  const definitions = Object.entries(schema.definitions ?? {}).map(([name, type]) => [name, lenient(type)]);
  const variables = lenient(schema);
  const optional = withDefault(document);
  return {
    ...variables,
    required: variables.required.filter(name => !optional.includes(name)),
    definitions: Object.fromEntries(definitions),
  };
}
