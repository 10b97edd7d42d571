import { memo } from 'react';
import { labelOf, useLanguage, useTexts } from '../texts/texts.tsx';
import type { CountsOf } from './queries.ts';
import { CHOICES, type Facet, FACETS, type ListSearch, NONE, fromStart, toggled } from './search.ts';

interface Props {
  readonly search: ListSearch;
  readonly counts: CountsOf | undefined;
  readonly isSignedIn: boolean;
  readonly onChange: (search: ListSearch) => void;
}

/** The counts of a facet by the names of its values. The service does not count visibilities. */
function countsOf(counts: CountsOf | undefined, facet: Facet): ReadonlyMap<string, number> | undefined {
  if (!counts || facet === 'visibility') return undefined;
  return new Map(counts.facets[facet].map(({ value, count }) => [value ?? NONE, count]));
}

/** A menu for each facet. A count says how many connectors the value would give, with all other restrictions. */
export const Facets = memo(function Facets({ search, counts, isSignedIn, onChange }: Props) {
  const { browse } = useTexts();
  const shown = FACETS.filter(facet => facet !== 'visibility' || isSignedIn);
  return (
    <div className="facets">
      {isSignedIn && (
        <label className="choice">
          <input
            type="checkbox"
            checked={search.mine ?? false}
            onChange={({ target }) => onChange({ ...fromStart(search), mine: target.checked || undefined })}
          />
          <span>{browse.mine}</span>
        </label>
      )}
      {shown.map(facet => (
        <Menu key={facet} facet={facet} search={search} counts={countsOf(counts, facet)} onChange={onChange} />
      ))}
    </div>
  );
});

interface MenuProps {
  readonly facet: Facet;
  readonly search: ListSearch;
  readonly counts: ReadonlyMap<string, number> | undefined;
  readonly onChange: (search: ListSearch) => void;
}

function Menu({ facet, search, counts, onChange }: MenuProps) {
  const { labels } = useTexts();
  const { language } = useLanguage();
  const number = new Intl.NumberFormat(language);
  const chosen = new Set<string>(search[facet]);
  // A value without connectors is offered only while it is chosen, and all until the first counts are there.
  const values = CHOICES[facet].filter(value => chosen.has(value) || !counts || (counts.get(value) ?? 0) > 0);
  return (
    <fieldset>
      <legend>{labels.facet[facet]}</legend>
      {values.map(value => (
        <label key={value} className="choice">
          <input type="checkbox" checked={chosen.has(value)} onChange={() => onChange(toggled(search, facet, value))} />
          <span>{labelOf(labels[facet], value)}</span>
          <span className="count">{counts && number.format(counts.get(value) ?? 0)}</span>
        </label>
      ))}
    </fieldset>
  );
}
