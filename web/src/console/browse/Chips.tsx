import { labelOf, useTexts } from '../texts/texts.tsx';
import { cleared, FACETS, fromStart, isRestricted, type ListSearch, toggled } from './search.ts';

/** What restricts the list, a chip for each, and one button to clear all. */
export function Chips({ search, onChange }: { search: ListSearch; onChange: (search: ListSearch) => void }) {
  const { browse, labels } = useTexts();
  if (!isRestricted(search)) return null;
  const chips = FACETS.flatMap(facet =>
    (search[facet] ?? []).map(value => ({
      key: `${facet} ${value}`,
      label: `${labels.facet[facet]}: ${labelOf(labels[facet], value)}`,
      without: toggled(search, facet, value),
    })),
  );
  if (search.mine) chips.unshift({ key: 'mine', label: browse.mine, without: { ...fromStart(search), mine: undefined } });
  if (search.q) chips.unshift({ key: 'q', label: `“${search.q}”`, without: { ...fromStart(search), q: undefined } });
  return (
    <ul className="chips" aria-label={browse.active}>
      {chips.map(({ key, label, without }) => (
        <li key={key}>
          <button type="button" className="chip" aria-label={browse.remove(label)} onClick={() => onChange(without)}>
            {label} <span aria-hidden="true">✕</span>
          </button>
        </li>
      ))}
      <li><button type="button" className="link" onClick={() => onChange(cleared(search))}>{browse.clear}</button></li>
    </ul>
  );
}
