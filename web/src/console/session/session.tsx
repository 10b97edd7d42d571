import { createContext, type ReactNode, use, useCallback, useEffect, useMemo, useState } from 'react';
import { Provider, useQuery } from 'urql';
import { type Api, connect } from '../api/client.ts';
import { graphql, type ResultOf } from '../api/graphql.ts';

const Me = graphql(`
  query ConsoleViewer {
    viewer {
      userId
      organizationId
      scopes
      readOnly
      canCreateCustomConnector
      cannotCreateCustomConnectorReasons
      user { name }
    }
  }
`);

export type Viewer = ResultOf<typeof Me>['viewer'];

interface Session {
  /** Whether there is a token. It is only in memory: a reload forgets it. */
  readonly isSignedIn: boolean;
  /** Whether the service refused the last token. */
  readonly isExpired: boolean;
  readonly signIn: (token: string) => void;
  readonly signOut: () => void;
}

const SessionContext = createContext<Session | null>(null);
const ApiContext = createContext<Api | null>(null);

const given = <Value,>(value: Value | null): Value => {
  if (value === null) throw new Error('There is no SessionProvider above this component.');
  return value;
};

export const useSession = () => given(use(SessionContext));
export const useApi = () => given(use(ApiContext));

/** Gives each token its own client, so that no cache has what another token saw. */
export function SessionProvider({ first, children }: { first: string | null; children: ReactNode }) {
  const [token, setToken] = useState(first);
  const [isExpired, setExpired] = useState(false);
  const refuse = useCallback(() => {
    setExpired(true);
    setToken(null);
  }, []);
  const api = useMemo(() => connect(token, refuse), [token, refuse]);
  useEffect(() => () => void api.socket.dispose(), [api]);
  const session = useMemo(
    (): Session => ({
      isSignedIn: token !== null,
      isExpired,
      signIn(next) {
        setExpired(false);
        setToken(next);
      },
      signOut() {
        setExpired(false);
        setToken(null);
      },
    }),
    [token, isExpired],
  );
  return (
    <SessionContext value={session}>
      <ApiContext value={api}>
        <Provider value={api.client}>{children}</Provider>
      </ApiContext>
    </SessionContext>
  );
}

/** The caller as the service sees it; undefined until it is known. */
export function useViewer(): Viewer | undefined {
  const [{ data }] = useQuery({ query: Me });
  return data?.viewer;
}

/** Whether the caller may change the catalogue's own connectors, and import. */
export const isCatalogAdmin = (viewer: Viewer | undefined) => viewer?.scopes.includes('catalog:admin') ?? false;
