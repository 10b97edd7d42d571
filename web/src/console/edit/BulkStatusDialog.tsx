import { useState } from 'react';
import { useMutation } from 'urql';
import { OF_CONNECTORS } from '../api/cache.ts';
import type { ConnectorStatus } from '../api/graphql.ts';
import { CHOICES } from '../browse/search.ts';
import { Dialog } from '../parts/Dialog.tsx';
import { sentenceOf } from '../parts/Problem.tsx';
import { useTexts } from '../texts/texts.tsx';
import { Errors, errorsOf, errorsWithout, Field } from './Field.tsx';
import { SetStatuses } from './queries.ts';

interface Props {
  readonly rows: readonly { readonly id: string; readonly name: string }[];
  readonly title: string;
  readonly onClose: () => void;
  readonly onDone: () => void;
}

/** Sets the status of all or none. An error names its connector. */
export function BulkStatusDialog({ rows, title, onClose, onDone }: Props) {
  const texts = useTexts();
  const { edit, labels, page } = texts;
  const [status, setStatus] = useState<ConnectorStatus>('MAINTENANCE');
  const [message, setMessage] = useState('');
  const [{ data, error, fetching }, send] = useMutation(SetStatuses);
  const answer = data?.setConnectorStatuses;
  const refused = answer?.results.filter(({ userErrors }) => userErrors.length > 0) ?? [];
  const nameOf = (id: string) => rows.find(row => row.id === id)?.name ?? id;
  const submit = async () => {
    const input = { ids: rows.map(({ id }) => id), status, statusMessage: message.trim() || null, errorPolicy: 'REJECT_ALL' } as const;
    const sent = await send({ input }, OF_CONNECTORS);
    const result = sent.data?.setConnectorStatuses;
    if (result && result.userErrors.length === 0 && result.results.every(({ userErrors }) => userErrors.length === 0)) onDone();
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        className="form"
        onSubmit={event => {
          event.preventDefault();
          void submit();
        }}
      >
        <fieldset className="inline">
          <legend>{labels.field.STATUS}</legend>
          {CHOICES.status.map(value => (
            <label key={value} className="choice">
              <input type="radio" name="status" checked={status === value} onChange={() => setStatus(value)} /> {labels.status[value]}
            </label>
          ))}
        </fieldset>
        <Field name="statusMessage" label={labels.field.STATUS_MESSAGE} hint={edit.noticeHint} errors={errorsOf(answer?.userErrors ?? [], 'statusMessage')}>
          {attributes => <textarea {...attributes} rows={2} value={message} onChange={({ target }) => setMessage(target.value)} />}
        </Field>
        <Errors errors={errorsWithout(answer?.userErrors ?? [], ['statusMessage'])} />
        {refused.map(({ personalConnectorId, userErrors }) => (
          <div key={personalConnectorId}><strong>{nameOf(personalConnectorId)}</strong><Errors errors={userErrors} /></div>
        ))}
        {error && <p className="error" role="alert">{sentenceOf(texts, error)}</p>}
        <p className="buttons">
          <button type="submit" className="primary" disabled={fetching}>{edit.save}</button>
          <button type="button" onClick={onClose}>{page.cancel}</button>
        </p>
      </form>
    </Dialog>
  );
}
