import { useMutation } from 'urql';
import { OF_CONNECTORS } from '../api/cache.ts';
import { useTexts } from '../texts/texts.tsx';
import { isWhole, Refused, type Target } from './bulk.tsx';
import { Errors } from './Field.tsx';
import { FormDialog } from './FormDialog.tsx';
import { DeleteMany } from './queries.ts';

interface Props {
  readonly targets: readonly Target[];
  readonly onClose: () => void;
  readonly onDone: () => void;
}

/** Asks before connectors are deleted, and names them. Those that cannot be deleted stay, and say why. */
export function BulkDeleteDialog({ targets, onClose, onDone }: Props) {
  const { edit } = useTexts();
  const [{ data, error, fetching }, send] = useMutation(DeleteMany);
  const answer = data?.deleteCustomConnectors;
  const deleted = new Set(answer?.deletedIds);
  const left = targets.filter(({ id }) => !deleted.has(id));
  const submit = async () => {
    const sent = await send({ input: { ids: left.map(({ id }) => id) } }, OF_CONNECTORS);
    if (isWhole(sent.data?.deleteCustomConnectors)) onDone();
  };
  return (
    <FormDialog
      title={edit.deleteManyTitle(left.length)}
      submit={edit.delete}
      isDangerous
      isBusy={fetching}
      error={error}
      onSubmit={() => void submit()}
      onClose={onClose}
    >
      {deleted.size > 0 && <p role="status">{edit.deleted(deleted.size)}</p>}
      <p>{edit.deleteQuestion}</p>
      <Errors errors={answer?.userErrors ?? []} />
      {answer ? <Refused answer={answer} targets={targets} /> : <ul>{left.map(({ id, name }) => <li key={id}>{name}</li>)}</ul>}
    </FormDialog>
  );
}
