import { Link } from '@tanstack/react-router';
import { useTexts } from '../texts/texts.tsx';
import type { List } from './queries.ts';
import { fromStart, type ListSearch } from './search.ts';

/** The pages before and after this one. Their cursors are in the address bar. */
export function Pages({ search, info }: { search: ListSearch; info: List['pageInfo'] }) {
  const { browse } = useTexts();
  const { hasPreviousPage, hasNextPage, startCursor, endCursor } = info;
  if (!hasPreviousPage && !hasNextPage) return null;
  return (
    <nav className="pages" aria-label={browse.pages}>
      {hasPreviousPage && startCursor && (
        <Link to="/" search={{ ...fromStart(search), before: startCursor }} className="button" rel="prev">{browse.previous}</Link>
      )}
      {hasNextPage && endCursor && (
        <Link to="/" search={{ ...fromStart(search), after: endCursor }} className="button" rel="next">{browse.next}</Link>
      )}
    </nav>
  );
}
