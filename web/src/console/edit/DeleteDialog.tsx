import { useNavigate } from '@tanstack/react-router';
import { useMutation } from 'urql';
import { OF_CONNECTORS } from '../api/cache.ts';
import { useTexts } from '../texts/texts.tsx';
import { Errors } from './Field.tsx';
import { FormDialog } from './FormDialog.tsx';
import { Delete } from './queries.ts';

interface Props {
  readonly connector: { readonly id: string; readonly name: string; readonly revision: number };
  readonly onClose: () => void;
}

/** Asks before a connector is deleted. What others changed meanwhile is not deleted unseen. */
export function DeleteDialog({ connector: { id, name, revision }, onClose }: Props) {
  const { edit } = useTexts();
  const navigate = useNavigate();
  const [{ data, error, fetching }, remove] = useMutation(Delete);
  const send = async () => {
    const sent = await remove({ input: { id, expectedRevision: revision } }, OF_CONNECTORS);
    if (sent.data?.deleteCustomConnector?.deletedId) void navigate({ to: '/', replace: true });
  };
  return (
    <FormDialog title={edit.deleteTitle(name)} submit={edit.delete} isDangerous isBusy={fetching} error={error} onSubmit={() => void send()} onClose={onClose}>
      <p>{edit.deleteQuestion}</p>
      <Errors errors={data?.deleteCustomConnector?.userErrors ?? []} />
    </FormDialog>
  );
}
