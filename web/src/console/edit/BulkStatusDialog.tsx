import { useState } from 'react';
import { useMutation } from 'urql';
import { OF_CONNECTORS } from '../api/cache.ts';
import { useTexts } from '../texts/texts.tsx';
import { isWhole, Refused, type Target } from './bulk.tsx';
import { Errors, errorsWithout } from './Field.tsx';
import { FormDialog } from './FormDialog.tsx';
import { SetStatuses } from './queries.ts';
import { type StatusDraft, StatusFields } from './StatusFields.tsx';

interface Props {
  readonly targets: readonly Target[];
  readonly title: string;
  readonly onClose: () => void;
  readonly onDone: () => void;
}

/** Sets the status of all or none. An error names its connector. */
export function BulkStatusDialog({ targets, title, onClose, onDone }: Props) {
  const { edit } = useTexts();
  const [draft, setDraft] = useState<StatusDraft>({ status: 'MAINTENANCE', message: '' });
  const [{ data, error, fetching }, send] = useMutation(SetStatuses);
  const answer = data?.setConnectorStatuses;
  const errors = answer?.userErrors ?? [];
  const submit = async () => {
    const statusMessage = draft.message.trim() || null;
    const input = { ids: targets.map(({ id }) => id), status: draft.status, statusMessage, errorPolicy: 'REJECT_ALL' } as const;
    const sent = await send({ input }, OF_CONNECTORS);
    if (isWhole(sent.data?.setConnectorStatuses)) onDone();
  };
  return (
    <FormDialog title={title} submit={edit.save} isBusy={fetching} error={error} onSubmit={() => void submit()} onClose={onClose}>
      <StatusFields draft={draft} errors={errors} onChange={setDraft} />
      <Errors errors={errorsWithout(errors, ['statusMessage'])} />
      <Refused answer={answer} targets={targets} />
    </FormDialog>
  );
}
