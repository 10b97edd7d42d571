import { useState } from 'react';
import { useQuery } from 'urql';
import type { DenialReason, ResultOf } from '../api/graphql.ts';
import { BulkDeleteDialog } from '../edit/BulkDeleteDialog.tsx';
import { BulkStatusDialog } from '../edit/BulkStatusDialog.tsx';
import { CategoryDialog } from '../edit/CategoryDialog.tsx';
import { type DeniedAction, reasonsOf, type Scope, WhyNot } from '../parts/Rights.tsx';
import { useTexts } from '../texts/texts.tsx';
import { type Row, WhyNotOf } from './queries.ts';

interface Props {
  /** The selected connectors. */
  readonly rows: readonly Row[];
  readonly onDone: () => void;
}

type Action = 'status' | 'category' | 'delete';

const RIGHTS = { status: 'viewerCanSetStatus', category: 'viewerCanCurate', delete: 'viewerCanDelete' } as const satisfies Record<Action, keyof Row>;
const isAllowed = (rows: readonly Row[], action: Action) => rows.every(row => row[RIGHTS[action]]);

/** What can be done with the selected connectors; a button is there if it is allowed for all of them. */
export function Bulk({ rows, onDone }: Props) {
  const { browse, edit } = useTexts();
  // What a dialog was opened for stays its subject, whatever of it is still in the list.
  const [open, setOpen] = useState<{ action: Action; targets: readonly Row[] } | null>(null);
  if (rows.length === 0 && !open) return null;
  const close = () => setOpen(null);
  const done = () => {
    close();
    onDone();
  };
  const labels = { status: edit.setStatus, category: edit.setCategory, delete: edit.delete };
  const title = browse.selected((open?.targets ?? rows).length);
  return (
    <div className="bulk" role="group" aria-label={title}>
      <strong>{title}</strong>
      {(['status', 'category', 'delete'] as const).filter(action => isAllowed(rows, action)).map(action => (
        <button key={action} type="button" className={action === 'delete' ? 'danger' : undefined} onClick={() => setOpen({ action, targets: rows })}>
          {labels[action]}
        </button>
      ))}
      <button type="button" className="link" onClick={onDone}>{browse.unselect}</button>
      <Denied rows={rows} />
      {open?.action === 'status' && <BulkStatusDialog targets={open.targets} title={title} onClose={close} onDone={done} />}
      {open?.action === 'category' && <CategoryDialog targets={open.targets} title={title} onClose={close} onDone={done} />}
      {open?.action === 'delete' && <BulkDeleteDialog targets={open.targets} onClose={close} onDone={done} />}
    </div>
  );
}

type Node = ResultOf<typeof WhyNotOf>['personalConnectors']['nodes'][number];

/** Why some actions are not offered for the selection, with the names of the connectors that they are denied for. */
function Denied({ rows }: { rows: readonly Row[] }) {
  const texts = useTexts();
  const isWhole = (['status', 'category', 'delete'] as const).every(action => isAllowed(rows, action));
  const [{ data }] = useQuery({ query: WhyNotOf, variables: { id: rows.map(({ id }) => id) }, pause: isWhole });
  if (isWhole || !data) return null;
  const why = (action: Action, reasons: (node: Node) => readonly DenialReason[], scope: (node: Node) => Scope): DeniedAction[] => {
    if (isAllowed(rows, action)) return [];
    const sentences = data.personalConnectors.nodes.filter(node => reasons(node).length > 0).map(node => `${node.name}: ${reasonsOf(texts, reasons(node), scope(node))}`);
    return [[action === 'status' ? texts.edit.setStatus : action === 'category' ? texts.edit.setCategory : texts.edit.delete, sentences.join('. ')]];
  };
  const actions = [
    ...why('status', node => node.viewerCannotSetStatusReasons, ({ type }) => (type === 'CUSTOM' ? 'connectors:write' : 'catalog:admin')),
    ...why('category', node => node.viewerCannotCurateReasons, () => 'catalog:admin'),
    ...why('delete', node => node.viewerCannotDeleteReasons, () => 'connectors:write'),
  ];
  return <WhyNot actions={actions} />;
}
