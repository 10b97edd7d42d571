// All operations of the console, in the texts that it sends. Only the build imports this file: it makes a manifest of trusted
// documents of them.

import { formatDocument, stringifyDocument } from '@urql/core';
import type { DocumentNode } from 'graphql';

const isDocument = (value: unknown): value is DocumentNode => typeof value === 'object' && value !== null && 'definitions' in value;

/** The operation of a document; undefined for one of fragments alone. */
const operationOf = ({ definitions }: DocumentNode) => definitions.find(definition => definition.kind === 'OperationDefinition');

const modules = Object.values(import.meta.glob<Record<string, unknown>>('./*/queries.ts', { eager: true }));

/** The texts, by the names of the operations. The cache adds names of types to all but subscriptions. */
export const documents: Readonly<Record<string, string>> = Object.fromEntries(
  modules
    .flatMap(module => Object.values(module))
    .filter(isDocument)
    .flatMap(document => {
      const operation = operationOf(document);
      if (!operation) return [];
      const sent = operation.operation === 'subscription' ? document : formatDocument(document);
      return [[operation.name?.value ?? '', stringifyDocument(sent)] as const];
    }),
);
