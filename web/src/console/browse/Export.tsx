import { useState } from 'react';
import { useApi } from '../session/session.tsx';
import { useTexts } from '../texts/texts.tsx';
import type { ListSearch } from './search.ts';

type Format = 'csv' | 'json';

/** Saves the whole list, with its search and filters, as a file. */
export function Export({ search }: { search: ListSearch }) {
  const { browse, errors } = useTexts();
  const { client } = useApi();
  const [state, setState] = useState<'idle' | 'busy' | 'failed'>('idle');
  const run = async (format: Format) => {
    setState('busy');
    try {
      const { asCsv, asJson, readAll, save } = await import('./exported.ts');
      const items = await readAll(client, search);
      if (format === 'csv') save('connectors.csv', 'text/csv', asCsv(items));
      else save('connectors.json', 'application/json', asJson(items));
      setState('idle');
    } catch {
      setState('failed');
    }
  };
  return (
    <div className="export">
      <span className="muted">{browse.export}</span>
      <button type="button" className="link" disabled={state === 'busy'} onClick={() => void run('csv')}>CSV</button>
      <button type="button" className="link" disabled={state === 'busy'} onClick={() => void run('json')}>JSON</button>
      <span role="status" className="error">{state === 'failed' && errors.network}</span>
    </div>
  );
}
