import { useEffect, useRef, useState } from 'react';
import { useClient } from 'urql';
import { useTexts } from '../texts/texts.tsx';
import type { ListSearch } from './search.ts';

type Format = 'csv' | 'json';

/** Saves the whole list, with its search and filters, as a file. */
export function Export({ search }: { search: ListSearch }) {
  const { browse, errors, page } = useTexts();
  const client = useClient();
  const [state, setState] = useState<'idle' | 'failed' | { read: number }>('idle');
  const isCancelled = useRef(false);
  useEffect(() => () => void (isCancelled.current = true), []);
  const isBusy = typeof state === 'object';
  const run = async (format: Format) => {
    isCancelled.current = false;
    setState({ read: 0 });
    try {
      const { asCsv, asJson, readAll, save } = await import('./exported.ts');
      const items = await readAll(client, search, read => {
        if (!isCancelled.current) setState({ read });
        return !isCancelled.current;
      });
      if (items && format === 'csv') save('connectors.csv', 'text/csv', asCsv(items));
      else if (items) save('connectors.json', 'application/json', asJson(items));
      setState('idle');
    } catch {
      setState('failed');
    }
  };
  return (
    <div className="export">
      <span className="muted">{browse.export}</span>
      <button type="button" className="link" disabled={isBusy} onClick={() => void run('csv')}>CSV</button>
      <button type="button" className="link" disabled={isBusy} onClick={() => void run('json')}>JSON</button>
      <span role="status" className={isBusy ? 'muted' : 'error'}>
        {isBusy && state.read > 0 && browse.exported(state.read)}
        {state === 'failed' && errors.network}
      </span>
      {isBusy && <button type="button" className="link" onClick={() => (isCancelled.current = true)}>{page.cancel}</button>}
    </div>
  );
}
