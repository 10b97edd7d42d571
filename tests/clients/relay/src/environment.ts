// Relay's store over a network that sends the documents' ids.
import { env } from 'node:process';
import { createClient, type Sink } from 'graphql-ws';
import {
  Environment,
  Network,
  Observable,
  RecordSource,
  Store,
  type FetchFunction,
  type RequestParameters,
  type SubscribeFunction,
} from 'relay-runtime';
import WebSocket from 'ws';

const url = env['URL']!;
const Authorization = `Bearer ${env['TOKEN']!}`;

// relay-compiler wrote the documents into a file, which the server is given by --trusted-documents.
const document = ({ id }: RequestParameters) => ({ documentId: id });

export const post = async (body: object) => {
  const headers = { Authorization, 'content-type': 'application/json' };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  return response.json();
};

const ask: FetchFunction = (request, variables) => post({ ...document(request), variables });

const socket = createClient({
  url: url.replace(/^http/, 'ws'),
  connectionParams: { Authorization },
  webSocketImpl: WebSocket,
});

const listen: SubscribeFunction = (request, variables) =>
  Observable.create((sink) => {
    const payload = { query: '', ...document(request), variables };
    return socket.subscribe(payload, sink as Sink);
  });

export const environment = new Environment({
  network: Network.create(ask, listen),
  store: new Store(new RecordSource()),
});
