import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useCallback, useDeferredValue, useEffect, useState } from 'react';
import { useQuery } from 'urql';
import { OF_CONNECTORS } from '../api/cache.ts';
import { listOf, useChanges } from '../api/changes.ts';
import { Problem } from '../parts/Problem.tsx';
import { SignInHint } from '../parts/SignInHint.tsx';
import { useTitle } from '../parts/title.ts';
import { useSession } from '../session/session.tsx';
import { useTexts } from '../texts/texts.tsx';
import { Bulk } from './Bulk.tsx';
import { Chips } from './Chips.tsx';
import { Export } from './Export.tsx';
import { Facets } from './Facets.tsx';
import { Pages } from './Pages.tsx';
import { Counts, Page, VisibilityCounts } from './queries.ts';
import { SearchBox } from './SearchBox.tsx';
import { cleared, filterOf, isRestricted, type ListSearch, listVariables, pageVariables, visibilityVariables, readSearch, fromStart } from './search.ts';
import { Table } from './Table.tsx';
import { Toolbar } from './Toolbar.tsx';
import { useFocusMemory } from './focus.ts';

/** The catalogue. The address bar has all that it shows: search, filters, order and page. */
export function Browse() {
  const { browse, page: words } = useTexts();
  const { isSignedIn } = useSession();
  const search = useSearch({ from: '/' });
  const navigate = useNavigate({ from: '/' });
  const show = useCallback((next: ListSearch) => void navigate({ search: next }), [navigate]);
  const find = useCallback(
    (q: string) => void navigate({ search: before => readSearch({ ...fromStart(before), q }), replace: true }),
    [navigate],
  );

  const [{ data, error, fetching }, readPage] = useQuery({ query: Page, variables: pageVariables(search), context: OF_CONNECTORS });
  const [{ data: counted, stale }, readCounts] = useQuery({ query: Counts, variables: listVariables(search), context: OF_CONNECTORS });
  const [{ data: visible }, readVisible] = useQuery({
    query: VisibilityCounts,
    variables: visibilityVariables(search),
    context: OF_CONNECTORS,
    // Without a sign-in, only public connectors can be seen.
    pause: !isSignedIn,
  });
  // Rows and menus are rendered when no key waits.
  const list = useDeferredValue(data?.personalConnectors);
  const counts = useDeferredValue(counted?.personalConnectors);
  const isWide = useWide();
  const visibilities = useDeferredValue(visible);
  const readAgain = useCallback(() => {
    readPage({ requestPolicy: 'network-only' });
    readCounts({ requestPolicy: 'network-only' });
    if (isSignedIn) readVisible({ requestPolicy: 'network-only' });
  }, [readPage, readCounts, readVisible, isSignedIn]);

  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const select = useCallback((ids: readonly string[], isSelected: boolean) => {
    setSelected(before => new Set(isSelected ? [...before, ...ids] : [...before].filter(id => !ids.includes(id))));
  }, []);
  const unselect = useCallback(() => setSelected(new Set()), []);
  // Of another page nothing is selected: what is changed is in sight.
  const rows = list?.edges.map(({ node }) => node).filter(({ id }) => selected.has(id)) ?? [];

  // While another page is read, its changes are not known yet.
  const changed = useChanges(fetching ? undefined : list?.changesCursor, listOf(search.q, filterOf(search)));
  useFocusMemory(list !== undefined);
  useTitle(words.title);

  return (
    <>
      <div className="top">
        <SearchBox q={search.q ?? ''} onSearch={find} />
      </div>
      <div className="browse">
        {/* Without an answer there is nothing to filter. */}
        <details className={error && !counts ? 'filters unusable' : 'filters'} open={isWide}>
          <summary>{browse.filters}</summary>
          <Facets search={search} counts={counts} visible={visibilities} isSignedIn={isSignedIn} onChange={show} />
        </details>
        <section aria-label={browse.results} aria-busy={fetching}>
          <Toolbar search={search} total={stale ? undefined : counts?.totalCount} list={list} onChange={show} />
          <Chips search={search} onChange={show} />
          <Bulk rows={rows} onDone={unselect} />
          <div className="pill" role="status">
            {changed.size > 0 && !fetching && (
              <button type="button" onClick={readAgain}>{browse.changes(changed.size)}</button>
            )}
          </div>
          {error && !fetching ? (
            <Problem error={error} retry={readAgain} />
          ) : (
            <>
              {list && <Table edges={list.edges} selected={selected} onSelect={select} />}
              {list?.edges.length === 0 && !fetching && <Nothing search={search} />}
              {!list && <p className="loading">{words.loading}</p>}
              {list && <Pages search={search} info={list.pageInfo} />}
              {list && list.edges.length > 0 && <Export search={search} />}
            </>
          )}
        </section>
      </div>
    </>
  );
}

function Nothing({ search }: { search: ListSearch }) {
  const { browse } = useTexts();
  const hasFilter = isRestricted(search);
  return (
    <div className="nothing">
      <p>{hasFilter ? browse.nothing : browse.empty}</p>
      {hasFilter && <p className="muted">{browse.nothingHint} <Link to="/" search={cleared(search)}>{browse.showAll}</Link></p>}
      <SignInHint />
    </div>
  );
}

const WIDE = window.matchMedia('(min-width: 60rem)');

/** Whether the filters have a column of their own. */
function useWide() {
  const [isWide, setWide] = useState(WIDE.matches);
  useEffect(() => {
    const update = () => setWide(WIDE.matches);
    WIDE.addEventListener('change', update);
    return () => WIDE.removeEventListener('change', update);
  }, []);
  return isWide;
}
