import type { ConnectorStatus } from '../api/graphql.ts';
import { CHOICES } from '../browse/search.ts';
import { useTexts } from '../texts/texts.tsx';
import { errorsOf, Field } from './Field.tsx';
import type { UserError } from './queries.ts';

export interface StatusDraft {
  readonly status: ConnectorStatus;
  /** The notice for users, which may be empty. */
  readonly message: string;
}

interface Props {
  readonly draft: StatusDraft;
  readonly errors: readonly UserError[];
  readonly onChange: (draft: StatusDraft) => void;
}

/** A status, and a notice for users about it. */
export function StatusFields({ draft, errors, onChange }: Props) {
  const { edit, labels } = useTexts();
  return (
    <>
      <fieldset className="inline">
        <legend>{labels.field.STATUS}</legend>
        {CHOICES.status.map(status => (
          <label key={status} className="choice">
            <input type="radio" name="status" checked={draft.status === status} onChange={() => onChange({ ...draft, status })} /> {labels.status[status]}
          </label>
        ))}
      </fieldset>
      <Field name="statusMessage" label={labels.field.STATUS_MESSAGE} hint={edit.noticeHint} errors={errorsOf(errors, 'statusMessage')}>
        {attributes => (
          <textarea {...attributes} rows={2} value={draft.message} onChange={({ target }) => onChange({ ...draft, message: target.value })} />
        )}
      </Field>
    </>
  );
}
