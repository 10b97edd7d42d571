import { useDeferredValue, useState } from 'react';
import { useMutation, useQuery } from 'urql';
import type { ConnectorOf } from '../connector/queries.ts';
import { labelOf, useTexts } from '../texts/texts.tsx';
import { Errors, errorsOf, errorsWithout, Field } from './Field.tsx';
import { FormDialog } from './FormDialog.tsx';
import { Replacements, SetStatus } from './queries.ts';
import { type StatusDraft, StatusFields } from './StatusFields.tsx';

interface Props {
  readonly connector: Pick<ConnectorOf, 'id' | 'name' | 'revision' | 'status' | 'statusMessage' | 'replacedBy'>;
  readonly onClose: () => void;
  readonly onDone: () => void;
}

type Replacement = { readonly id: string; readonly name: string };

/** Sets the status, a notice for users, and what replaces a deprecated connector. */
export function StatusDialog({ connector, onClose, onDone }: Props) {
  const { edit } = useTexts();
  const [draft, setDraft] = useState<StatusDraft>({ status: connector.status, message: connector.statusMessage ?? '' });
  const [replacement, setReplacement] = useState<Replacement | null>(connector.replacedBy);
  const [{ data, error, fetching }, send] = useMutation(SetStatus);
  const errors = data?.setConnectorStatus?.userErrors ?? [];
  const { status } = draft;
  const submit = async () => {
    const statusMessage = draft.message.trim() || null;
    const replacedById = status === 'DEPRECATED' ? (replacement?.id ?? null) : null;
    const input = { id: connector.id, expectedRevision: connector.revision, status, statusMessage, replacedById };
    const sent = await send({ input });
    if (sent.data?.setConnectorStatus?.userErrors.length === 0) onDone();
  };
  return (
    <FormDialog title={edit.statusOf(connector.name)} submit={edit.save} isBusy={fetching} error={error} onSubmit={() => void submit()} onClose={onClose}>
      <StatusFields draft={draft} errors={errors} onChange={setDraft} />
      {status === 'DEPRECATED' && (
        <Replaced self={connector.id} chosen={replacement} onChoose={setReplacement} errors={errorsOf(errors, 'replacedById')} />
      )}
      <Errors errors={errorsWithout(errors, ['statusMessage', 'replacedById'])} />
    </FormDialog>
  );
}

interface ReplacedProps {
  readonly self: string;
  readonly chosen: Replacement | null;
  readonly onChoose: (replacement: Replacement | null) => void;
  readonly errors: ReturnType<typeof errorsOf>;
}

function Replaced({ self, chosen, onChoose, errors }: ReplacedProps) {
  const { edit, labels } = useTexts();
  const [search, setSearch] = useState('');
  const asked = useDeferredValue(search.trim());
  const [{ data, operation }] = useQuery({ query: Replacements, variables: { search: asked }, pause: asked === '' });
  const found = asked === '' ? [] : (data?.personalConnectors.nodes.filter(({ id }) => id !== self) ?? []);
  return (
    <>
      <Field name="replacedById" label={labels.field.REPLACED_BY} hint={edit.replacementHint} errors={errors}>
        {attributes => (
          <input
            {...attributes}
            type="search"
            autoComplete="off"
            value={search}
            onChange={({ target }) => setSearch(target.value)}
            onKeyDown={event => {
              if (event.key !== 'Enter') return;
              // It chooses the first one, and does not save.
              event.preventDefault();
              const [first] = operation?.variables.search === search.trim() ? found : [];
              if (first && !event.nativeEvent.isComposing) onChoose(first);
            }}
          />
        )}
      </Field>
      <ul className="plain">
        {chosen && (
          <li className="choice">
            <strong>{chosen.name}</strong> <button type="button" className="link" onClick={() => onChoose(null)}>{edit.noReplacement}</button>
          </li>
        )}
        {found.filter(({ id }) => id !== chosen?.id).map(node => (
          <li key={node.id}>
            <button type="button" className="link" onClick={() => onChoose(node)}>{node.name}</button>{' '}
            <span className="muted">{labelOf(labels.type, node.type)}</span>
          </li>
        ))}
      </ul>
    </>
  );
}
