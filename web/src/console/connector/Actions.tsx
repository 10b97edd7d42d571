import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { useMutation } from 'urql';
import type { DenialReason } from '../api/graphql.ts';
import { CategoryDialog } from '../edit/CategoryDialog.tsx';
import { DeleteDialog } from '../edit/DeleteDialog.tsx';
import { StatusDialog } from '../edit/StatusDialog.tsx';
import { labelOf, useTexts } from '../texts/texts.tsx';
import { Check, type ConnectorOf } from './queries.ts';

type Open = 'status' | 'category' | 'delete' | null;

/** What the viewer may do with the connector, and why not the rest. */
export function Actions({ connector, onChange }: { connector: ConnectorOf; onChange: () => void }) {
  const { connector: texts, edit } = useTexts();
  const [open, setOpen] = useState<Open>(null);
  const [{ data, fetching }, check] = useMutation(Check);
  const checked = data?.checkConnector;
  const close = () => setOpen(null);
  const done = () => {
    close();
    onChange();
  };
  const { id, name } = connector;
  return (
    <section className="actions" aria-label={texts.actions}>
      {connector.viewerCanUpdate && <Link to="/connectors/$id/edit" params={{ id }} id="edit" className="button">{edit.edit}</Link>}
      {connector.viewerCanSetStatus && <button type="button" onClick={() => setOpen('status')}>{edit.setStatus}</button>}
      {connector.viewerCanCurate && <button type="button" onClick={() => setOpen('category')}>{edit.setCategory}</button>}
      {connector.viewerCanCheck && (
        <button type="button" disabled={fetching} onClick={() => void check({ input: { id } }).then(onChange)}>{texts.check}</button>
      )}
      {connector.viewerCanDelete && <button type="button" className="danger" onClick={() => setOpen('delete')}>{edit.delete}</button>}
      {connector.viewerCanCheck && (
        <p role="status">
          {checked?.inspection && `${texts.checked} ${checked.inspection.message}`}
          {checked?.userErrors.map(({ message }) => message).join(' ')}
        </p>
      )}
      <Why connector={connector} />
      {open === 'status' && <StatusDialog connector={connector} onClose={close} onDone={done} />}
      {open === 'category' && <CategoryDialog ids={[id]} title={edit.categoryOf(name)} onClose={close} onDone={done} />}
      {open === 'delete' && <DeleteDialog connector={connector} onClose={close} />}
    </section>
  );
}

/** The reasons for what is not offered, where people look for it. */
function Why({ connector }: { connector: ConnectorOf }) {
  const { edit, connector: texts, labels } = useTexts();
  const denied: readonly (readonly [string, readonly DenialReason[]])[] = [
    [edit.edit, connector.viewerCannotUpdateReasons],
    [edit.delete, connector.viewerCannotDeleteReasons],
    [edit.setStatus, connector.viewerCannotSetStatusReasons],
    [texts.check, connector.viewerCannotCheckReasons],
  ];
  const rows = denied.filter(([, reasons]) => reasons.length > 0);
  if (rows.length === 0) return null;
  return (
    <details className="why">
      <summary>{edit.whyNot}</summary>
      <dl className="facts">
        {rows.map(([action, reasons]) => (
          <div key={action} className="row">
            <dt>{action}</dt>
            <dd>{reasons.map(reason => labelOf(labels.denied, reason)).join('; ')}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
