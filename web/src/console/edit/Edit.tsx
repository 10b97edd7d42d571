import { Link, useNavigate, useParams } from '@tanstack/react-router';
import { useState } from 'react';
import { useMutation, useQuery } from 'urql';
import type { DenialReason } from '../api/graphql.ts';
import { Problem, sentenceOf } from '../parts/Problem.tsx';
import { useTitle } from '../parts/title.ts';
import { useTexts } from '../texts/texts.tsx';
import { Denied } from './Add.tsx';
import { Conflict } from './Conflict.tsx';
import { type Draft, draftOf, updateInput } from './draft.ts';
import { Form } from './Form.tsx';
import { type EditableOf, ForEdit, Update } from './queries.ts';

export function EditPage() {
  const { id } = useParams({ from: '/connectors/$id/edit' });
  const { edit: texts, page, connector: words } = useTexts();
  const [{ data, error }, read] = useQuery({ query: ForEdit, variables: { id }, requestPolicy: 'network-only' });
  const connector = data?.personalConnector;
  useTitle(`${texts.edit} · ${page.title}`);
  if (error) return <Problem error={error} retry={() => read({ requestPolicy: 'network-only' })} />;
  if (!data) return <p className="loading">{page.loading}</p>;
  if (!connector) return <div className="nothing"><p>{words.gone}</p><Link to="/" className="button">{page.toList}</Link></div>;
  return (
    <section className="narrow">
      <h1>{texts.edit}</h1>
      {connector.viewerCanUpdate ? (
        <Edit key={id} connector={connector} cannotPublish={connector.viewerCannotPublishReasons} />
      ) : (
        <Denied reasons={connector.viewerCannotUpdateReasons} />
      )}
    </section>
  );
}

/** Edits the revision that was opened. If the connector changed since, both are shown side by side. */
function Edit({ connector, cannotPublish }: { connector: EditableOf; cannotPublish: readonly DenialReason[] }) {
  const texts = useTexts();
  const navigate = useNavigate();
  const { id } = connector;
  // What is read later is another revision: it must not become the one that was opened.
  const [opened, setOpened] = useState(connector);
  const [draft, setDraft] = useState(() => draftOf(connector));
  const [{ data, error, fetching }, update] = useMutation(Update);
  const result = data?.updateCustomConnector;
  const conflict = result?.userErrors.find(({ code }) => code === 'CONFLICT');
  const [isSettled, setSettled] = useState(true);

  const save = async (mine: Draft, base: EditableOf) => {
    const sent = await update({ input: updateInput(id, base.revision, draftOf(base), mine) });
    const answer = sent.data?.updateCustomConnector;
    setSettled(!answer?.userErrors.some(({ code }) => code === 'CONFLICT'));
    if (answer?.userErrors.length === 0) void navigate({ to: '/connectors/$id', params: { id } });
  };

  if (conflict && result?.personalConnector && !isSettled) {
    return (
      <Conflict
        error={conflict}
        opened={draftOf(opened)}
        mine={draft}
        theirs={draftOf(result.personalConnector)}
        onSettle={settled => {
          if (!result.personalConnector) return;
          setDraft(settled);
          setOpened(result.personalConnector);
          setSettled(true);
          void save(settled, result.personalConnector);
        }}
      />
    );
  }
  return (
    <>
      <Form
        draft={draft}
        errors={result?.userErrors.filter(({ code }) => code !== 'CONFLICT') ?? NO_ERRORS}
        isBusy={fetching}
        cannotPublish={cannotPublish}
        submit={texts.edit.save}
        onChange={setDraft}
        onSubmit={() => void save(draft, opened)}
        onAddress={() => undefined}
        cancel={<Link to="/connectors/$id" params={{ id }} className="button">{texts.page.cancel}</Link>}
      />
      {error && <p className="error" role="alert">{sentenceOf(texts, error)}</p>}
    </>
  );
}

const NO_ERRORS: readonly [] = [];
