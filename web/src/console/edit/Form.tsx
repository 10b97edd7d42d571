import { Link } from '@tanstack/react-router';
import { type ReactNode, type SubmitEvent, useEffect, useRef, useState } from 'react';
import type { DenialReason } from '../api/graphql.ts';
import { CHOICES, NONE } from '../browse/search.ts';
import { reasonsOf } from '../parts/Rights.tsx';
import { useTexts } from '../texts/texts.tsx';
import { type Draft, DRAFT_FIELDS, type DraftField, isExact, isJson, withField } from './draft.ts';
import { Errors, errorsOf, errorsWithout, Field } from './Field.tsx';
import type { UserError } from './queries.ts';

interface Props {
  readonly draft: Draft;
  readonly errors: readonly UserError[];
  readonly isBusy: boolean;
  readonly cannotPublish: readonly DenialReason[];
  readonly submit: string;
  readonly onChange: (draft: Draft) => void;
  readonly onSubmit: () => void;
  /** An address was pasted, or is complete. */
  readonly onAddress: (address: string) => void;
  /** What is known of the address, below its input. */
  readonly inspected?: ReactNode;
  readonly cancel: ReactNode;
}

/** The fields of a custom connector. */
export function Form({ draft, errors: sentErrors, isBusy, cannotPublish, submit, onChange, onSubmit, onAddress, inspected, cancel }: Props) {
  const all = useTexts();
  const { edit: texts, labels } = all;
  const [sent, setSent] = useState(draft);
  // What is changed since is no longer wrong for the same reason.
  const errors = sentErrors.filter(({ field }) => DRAFT_FIELDS.every(name => name !== field?.at(-1) || draft[name] === sent[name]));
  const form = useRef<HTMLFormElement>(null);
  // The first field with an error gets the focus.
  useEffect(() => {
    if (sentErrors.length > 0) form.current?.querySelector<HTMLElement>('[aria-invalid=true]')?.focus();
  }, [sentErrors]);
  const set = (field: DraftField) => ({ target }: { target: { value: string } }) => onChange(withField(draft, field, target.value));
  const send = (event: SubmitEvent) => {
    event.preventDefault();
    if (isBusy) return;
    setSent(draft);
    onSubmit();
  };
  const mayNotPublish = cannotPublish.length > 0;
  const publishHint = mayNotPublish ? `${texts.notPublic}: ${reasonsOf(all, cannotPublish, 'connectors:admin')}.` : undefined;
  const nameErrors = errorsOf(errors, 'name');
  const isTaken = nameErrors.some(({ code }) => code === 'TAKEN');
  // What the browser cannot hold is not offered for change, so that nothing of it is rounded.
  const [isFixed] = useState(() => !isExact(draft.metadata));
  const canSend = isFixed || (isJson(draft.metadata) && isExact(draft.metadata));
  const metadataHint = isFixed ? texts.fixedMetadata : !isJson(draft.metadata) ? texts.notJson : !isExact(draft.metadata) ? texts.inexact : texts.metadataHint;
  const metadataErrors = errorsOf(errors, 'metadata');
  return (
    <form ref={form} className="form" onSubmit={send} noValidate>
      <Field name="serverUrl" label={labels.field.SERVER_URL} hint={inspected && texts.addressHint} errors={errorsOf(errors, 'serverUrl')}>
        {attributes => (
          <input
            {...attributes}
            type="url"
            inputMode="url"
            autoComplete="off"
            spellCheck={false}
            maxLength={2048}
            placeholder="https://mcp.example.com/mcp"
            value={draft.serverUrl}
            disabled={draft.serverType === 'STDIO'}
            onChange={set('serverUrl')}
            onPaste={({ clipboardData }) => onAddress(clipboardData.getData('text').trim())}
            onBlur={({ target }) => onAddress(target.value.trim())}
          />
        )}
      </Field>
      {inspected}
      <Field name="name" label={labels.field.NAME} hint={isTaken && <Link to="/" search={{ q: draft.name }}>{texts.showTaken}</Link>} errors={nameErrors}>
        {attributes => <input {...attributes} required autoComplete="off" value={draft.name} onChange={set('name')} />}
      </Field>
      <Field name="description" label={labels.field.DESCRIPTION} errors={errorsOf(errors, 'description')}>
        {attributes => <textarea {...attributes} rows={3} value={draft.description} onChange={set('description')} />}
      </Field>
      <div className="pair">
        <Field name="category" label={labels.field.CATEGORY} errors={errorsOf(errors, 'category')}>
          {attributes => (
            <select {...attributes} value={draft.category} onChange={set('category')}>
              {CHOICES.category.map(value => <option key={value} value={value}>{labels.category[value]}</option>)}
            </select>
          )}
        </Field>
        <Field name="visibility" label={labels.field.VISIBILITY} hint={publishHint} errors={errorsOf(errors, 'visibility')}>
          {attributes => (
            <select {...attributes} value={draft.visibility} onChange={set('visibility')}>
              {CHOICES.visibility.map(value => (
                <option key={value} value={value} disabled={value === 'PUBLIC' && mayNotPublish}>{labels.visibility[value]}</option>
              ))}
            </select>
          )}
        </Field>
      </div>
      <details open={errors.some(({ field }) => ['serverType', 'version', 'iconUrl', 'metadata'].includes(field?.at(-1) ?? ''))}>
        <summary>{texts.more}</summary>
        <div className="form">
          <div className="pair">
            <Field name="serverType" label={labels.field.SERVER_TYPE} errors={errorsOf(errors, 'serverType')}>
              {attributes => (
                <select {...attributes} value={draft.serverType} onChange={set('serverType')}>
                  {CHOICES.serverType.filter(value => value !== NONE || draft.serverType === NONE).map(value => (
                    <option key={value} value={value}>{labels.serverType[value]}</option>
                  ))}
                </select>
              )}
            </Field>
            <Field name="version" label={labels.field.VERSION} hint={texts.versionHint} errors={errorsOf(errors, 'version')}>
              {attributes => <input {...attributes} autoComplete="off" value={draft.version} onChange={set('version')} />}
            </Field>
          </div>
          <Field name="iconUrl" label={labels.field.ICON_URL} hint={texts.iconHint} errors={errorsOf(errors, 'iconUrl')}>
            {attributes => <input {...attributes} type="url" autoComplete="off" value={draft.iconUrl} onChange={set('iconUrl')} />}
          </Field>
          <Field name="metadata" label={labels.field.METADATA} hint={metadataHint} errors={metadataErrors}>
            {attributes => <textarea {...attributes} rows={5} className="code" spellCheck={false} readOnly={isFixed} value={draft.metadata} onChange={set('metadata')} />}
          </Field>
        </div>
      </details>
      <Errors errors={errorsWithout(errors, DRAFT_FIELDS)} />
      <p className="buttons">
        <button type="submit" className="primary" disabled={isBusy || !canSend}>{submit}</button>
        {cancel}
      </p>
    </form>
  );
}
