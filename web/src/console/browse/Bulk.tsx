import { useState } from 'react';
import { BulkStatusDialog } from '../edit/BulkStatusDialog.tsx';
import { CategoryDialog } from '../edit/CategoryDialog.tsx';
import { useTexts } from '../texts/texts.tsx';
import type { Row } from './queries.ts';

interface Props {
  /** The selected connectors. */
  readonly rows: readonly Row[];
  readonly onDone: () => void;
}

/** What can be done with the selected connectors; a button is there if it is allowed for all of them. */
export function Bulk({ rows, onDone }: Props) {
  const { browse, edit } = useTexts();
  const [open, setOpen] = useState<'status' | 'category' | null>(null);
  if (rows.length === 0) return null;
  const ids = rows.map(({ id }) => id);
  const close = () => setOpen(null);
  const done = () => {
    close();
    onDone();
  };
  const title = browse.selected(rows.length);
  return (
    <div className="bulk" role="group" aria-label={title}>
      <strong>{title}</strong>
      {rows.every(({ viewerCanSetStatus }) => viewerCanSetStatus) && (
        <button type="button" onClick={() => setOpen('status')}>{edit.setStatus}</button>
      )}
      {rows.every(({ viewerCanCurate }) => viewerCanCurate) && (
        <button type="button" onClick={() => setOpen('category')}>{edit.setCategory}</button>
      )}
      <button type="button" className="link" onClick={onDone}>{browse.unselect}</button>
      {open === 'status' && <BulkStatusDialog rows={rows} title={title} onClose={close} onDone={done} />}
      {open === 'category' && <CategoryDialog ids={ids} title={title} onClose={close} onDone={done} />}
    </div>
  );
}
