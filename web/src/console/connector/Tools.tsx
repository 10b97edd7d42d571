import { useEffect, useState } from 'react';
import { useQuery } from 'urql';
import { isObject } from '../parts/Json.tsx';
import { Name } from '../parts/Name.tsx';
import { Problem } from '../parts/Problem.tsx';
import { Time } from '../parts/Time.tsx';
import { useTexts } from '../texts/texts.tsx';
import { type ConnectorOf, type Tool, Tools as Query } from './queries.ts';
import { Schema } from './Schema.tsx';

const STEP = 20;
/** The most that the service gives at once. */
const NEXT = 100;

/** The variables of the list as it is at first. */
export const firstTools = (id: string) => ({ id, search: '', first: STEP, after: null });

/** The tools that the server last listed. Another check, which `health` is of, may have listed others. */
export function Tools({ connector: { id, serverUrl, health, viewerCanCheck } }: { connector: ConnectorOf }) {
  const { tools: texts, connector } = useTexts();
  const [search, setSearch] = useState('');
  const [{ data, fetching }, read] = useQuery({ query: Query, variables: { ...firstTools(id), search } });
  useReadAgain(health?.checkedAt, () => read({ requestPolicy: 'network-only' }));
  const list = data?.personalConnector?.tools;
  const checkedAt = data?.personalConnector?.health?.toolsCheckedAt;
  const isEmpty = list?.totalCount === 0 && !search;
  const none = serverUrl === null ? texts.noServer : health ? texts.none : texts.never;
  // Room for what a check may find, where the viewer may have it checked.
  const room = viewerCanCheck && serverUrl !== null ? 'known' : undefined;
  return (
    <section aria-labelledby="tools" className={room} aria-busy={fetching}>
      <div className="bar">
        <h2 id="tools">{connector.tools} {list && !isEmpty && <span className="count">{list.totalCount}</span>}</h2>
        {list && !isEmpty && (
          <input type="search" aria-label={texts.search} placeholder={texts.search} value={search} onChange={({ target }) => setSearch(target.value)} />
        )}
      </div>
      {list?.totalCount === 0 && <p className="muted">{search ? texts.noMatch : none}</p>}
      <Page key={search} id={id} search={search} first={STEP} after={null} />
      {checkedAt && <p className="muted">{texts.listedAt} <Time at={checkedAt} /></p>}
    </section>
  );
}

interface PageProps {
  readonly id: string;
  readonly search: string;
  readonly first: number;
  readonly after: string | null;
}

/** Some tools, and those after them when they are asked for. */
function Page({ id, search, first, after }: PageProps) {
  const { tools: texts, page } = useTexts();
  const [isOpen, setOpen] = useState(false);
  const [{ data, error }, read] = useQuery({ query: Query, variables: { id, search, first, after } });
  if (error) return <Problem error={error} retry={() => read({ requestPolicy: 'network-only' })} />;
  const list = data?.personalConnector?.tools;
  if (!list) return <p className="loading">{page.loading}</p>;
  const { hasNextPage, endCursor } = list.pageInfo;
  return (
    <>
      <ul className="plain tools">{list.nodes.map(tool => <li key={tool.name}><One tool={tool} /></li>)}</ul>
      {hasNextPage && (isOpen ? (
        <Page id={id} search={search} first={NEXT} after={endCursor} />
      ) : (
        <button type="button" onClick={() => setOpen(true)}>{texts.more}</button>
      ))}
    </>
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
        <code><Name>{tool.name}</Name></code> {tool.title && tool.title !== tool.name && <Name>{tool.title}</Name>} <Hints annotations={tool.annotations} />
        {tool.description && <span className="excerpt"><Name>{tool.description}</Name></span>}
      </summary>
      {tool.description && <p className="description"><Name>{tool.description}</Name></p>}
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
