import { stringifyDocument } from '@urql/core';
import { useEffect, useState, useSyncExternalStore } from 'react';
import { useApi } from '../session/session.tsx';
import { type Filter, graphql, type ResultOf, type VariablesOf } from './graphql.ts';

const Changed = graphql(`
  subscription ConsoleChanged($after: String, $list: PersonalConnectorListInput) {
    personalConnectorChanged(after: $after, list: $list) {
      cursor
      kind
      personalConnectorId
      inListBefore
      inList
    }
  }
`);

type List = NonNullable<VariablesOf<typeof Changed>['list']>;

/** The list that a page shows, as the argument of a subscription. */
export const listOf = (search: string | undefined, filter: Filter | undefined): List => ({
  ...(search ? { search } : {}),
  ...(filter ? { filter } : {}),
});

/**
 * The ids of the connectors of a list that changed since a cursor, which is the `changesCursor` of what is shown.
 * Nothing is read again: the page says how many there are, and its user decides.
 */
export function useChanges(after: string | undefined, list: List): ReadonlySet<string> {
  const { socket } = useApi();
  const key = JSON.stringify([after, list]);
  const [heard, setHeard] = useState<{ key: string; ids: ReadonlySet<string> }>({ key, ids: new Set() });

  useEffect(() => {
    if (after === undefined) return;
    // The client sends this object again when it connects again, so that each change comes once.
    const variables: VariablesOf<typeof Changed> = { after, list };
    const query = stringifyDocument(Changed);
    return socket.subscribe<ResultOf<typeof Changed>>({ query, variables }, {
      next({ data }) {
        const change = data?.personalConnectorChanged;
        if (!change) return;
        variables.after = change.cursor;
        setHeard(before => {
          const ids = new Set(before.key === key ? before.ids : []);
          return { key, ids: ids.add(change.personalConnectorId) };
        });
      },
      // The list is read again by its user, or by the next search.
      error: () => undefined,
      complete: () => undefined,
    });
    // `key` stands for the cursor and the list.
  }, [socket, key]);

  return heard.key === key ? heard.ids : NONE;
}

const NONE: ReadonlySet<string> = new Set();

/** The state of the connection that brings changes. */
export function useConnection() {
  const { onConnection, connection } = useApi();
  return useSyncExternalStore(onConnection, connection);
}
