import { useNavigate } from '@tanstack/react-router';
import { useMutation } from 'urql';
import { OF_CONNECTORS } from '../api/cache.ts';
import { Dialog } from '../parts/Dialog.tsx';
import { sentenceOf } from '../parts/Problem.tsx';
import { useTexts } from '../texts/texts.tsx';
import { Errors } from './Field.tsx';
import { Delete } from './queries.ts';

interface Props {
  readonly connector: { readonly id: string; readonly name: string; readonly revision: number };
  readonly onClose: () => void;
}

/** Asks before a connector is deleted. What others changed meanwhile is not deleted unseen. */
export function DeleteDialog({ connector: { id, name, revision }, onClose }: Props) {
  const texts = useTexts();
  const navigate = useNavigate();
  const [{ data, error, fetching }, remove] = useMutation(Delete);
  const send = async () => {
    const sent = await remove({ input: { id, expectedRevision: revision } }, OF_CONNECTORS);
    if (sent.data?.deleteCustomConnector?.deletedId) void navigate({ to: '/', replace: true });
  };
  return (
    <Dialog title={texts.edit.deleteTitle(name)} onClose={onClose}>
      <p>{texts.edit.deleteQuestion}</p>
      <Errors errors={data?.deleteCustomConnector?.userErrors ?? []} />
      {error && <p className="error" role="alert">{sentenceOf(texts, error)}</p>}
      <p className="buttons">
        <button type="button" className="danger" disabled={fetching} onClick={() => void send()}>{texts.edit.delete}</button>
        <button type="button" onClick={onClose}>{texts.page.cancel}</button>
      </p>
    </Dialog>
  );
}
