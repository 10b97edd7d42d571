import { useEffect, useState } from 'react';
import { useQuery } from 'urql';
import { isObject } from '../parts/Json.tsx';
import { Problem } from '../parts/Problem.tsx';
import { Time } from '../parts/Time.tsx';
import { useTexts } from '../texts/texts.tsx';
import { type Tool, Tools as Query } from './queries.ts';
import { Schema } from './Schema.tsx';

const STEP = 20;
const MOST = 1000;

/** The variables of the list as it is at first. */
export const firstTools = (id: string) => ({ id, search: '', first: STEP });

/** The tools that the server last listed. Another check, which `revision` names, may have listed others. */
export function Tools({ id, revision }: { id: string; revision: string | undefined }) {
  const { tools: texts, connector, page } = useTexts();
  const [search, setSearch] = useState('');
  const [first, setFirst] = useState(STEP);
  const [{ data, error, fetching }, read] = useQuery({ query: Query, variables: { id, search, first } });
  useReadAgain(revision, () => read({ requestPolicy: 'network-only' }));
  const list = data?.personalConnector?.tools;
  const checkedAt = data?.personalConnector?.health?.toolsCheckedAt;
  const isEmpty = list?.totalCount === 0 && !search;
  return (
    <section aria-labelledby="tools" className="known" aria-busy={fetching}>
      <div className="bar">
        <h2 id="tools">{connector.tools} {list && !isEmpty && <span className="count">{list.totalCount}</span>}</h2>
        {list && !isEmpty && (
          <input type="search" aria-label={texts.search} placeholder={texts.search} value={search} onChange={({ target }) => setSearch(target.value)} />
        )}
      </div>
      {error && <Problem error={error} retry={() => read({ requestPolicy: 'network-only' })} />}
      {!list && !error && <p className="loading">{page.loading}</p>}
      {list?.totalCount === 0 && <p className="muted">{search ? texts.noMatch : texts.none}</p>}
      <ul className="plain tools">{list?.nodes.map(tool => <li key={tool.name}><One tool={tool} /></li>)}</ul>
      {list?.pageInfo.hasNextPage && (
        <button type="button" onClick={() => setFirst(count => Math.min(count * 4, MOST))}>{texts.more}</button>
      )}
      {checkedAt && <p className="muted">{texts.listedAt} <Time at={checkedAt} /></p>}
    </section>
  );
}

/** Reads again when a value changes, but not at first. */
export function useReadAgain(value: unknown, read: () => void) {
  const [before, setBefore] = useState(value);
  useEffect(() => {
    if (before === value) return;
    setBefore(value);
    read();
  }, [before, value, read]);
}

function One({ tool }: { tool: Tool }) {
  const { tools: texts } = useTexts();
  return (
    <details>
      <summary>
        <code>{tool.name}</code> {tool.title && tool.title !== tool.name && <span>{tool.title}</span>} <Hints annotations={tool.annotations} />
        {tool.description && <span className="excerpt">{tool.description}</span>}
      </summary>
      {tool.description && <p className="description">{tool.description}</p>}
      <h3>{texts.arguments}</h3>
      <Schema schema={tool.inputSchema} none={texts.noArguments} />
      {tool.outputSchema !== null && (
        <>
          <h3>{texts.results}</h3>
          <Schema schema={tool.outputSchema} none="–" />
        </>
      )}
    </details>
  );
}

const HINTS = ['readOnlyHint', 'destructiveHint', 'idempotentHint', 'openWorldHint'] as const;

/** The effects of a tool, as its server gives them. A tool that only reads destroys nothing. */
function Hints({ annotations }: { annotations: unknown }) {
  const { tools: texts } = useTexts();
  if (!isObject(annotations)) return null;
  const readsOnly = annotations['readOnlyHint'] === true;
  const given = HINTS.filter(hint => annotations[hint] === true && !(readsOnly && hint === 'destructiveHint'));
  return given.map(hint => <span key={hint} className="hint" title={texts.hintNote}>{texts.hints[hint]}</span>);
}
