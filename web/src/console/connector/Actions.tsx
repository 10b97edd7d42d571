import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { useMutation } from 'urql';
import type { DenialReason } from '../api/graphql.ts';
import { CategoryDialog } from '../edit/CategoryDialog.tsx';
import { DeleteDialog } from '../edit/DeleteDialog.tsx';
import { StatusDialog } from '../edit/StatusDialog.tsx';
import { sentenceOf } from '../parts/Problem.tsx';
import { type DeniedAction, reasonsOf, type Scope, WhyNot } from '../parts/Rights.tsx';
import { useViewer } from '../session/session.tsx';
import { useTexts } from '../texts/texts.tsx';
import { Check, type ConnectorOf } from './queries.ts';

type Open = 'status' | 'category' | 'delete' | null;

/** What the viewer may do with the connector, and why not the rest. */
export function Actions({ connector, onChange }: { connector: ConnectorOf; onChange: () => void }) {
  const all = useTexts();
  const { connector: texts, edit } = all;
  const viewer = useViewer();
  const [open, setOpen] = useState<Open>(null);
  const [{ data, error, fetching }, check] = useMutation(Check);
  const checked = data?.checkConnector;
  const close = () => setOpen(null);
  const done = () => {
    close();
    onChange();
  };
  const denied = useDenied(connector);
  const { id, name } = connector;
  // Nothing is offered that the service refuses now; a note above the page says why.
  if (viewer?.readOnly) return null;
  return (
    <section className="actions" aria-label={texts.actions}>
      {connector.viewerCanUpdate && <Link to="/connectors/$id/edit" params={{ id }} id="edit" className="button">{edit.edit}</Link>}
      {connector.viewerCanSetStatus && <button type="button" onClick={() => setOpen('status')}>{edit.setStatus}</button>}
      {connector.viewerCanCurate && <button type="button" onClick={() => setOpen('category')}>{edit.setCategory}</button>}
      {connector.viewerCanCheck && connector.serverUrl !== null && (
        <button type="button" disabled={fetching} onClick={() => void check({ input: { id } }).then(({ data: isDone }) => isDone && onChange())}>{texts.check}</button>
      )}
      {connector.viewerCanDelete && <button type="button" className="danger" onClick={() => setOpen('delete')}>{edit.delete}</button>}
      {connector.viewerCanCheck && connector.serverUrl !== null && (
        <p role="status" lang="en">
          {checked?.inspection?.message}
          {checked?.userErrors.map(({ message }) => message).join(' ')}
        </p>
      )}
      {error && <p className="error whole" role="alert">{sentenceOf(all, error)}</p>}
      <WhyNot actions={denied} />
      {open === 'status' && <StatusDialog connector={connector} onClose={close} onDone={done} />}
      {open === 'category' && <CategoryDialog targets={[connector]} title={edit.categoryOf(name)} onClose={close} onDone={done} />}
      {open === 'delete' && <DeleteDialog connector={connector} onClose={close} />}
    </section>
  );
}

/** The actions that the viewer may not take, and why. */
function useDenied(connector: ConnectorOf): readonly DeniedAction[] {
  const texts = useTexts();
  const { edit } = texts;
  const isCustom = connector.type === 'CUSTOM';
  const own = isCustom ? 'connectors:write' : 'catalog:admin';
  const denied: readonly (readonly [string, readonly DenialReason[], Scope])[] = [
    [edit.edit, connector.viewerCannotUpdateReasons, 'connectors:write'],
    [edit.delete, connector.viewerCannotDeleteReasons, 'connectors:write'],
    [edit.setStatus, connector.viewerCannotSetStatusReasons, own],
    // A custom connector's category is among its fields.
    [edit.setCategory, isCustom ? [] : connector.viewerCannotCurateReasons, 'catalog:admin'],
    [texts.connector.check, connector.viewerCannotCheckReasons, 'connectors:write'],
  ];
  return denied.flatMap(([action, reasons, scope]) => (reasons.length > 0 ? [[action, reasonsOf(texts, reasons, scope)] as const] : []));
}
