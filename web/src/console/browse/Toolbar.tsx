import { useTexts } from '../texts/texts.tsx';
import type { List } from './queries.ts';
import { fromStart, type ListSearch, ORDERS, orderOf, readSearch } from './search.ts';

interface Props {
  readonly search: ListSearch;
  readonly total: number | undefined;
  readonly list: List | undefined;
  readonly onChange: (search: ListSearch) => void;
}

/** The words that were searched for instead. */
const correction = (words: NonNullable<List['search']>['words']) =>
  words.map(({ word, replacements }) => replacements.join(' / ') || word).join(' ');

/** How many there are, in which order, and what was searched for instead. */
export function Toolbar({ search, total, list, onChange }: Props) {
  const { browse, labels } = useTexts();
  const orders = ORDERS.filter(order => order !== 'relevance' || search.q);
  return (
    <div className="toolbar">
      <p role="status" className="total">
        {total !== undefined && <strong>{browse.count(total)}</strong>}
        {list?.search?.corrected && <span className="corrected">{browse.corrected(correction(list.search.words))}</span>}
      </p>
      <label className="order">
        <span>{browse.order}</span>
        <select
          value={orderOf(search)}
          onChange={({ target: { value } }) => onChange(readSearch({ ...fromStart(search), order: value }))}
        >
          {orders.map(order => <option key={order} value={order}>{labels.order[order]}</option>)}
        </select>
      </label>
    </div>
  );
}
