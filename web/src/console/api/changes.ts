import { stringifyDocument } from '@urql/core';
import { useEffect, useState, useSyncExternalStore } from 'react';
import { useLive } from '../session/session.tsx';
import type { Filter, ResultOf, VariablesOf } from './graphql.ts';
import { Changed } from './queries.ts';

type Changes = ReadonlyMap<string, boolean>;
const NONE: Changes = new Map();

type List = NonNullable<VariablesOf<typeof Changed>['list']>;

/** The list that a page shows, as the argument of a subscription. */
export const listOf = (search: string | undefined, filter: Filter | undefined): List => ({
  ...(search ? { search } : {}),
  ...(filter ? { filter } : {}),
});

/**
 * The connectors of a list that changed since a cursor, which is the `changesCursor` of what is shown, by id: whether checks
 * alone changed them.
 * Nothing is read again: the page says how many there are, and its user decides.
 */
export function useChanges(after: string | undefined, list: List): Changes {
  const { socket } = useLive();
  const key = JSON.stringify([after, list]);
  const [heard, setHeard] = useState<{ key: string; changes: Changes }>({ key, changes: NONE });

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
          const changes = new Map(before.key === key ? before.changes : NONE);
          const { personalConnectorId: id, kind, changedFields } = change;
          const isOfCheck = kind === 'UPDATED' && changedFields.every(field => field === 'HEALTH' || field === 'TOOLS');
          return { key, changes: changes.set(id, isOfCheck && changes.get(id) !== false) };
        });
      },
      // The list is read again by its user, or by the next search.
      error: () => undefined,
      complete: () => undefined,
    });
    // `key` stands for the cursor and the list.
  }, [socket, key]);

  return heard.key === key ? heard.changes : NONE;
}


/** The state of the connection that brings changes. */
export function useConnection() {
  const { onChange, state } = useLive();
  return useSyncExternalStore(onChange, state);
}
