import { Link, useParams } from '@tanstack/react-router';
import { useCallback, useEffect, useMemo, useState } from 'react';
import { useQuery } from 'urql';
import { listOf, useChanges } from '../api/changes.ts';
import { HealthBadge, outcomeOf, StatusBadge, VisibilityBadge } from '../parts/Badge.tsx';
import { Icon } from '../parts/Icon.tsx';
import { useLast } from '../parts/last.ts';
import { Name } from '../parts/Name.tsx';
import { Problem } from '../parts/Problem.tsx';
import { SignInHint } from '../parts/SignInHint.tsx';
import { useTitle } from '../parts/title.ts';
import { labelOf, useTexts } from '../texts/texts.tsx';
import { Actions } from './Actions.tsx';
import { Connect } from './Connect.tsx';
import { Facts } from './Facts.tsx';
import { firstChart, Health } from './Health.tsx';
import { firstChanges, History } from './History.tsx';
import { Connector, type ConnectorOf, HealthChart, History as HistoryQuery, Tools as ToolsQuery } from './queries.ts';
import { firstTools, Tools } from './Tools.tsx';

export function ConnectorPage() {
  const { id } = useParams({ from: '/connectors/$id' });
  return <Shown key={id} id={id} />;
}

function Shown({ id }: { id: string }) {
  const { connector: texts, page } = useTexts();
  const [{ data: known, error, fetching }, read] = useQuery({ query: Connector, variables: { id } });
  const data = useLast(known);
  const readAgain = useCallback(() => read({ requestPolicy: 'network-only' }), [read]);
  const connector = data?.personalConnector;
  const list = useMemo(() => listOf(undefined, { id: [id] }), [id]);
  const changes = useChanges(fetching ? undefined : data?.personalConnectors.changesCursor, list);
  const changed = changes.size > 0;
  // Before the first check there is nothing to read that its result could move.
  const isFirstCheck = connector?.health === null && changes.get(id) === true;
  useEffect(() => {
    if (isFirstCheck && !fetching) readAgain();
  }, [isFirstCheck, fetching, readAgain]);
  useTitle(connector ? `${connector.name} · ${page.title}` : page.title);

  const isWhole = useParts(id);

  if (error && !connector) return <Problem error={error} retry={readAgain} />;
  if (!data || !isWhole) return <p className="loading">{page.loading}</p>;
  if (!connector) {
    return (
      <div className="nothing">
        <p>{texts.gone}</p>
        <SignInHint />
        <Link to="/" className="button">{page.toList}</Link>
      </div>
    );
  }
  return (
    <article className="connector">
      <Head connector={connector} />
      <div className="pill" role="status">
        {changed && !fetching && <button type="button" onClick={readAgain}>{texts.changed}</button>}
      </div>
      {error && !fetching && <Problem error={error} retry={readAgain} />}
      <Notice connector={connector} />
      <Actions connector={connector} onChange={readAgain} />
      <div className="columns">
        <div>
          <section aria-labelledby="description">
            <h2 id="description" className="hidden">{texts.description}</h2>
            <p className="description">{connector.description ? <Name>{connector.description}</Name> : <span className="muted">{texts.noDescription}</span>}</p>
          </section>
          <Tools connector={connector} />
          <History connector={connector} />
        </div>
        <div>
          <Health connector={connector} />
          <Connect connector={connector} />
          <Facts connector={connector} />
        </div>
      </div>
    </article>
  );
}

/** Whether the parts of the page are read: they are shown together, so that none moves another. Each finds its own in the cache. */
function useParts(id: string) {
  const [tools] = useQuery({ query: ToolsQuery, variables: firstTools(id) });
  const [history] = useQuery({ query: HistoryQuery, variables: firstChanges(id) });
  const [chart] = useQuery({ query: HealthChart, variables: firstChart(id) });
  const [isWhole, setWhole] = useState(false);
  const isRead = [tools, history, chart].every(({ data, error }) => data !== undefined || error !== undefined);
  if (isRead && !isWhole) setWhole(true);
  return isWhole || isRead;
}

function Head({ connector }: { connector: ConnectorOf }) {
  const { labels, page } = useTexts();
  const { name, iconUrl, status, visibility, category, type } = connector;
  return (
    <header className="head">
      <nav><Link to="/" className="back"><span className="arrow">←</span> {page.toList}</Link></nav>
      <div className="what">
        <Icon name={name} url={iconUrl} />
        <h1><Name>{name}</Name></h1>
      </div>
      <ul className={connector.health ? 'badges' : 'badges unchecked'}>
        <li><HealthBadge outcome={outcomeOf(connector)} /></li>
        <li><StatusBadge status={status} /></li>
        <li><VisibilityBadge visibility={visibility} /></li>
        <li>{labelOf(labels.type, type)}</li>
        <li>{labelOf(labels.category, category ?? 'none')}</li>
      </ul>
    </header>
  );
}

/** What its users should know: it is deprecated, or away for a while. */
function Notice({ connector: { status, statusMessage, replacedBy } }: { connector: ConnectorOf }) {
  const { connector: texts } = useTexts();
  if (status === 'ACTIVE' && !statusMessage) return null;
  return (
    <div className="notice">
      {status === 'DEPRECATED' && <strong>{texts.deprecated}</strong>}
      {status === 'MAINTENANCE' && <strong>{texts.maintenance}</strong>}
      {statusMessage && <Name>{statusMessage}</Name>}
      {replacedBy && (
        <span>{texts.replacedBy} <Link to="/connectors/$id" params={{ id: replacedBy.id }}>{replacedBy.name}</Link></span>
      )}
    </div>
  );
}
