import { Link } from '@tanstack/react-router';
import { memo } from 'react';
import type { ResultOf, Visibility } from '../api/graphql.ts';
import { labelOf, useLanguage, useTexts } from '../texts/texts.tsx';
import type { CountsOf, VisibilityCounts } from './queries.ts';
import { BROKEN, CHOICES, type Facet, FACETS, type ListSearch, NONE, fromStart, toggled } from './search.ts';

interface Props {
  readonly search: ListSearch;
  readonly counts: CountsOf | undefined;
  readonly visible: Visible | undefined;
  readonly isSignedIn: boolean;
  readonly onChange: (search: ListSearch) => void;
}

type Visible = ResultOf<typeof VisibilityCounts>;

/** The counts of a facet by the names of its values. The service has no facet of visibilities, so they are counted one by one. */
function countsOf({ counts, visible }: Props, facet: Facet): ReadonlyMap<string, number> | undefined {
  if (facet === 'visibility') {
    return visible && new Map(CHOICES.visibility.map(value => [value, visible[KEYS[value]].totalCount]));
  }
  return counts && new Map(counts.facets[facet].map(({ value, count }) => [value ?? NONE, count]));
}

const KEYS = { PUBLIC: 'public', ORGANIZATION: 'organization', PRIVATE: 'private' } as const satisfies Record<Visibility, keyof Visible>;

/** A menu for each facet. A count says how many connectors the value would give, with all other restrictions. */
export const Facets = memo(function Facets(props: Props) {
  const { search, counts, isSignedIn, onChange } = props;
  const { browse, palette } = useTexts();
  const broken = counts?.facets.outcome.filter(({ value }) => value && BROKEN.outcome?.includes(value)).reduce((sum, { count }) => sum + count, 0);
  const shown = FACETS.filter(facet => facet !== 'visibility' || isSignedIn);
  return (
    <div className="facets">
      <Link to="/" search={{ ...fromStart(search), ...BROKEN }} className="broken">
        {palette.broken} {broken !== undefined && <span className="count">{broken}</span>}
      </Link>
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
        <Menu key={facet} facet={facet} search={search} counts={countsOf(props, facet)} onChange={onChange} />
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
  if (values.length === 0) return null;
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
