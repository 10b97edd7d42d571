import { createContext, Fragment, type ReactNode, use, useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { type CombinedError, Provider, useQuery } from 'urql';
import { type Connection, makeClient, makeConnection } from '../api/client.ts';
import { Me, type Viewer } from './queries.ts';

interface Session {
  /** Whether there is a token that the service accepts. It is only in memory: a reload forgets it. */
  readonly isSignedIn: boolean;
  /** Whether the service refused the last token. */
  readonly isExpired: boolean;
  /** What went wrong at the issuer. */
  readonly problem: string | null;
  /** How often an expired token was replaced by one of the same user. */
  readonly renewals: number;
  /** Signs in, if the service accepts the token. After an expired sign-in of the same user, all that is on the page stays. */
  readonly signIn: (token: string) => Promise<boolean>;
  readonly signOut: () => void;
  /** Whether the user is asked to sign in. */
  readonly isAsking: boolean;
  readonly ask: (isAsking: boolean) => void;
  /** The caller, as far as it is known. */
  readonly viewer: Viewer | undefined;
  readonly know: (viewer: Viewer) => void;
}

const SessionContext = createContext<Session | null>(null);
const ConnectionContext = createContext<Connection | null>(null);

const given = <Value,>(value: Value | null): Value => {
  if (value === null) throw new Error('There is no SessionProvider above this component.');
  return value;
};

export const useSession = () => given(use(SessionContext));
/** The connection that brings changes. */
export const useLive = () => given(use(ConnectionContext));

/** Names a user, whose id is unique in its organization. */
export const personOf = ({ userId, organizationId }: Viewer) => JSON.stringify([userId, organizationId]);

async function personWith(token: string) {
  const { data } = await makeClient(() => token, () => undefined).query(Me, {}).toPromise();
  return data && personOf(data.viewer);
}

interface ProviderProps {
  readonly first: string | null;
  readonly problem: string | null;
  readonly children: ReactNode;
}

/**
 * Gives each user a client of their own, and a new page, so that neither has what another user saw. A token that expires
 * changes nothing on the page, until its user goes on without it or signs in again.
 */
export function SessionProvider({ first, problem, children }: ProviderProps) {
  const [token, setToken] = useState(first);
  const current = useRef(first);
  const [user, setUser] = useState(0);
  const [isExpired, setExpired] = useState(false);
  const [renewals, setRenewals] = useState(0);
  const [isAsking, ask] = useState(false);
  const [viewer, know] = useState<Viewer | undefined>(undefined);
  const refuse = useCallback((refused: string) => {
    if (refused === current.current) setExpired(true);
  }, []);

  const become = useCallback((next: string | null) => {
    current.current = next;
    setToken(next);
    setExpired(false);
    ask(false);
  }, []);
  const begin = useCallback((next: string | null) => {
    know(undefined);
    become(next);
    setUser(count => count + 1);
  }, [become]);
  const signIn = useCallback(async (next: string) => {
    const person = await personWith(next);
    if (person === undefined) return false;
    if (isExpired && viewer && person === personOf(viewer)) {
      become(next);
      setRenewals(count => count + 1);
    } else {
      begin(next);
    }
    return true;
  }, [isExpired, viewer, become, begin]);

  // A client is of a user, and a connection of a token.
  const client = useMemo(() => makeClient(() => current.current, refuse), [user, refuse]);
  const connection = useMemo(() => makeConnection(token, refuse), [user, token, refuse]);
  useEffect(() => () => void connection.socket.dispose(), [connection]);
  const session = useMemo(
    (): Session => ({
      isSignedIn: token !== null && !isExpired,
      isExpired,
      problem: user === 0 ? problem : null,
      renewals,
      signIn,
      signOut: () => begin(null),
      isAsking,
      ask,
      viewer,
      know,
    }),
    [token, isExpired, renewals, signIn, begin, isAsking, viewer, problem, user],
  );
  return (
    <SessionContext value={session}>
      <ConnectionContext value={connection}>
        <Provider value={client}><Fragment key={user}>{children}</Fragment></Provider>
      </ConnectionContext>
    </SessionContext>
  );
}

/** The caller as the service sees it; undefined until it is known. */
export const useViewer = () => useCaller().viewer;

/** The caller, or why it is not known. */
export function useCaller(): { viewer: Viewer | undefined; error: CombinedError | undefined; read: () => void } {
  const { renewals, viewer: known, know } = useSession();
  const [{ data, error }, read] = useQuery({ query: Me });
  const viewer = data?.viewer;
  useEffect(() => {
    if (renewals > 0) read({ requestPolicy: 'network-only' });
  }, [renewals, read]);
  useEffect(() => {
    if (viewer) know(viewer);
  }, [viewer, know]);
  const readAgain = useCallback(() => read({ requestPolicy: 'network-only' }), [read]);
  return { viewer: viewer ?? known, error, read: readAgain };
}

/** Whether the caller may change the catalogue's own connectors, and import. */
export const isCatalogAdmin = (viewer: Viewer | undefined) => viewer?.scopes.includes('catalog:admin') ?? false;
