// Writes the cases that schema.graphql has, and clients of generators that have no command for it.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { codegen } from '@graphql-codegen/core';
import * as typescript from '@graphql-codegen/typescript';
import * as operations from '@graphql-codegen/typescript-operations';
import * as request from '@graphql-codegen/typescript-graphql-request';
import * as validation from 'graphql-codegen-typescript-validation-schema';
import { buildSchema, getNamedType, isEnumType, isInputObjectType, isObjectType, parse } from 'graphql';
import { Parser } from 'graphql-js-tree';
import { TreeToTS } from 'graphql-zeus-core';

const text = readFileSync('../../../schema.graphql', 'utf8');
const schema = buildSchema(text);
mkdirSync('src/generated', { recursive: true });
const write = (name, content) => writeFileSync(`src/generated/${name}.ts`, content);

/** The ways to give an input that has a default, and its other values. */
const ways = ({ name, type: nullable, defaultValue }) => {
  const type = getNamedType(nullable);
  const values = isEnumType(type)
    ? type.getValues().map(({ value }) => value)
    : { Boolean: [true, false], Int: [0] }[type.name];
  const others = values.filter((value) => value !== defaultValue).map((value) => [String(value), { [name]: value }]);
  return {
    unset: {},
    undefined: { [name]: undefined },
    null: { [name]: null },
    default: { [name]: defaultValue },
    ...Object.fromEntries(others),
  };
};
// One of each type of input: tests/it/pipeline/unset_null_default.rs has all.
const OWNERS = ['ConnectorHealth.uptime', 'CreateCustomConnectorInput', 'InspectServerInput', 'UpdateCustomConnectorInput'];
const cases = {};
const collect = (owner, inputs) => {
  const defaulted = inputs.filter(({ defaultValue }) => defaultValue !== undefined);
  if (OWNERS.includes(owner)) cases[owner] = Object.fromEntries(defaulted.map((input) => [input.name, ways(input)]));
};
for (const type of Object.values(schema.getTypeMap())) {
  if (type.name.startsWith('__')) continue;
  if (isInputObjectType(type)) collect(type.name, Object.values(type.getFields()));
  if (isObjectType(type)) for (const field of Object.values(type.getFields())) collect(`${type.name}.${field.name}`, field.args);
}
write('cases', `export const cases = ${inspect(cases, { depth: null })} as const;\n`);

write('zeus', TreeToTS.resolveTree({ tree: Parser.parse(text), env: 'node', host: '', esModule: false }));

const scalars = { ID: 'string', DateTime: 'string', JSON: 'unknown', URL: 'string' };
const scalarSchemas = { DateTime: 'z.string()', JSON: 'z.unknown()', URL: 'z.string()' };
const generate = async (name, config, plugins, documents) =>
  write(
    name,
    (config.head ?? '') + await codegen({
      filename: `${name}.ts`,
      schema: parse(text),
      documents: documents ? [{ location: documents, document: parse(readFileSync(documents, 'utf8')) }] : [],
      config: { scalars, strictScalars: true, useTypeImports: true, ...config },
      plugins: Object.keys(plugins).map((name) => ({ [name]: {} })),
      pluginMap: plugins,
    }),
  );
await generate('request', {}, { operations, request }, 'operations.graphql');
// Its types of recursive inputs do not compile.
await generate('zod', { head: '// @ts-nocheck\n', schema: 'zodv4', enumsAsTypes: true, scalarSchemas }, { typescript, validation });
