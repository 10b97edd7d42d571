// The GraphiQL page. It asks no host but its own, and runs under a policy that lets it ask no other.

import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import { getOperationAST } from 'graphql';
import { createClient } from 'graphql-sse';
import { createRoot } from 'react-dom/client';

import '@graphiql/react/style.css';
import '@graphiql/plugin-doc-explorer/style.css';
import '@graphiql/plugin-history/style.css';
import 'graphiql/graphiql.css';
import './page.css';

import { defaultHeaders, defaultTabs } from './examples.js';
import { storage } from './storage.js';
import { scalarSchemas } from './variables.js';
import Worker from './worker.js?worker';

globalThis.MonacoEnvironment = { getWorker: (_id, label) => new Worker({ name: label }) };

// Beside this page, so that it is found behind a prefix too.
const url = new URL('graphql', document.baseURI).href;

// The service sends no answer in parts, so none are asked for.
const ask = createGraphiQLFetcher({ url, enableIncrementalDelivery: false });

// Server-sent events are asked for with the headers of the tab, which a WebSocket of a browser's cannot bring.
const subscribe = (operation, headers) => createClient({ url, headers }).iterate(operation);

// What the page asks for itself, the schema, comes without a parsed document.
const isSubscription = ({ operationName }, { documentAST }) =>
  documentAST && getOperationAST(documentAST, operationName)?.operation === 'subscription';

const fetcher = (operation, options = {}) =>
  isSubscription(operation, options) ? subscribe(operation, options.headers) : ask(operation, options);

createRoot(document.getElementById('graphiql')).render(
  <GraphiQL
    fetcher={fetcher}
    defaultTabs={defaultTabs}
    defaultHeaders={defaultHeaders}
    // A token is gone with the page: local storage is no place for one.
    shouldPersistHeaders={false}
    storage={storage}
    customScalarSchemas={scalarSchemas}
    defaultEditorToolsVisibility="variables"
    inputValueDeprecation
    schemaDescription
  />,
);
