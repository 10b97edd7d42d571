import { Client, cacheExchange, fetchExchange, mapExchange } from '@urql/core';
import { createClient as createSocket, type Client as Socket } from 'graphql-ws';
import { base } from '../settings.ts';

/** The state of the connection that brings changes. */
export type Connection = 'idle' | 'live' | 'lost';

export interface Api {
  readonly client: Client;
  readonly socket: Socket;
  /** Calls back when the connection's state changes, and returns a function that ends this. */
  readonly onConnection: (listener: () => void) => () => void;
  readonly connection: () => Connection;
}

/** Seconds before another attempt to connect: 1, 2, 4 … 30, and up to one more, so that not all pages come at once. */
const wait = (attempt: number) => Math.min(30, 2 ** attempt) + Math.random();

/** A socket that breaks the protocol is not opened again; any other is, for as long as the page is open. */
const FATAL = new Set([4400, 4406]);

const NORMAL = 1000;
const FORBIDDEN = 4403;

const codeOf = (event: unknown) => (event instanceof CloseEvent ? event.code : 0);

/** Connects to the API with a token, or as anonymous caller. `onRefusal` is called when the token is not accepted. */
export function connect(token: string | null, onRefusal: () => void): Api {
  const url = new URL('graphql', base);
  const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {};
  const client = new Client({
    url: url.href,
    preferGetMethod: false,
    fetchOptions: { headers },
    exchanges: [
      cacheExchange,
      mapExchange({
        onError(error) {
          const isRefused = error.graphQLErrors.some(({ extensions }) => extensions['code'] === 'UNAUTHENTICATED');
          if (token && isRefused) onRefusal();
        },
      }),
      fetchExchange,
    ],
  });

  let state: Connection = 'idle';
  const listeners = new Set<() => void>();
  const become = (next: Connection) => {
    state = next;
    for (const listener of listeners) listener();
  };
  const socketUrl = new URL(url);
  socketUrl.protocol = url.protocol.replace('http', 'ws');
  const socket = createSocket({
    url: socketUrl.href,
    connectionParams: headers,
    keepAlive: 20_000,
    retryAttempts: Number.POSITIVE_INFINITY,
    retryWait: attempt => new Promise(resolve => setTimeout(resolve, wait(attempt) * 1000)),
    shouldRetry: event => !FATAL.has(codeOf(event)),
    on: {
      connected: () => become('live'),
      closed: event => {
        if (token && codeOf(event) === FORBIDDEN) onRefusal();
        become(codeOf(event) === NORMAL ? 'idle' : 'lost');
      },
    },
  });
  return {
    client,
    socket,
    onConnection(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    connection: () => state,
  };
}
