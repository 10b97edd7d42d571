import { Client, cacheExchange, fetchExchange, mapExchange } from '@urql/core';
import { createClient as createSocket, type Client as Socket } from 'graphql-ws';
import { base } from '../settings.ts';

/** The state of the connection that brings changes. */
export type ConnectionState = 'idle' | 'live' | 'lost';

export interface Connection {
  readonly socket: Socket;
  /** Calls back when the state changes, and returns a function that ends this. */
  readonly onChange: (listener: () => void) => () => void;
  readonly state: () => ConnectionState;
}

const endpoint = new URL('graphql', base);

const headersOf = (token: string | null): Record<string, string> => (token ? { Authorization: `Bearer ${token}` } : {});

/** Makes a client that sends each request with the token of that moment. `onRefusal` gets a token that is not accepted. */
export function makeClient(tokenNow: () => string | null, onRefusal: (token: string) => void): Client {
  return new Client({
    url: endpoint.href,
    preferGetMethod: false,
    fetchOptions: () => ({ headers: headersOf(tokenNow()) }),
    exchanges: [
      cacheExchange,
      mapExchange({
        onError(error) {
          const token = tokenNow();
          const isRefused = error.graphQLErrors.some(({ extensions }) => extensions['code'] === 'UNAUTHENTICATED');
          if (token && isRefused) onRefusal(token);
        },
      }),
      fetchExchange,
    ],
  });
}

/** Seconds before another attempt to connect: 1, 2, 4 … 30, and up to one more, so that not all pages come at once. */
const wait = (attempt: number) => Math.min(30, 2 ** attempt) + Math.random();

const NORMAL = 1000;
const FORBIDDEN = 4403;

/** A socket that breaks the protocol, or whose token is refused, is not opened again; any other is, while the page is open. */
const FATAL = new Set([4400, 4406, FORBIDDEN]);

const codeOf = (event: unknown) => (event instanceof CloseEvent ? event.code : 0);

/** Connects for changes with a token, or as anonymous caller, when the first subscription begins. */
export function makeConnection(token: string | null, onRefusal: (token: string) => void): Connection {
  let state: ConnectionState = 'idle';
  const listeners = new Set<() => void>();
  const become = (next: ConnectionState) => {
    state = next;
    for (const listener of listeners) listener();
  };
  const url = new URL(endpoint);
  url.protocol = url.protocol.replace('http', 'ws');
  const socket = createSocket({
    url: url.href,
    connectionParams: headersOf(token),
    keepAlive: 20_000,
    retryAttempts: Number.POSITIVE_INFINITY,
    retryWait: attempt => new Promise(resolve => setTimeout(resolve, wait(attempt) * 1000)),
    shouldRetry: event => !FATAL.has(codeOf(event)),
    on: {
      connected: () => become('live'),
      closed: event => {
        const isForbidden = codeOf(event) === FORBIDDEN;
        if (token && isForbidden) onRefusal(token);
        // The page says that the sign-in has expired: it need not say that changes are interrupted.
        become(codeOf(event) === NORMAL || isForbidden ? 'idle' : 'lost');
      },
    },
  });
  return {
    socket,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    state: () => state,
  };
}
