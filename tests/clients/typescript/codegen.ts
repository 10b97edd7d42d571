import type { CodegenConfig } from '@graphql-codegen/cli';

const client = { preset: 'client', presetConfig: { fragmentMasking: false } } as const;

const config: CodegenConfig = {
  importExtension: '.js',
  config: {
    strictScalars: true,
    scalars: { ID: 'string', DateTime: 'string', JSON: 'unknown', URL: 'string' },
    useTypeImports: true,
  },
  generates: {
    'src/gql/': { ...client, schema: '../../../schema.graphql', documents: 'src/*.ts' },
    'src/older/gql/': { ...client, schema: 'older.graphql', documents: 'src/older/*.ts' },
  },
};
export default config;
