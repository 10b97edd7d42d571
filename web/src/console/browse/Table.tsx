import { Link } from '@tanstack/react-router';
import { memo } from 'react';
import { HealthBadge, outcomeOf, StatusBadge, VisibilityBadge } from '../parts/Badge.tsx';
import { Icon } from '../parts/Icon.tsx';
import { plain } from '../parts/Name.tsx';
import { Time } from '../parts/Time.tsx';
import { useViewer } from '../session/session.tsx';
import { labelOf, useTexts } from '../texts/texts.tsx';
import type { Edge, Row } from './queries.ts';

interface Props {
  readonly edges: readonly Edge[];
  readonly selected: ReadonlySet<string>;
  readonly onSelect: (ids: readonly string[], isSelected: boolean) => void;
}

/**
 * A table, whose rows are cards on narrow screens. The roles are given, because a browser drops them when the style makes
 * blocks of rows and cells.
 */
export const Table = memo(function Table({ edges, selected, onSelect }: Props) {
  const { browse, labels } = useTexts();
  if (edges.length === 0) return null;
  // Only what can be changed together can be selected.
  const viewer = useViewer();
  const mayChange = (row: Row) => !viewer?.readOnly && (row.viewerCanSetStatus || row.viewerCanCurate || row.viewerCanDelete);
  const selectable = new Set(edges.filter(({ node }) => mayChange(node)).map(({ node }) => node.id));
  const isAll = selectable.size > 0 && [...selectable].every(id => selected.has(id));
  return (
    <table role="table" className="connectors">
      <thead role="rowgroup">
        <tr role="row">
          <th role="columnheader" scope="col">
            {selectable.size > 0 && (
              <input type="checkbox" aria-label={browse.selectAll} checked={isAll} onChange={({ target }) => onSelect([...selectable], target.checked)} />
            )}
            {browse.name}
          </th>
          <th role="columnheader" scope="col">{labels.facet.outcome}</th>
          <th role="columnheader" scope="col">{labels.facet.status}</th>
          <th role="columnheader" scope="col">{labels.facet.category}</th>
          <th role="columnheader" scope="col">{labels.facet.type}</th>
          <th role="columnheader" scope="col">{labels.facet.visibility}</th>
          <th role="columnheader" scope="col">{browse.changed}</th>
        </tr>
      </thead>
      <tbody role="rowgroup">
        {edges.map(({ node, matches }) => (
          <ConnectorRow key={node.id} row={node} matches={matches} isSelected={selected.has(node.id)} isSelectable={selectable.has(node.id)} onSelect={onSelect} />
        ))}
      </tbody>
    </table>
  );
});

interface RowProps {
  readonly row: Row;
  readonly matches: Edge['matches'];
  readonly isSelected: boolean;
  readonly isSelectable: boolean;
  readonly onSelect: Props['onSelect'];
}

const ConnectorRow = memo(function ConnectorRow({ row, matches, isSelected, isSelectable, onSelect }: RowProps) {
  const { browse, labels } = useTexts();
  return (
    <tr role="row">
      <td role="cell" className="what">
        {isSelectable && (
          <input type="checkbox" aria-label={browse.select(row.name)} checked={isSelected} onChange={({ target }) => onSelect([row.id], target.checked)} />
        )}
        <Icon name={row.name} url={row.iconUrl} />
        <div>
          <Link to="/connectors/$id" params={{ id: row.id }} id={row.id} className="name">
            <bdi><Highlighted matches={matches} field="NAME">{row.name}</Highlighted></bdi>
          </Link>
          <p className="excerpt"><bdi><Highlighted matches={matches} field="DESCRIPTION">{row.description}</Highlighted></bdi></p>
          <OtherMatch matches={matches} />
        </div>
      </td>
      <td role="cell"><HealthBadge outcome={outcomeOf(row)} /></td>
      <td role="cell">
        <StatusBadge status={row.status} />
        {row.replacedBy && (
          <Link to="/connectors/$id" params={{ id: row.replacedBy.id }} className="small">{browse.replacedBy(row.replacedBy.name)}</Link>
        )}
      </td>
      <td role="cell"><span className="card">{labels.facet.category}: </span>{labelOf(labels.category, row.category ?? 'none')}</td>
      <td role="cell">{labelOf(labels.type, row.type)}</td>
      <td role="cell"><VisibilityBadge visibility={row.visibility} /></td>
      <td role="cell" className="when"><Time at={row.updatedAt} /></td>
    </tr>
  );
});

type Match = Edge['matches'][number];

function Fragments({ match }: { match: Match }) {
  return match.fragments.map(({ text, matched }, index) => (matched ? <mark key={index}>{plain(text)}</mark> : plain(text)));
}

/** A text with the words of the search marked, or as it is. */
function Highlighted({ matches, field, children }: { matches: readonly Match[]; field: Match['field']; children: string | null }) {
  const match = matches.find(match => match.field === field);
  return match ? <Fragments match={match} /> : children && plain(children);
}

/** A match in a field that has no column: the kind, the address or a tool. */
function OtherMatch({ matches }: { matches: readonly Match[] }) {
  const { browse } = useTexts();
  const match = matches.find(({ field }) => field !== 'NAME' && field !== 'DESCRIPTION');
  if (!match) return null;
  const { field, toolName } = match;
  return (
    <p className="excerpt">
      <span className="muted">{labelOf(browse.foundIn, field)}{toolName && ` ${toolName}`}: </span>
      <Fragments match={match} />
    </p>
  );
}
