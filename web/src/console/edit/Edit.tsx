import { Link, useNavigate, useParams } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { useMutation, useQuery } from 'urql';
import type { DenialReason } from '../api/graphql.ts';
import { useLast } from '../parts/last.ts';
import { Name } from '../parts/Name.tsx';
import { Problem, sentenceOf } from '../parts/Problem.tsx';
import { Denied, ReadOnly } from '../parts/Rights.tsx';
import { SignInHint } from '../parts/SignInHint.tsx';
import { useTitle } from '../parts/title.ts';
import { useHeld, useReturned } from '../session/kept.ts';
import { personOf, useViewer } from '../session/session.tsx';
import { useTexts } from '../texts/texts.tsx';
import { Conflict } from './Conflict.tsx';
import { type Draft, draftOf, readDraft, updateInput } from './draft.ts';
import { Form } from './Form.tsx';
import { type EditableOf, ForEdit, Update } from './queries.ts';

export function EditPage() {
  const { id } = useParams({ from: '/connectors/$id/edit' });
  return <Opened key={id} id={id} />;
}

function Opened({ id }: { id: string }) {
  const { edit: texts, page, connector: words } = useTexts();
  const viewer = useViewer();
  const [{ data: read, error }, readAgain] = useQuery({ query: ForEdit, variables: { id }, requestPolicy: 'network-only' });
  const data = useLast(read);
  const connector = data?.personalConnector;
  useTitle(`${texts.edit} · ${page.title}`);
  if (error && !connector) return <Problem error={error} retry={() => readAgain({ requestPolicy: 'network-only' })} />;
  if (!data || !viewer) return <p className="loading">{page.loading}</p>;
  if (!connector) return <div className="nothing"><p>{words.gone}</p><SignInHint /><Link to="/" className="button">{page.toList}</Link></div>;
  return (
    <section className="narrow">
      <h1>{texts.edit}: <Name>{connector.name}</Name></h1>
      {viewer.readOnly ? (
        <ReadOnly />
      ) : connector.viewerCanUpdate ? (
        <Edit connector={connector} person={personOf(viewer)} cannotPublish={connector.viewerCannotPublishReasons.map(reason => (reason === 'INSUFFICIENT_ACCESS' ? 'SCOPE_REQUIRED' : reason))} />
      ) : (
        <Denied reasons={connector.viewerCannotUpdateReasons} scope="connectors:write" />
      )}
    </section>
  );
}

/** What the form was opened with. */
interface Base {
  readonly revision: number;
  readonly draft: Draft;
}

const baseOf = (connector: EditableOf): Base => ({ revision: connector.revision, draft: draftOf(connector) });

/** A form that came back from a sign-in at the issuer. */
function readForm(stored: unknown): { opened: Base; draft: Draft } | undefined {
  if (typeof stored !== 'object' || stored === null) return undefined;
  const [revision, opened, draft]: unknown[] = ['revision', 'opened', 'draft'].map((name): unknown => Reflect.get(stored, name));
  const [from, to] = [readDraft(opened), readDraft(draft)];
  return typeof revision === 'number' && from && to ? { opened: { revision, draft: from }, draft: to } : undefined;
}

interface Props {
  readonly connector: EditableOf;
  readonly person: string;
  readonly cannotPublish: readonly DenialReason[];
}

/** Edits the revision that was opened. If the connector changed since, both are shown side by side. */
function Edit({ connector, person, cannotPublish }: Props) {
  const texts = useTexts();
  const navigate = useNavigate();
  const { id } = connector;
  const returned = readForm(useReturned(id, person));
  // What is read later is another revision: it must not become the one that was opened.
  const [opened, setOpened] = useState(() => returned?.opened ?? baseOf(connector));
  const [draft, setDraft] = useState(() => returned?.draft ?? opened.draft);
  useHeld(id, useMemo(() => ({ revision: opened.revision, opened: opened.draft, draft }), [opened, draft]));
  const [{ data, error, fetching }, update] = useMutation(Update);
  const result = data?.updateCustomConnector;
  const conflict = result?.userErrors.find(({ code }) => code === 'CONFLICT');
  const [isSettled, setSettled] = useState(true);

  const save = async (mine: Draft, base: Base) => {
    const sent = await update({ input: updateInput(id, base.revision, base.draft, mine) });
    const answer = sent.data?.updateCustomConnector;
    setSettled(!answer?.userErrors.some(({ code }) => code === 'CONFLICT'));
    if (answer?.userErrors.length === 0) void navigate({ to: '/connectors/$id', params: { id } });
  };

  const isGone = result?.userErrors.some(({ code }) => code === 'NOT_FOUND');
  const toList = <Link to="/" className="button">{texts.page.toList}</Link>;
  if (conflict && result?.personalConnector && !isSettled) {
    return (
      <Conflict
        error={conflict}
        opened={opened.draft}
        mine={draft}
        theirs={draftOf(result.personalConnector)}
        cancel={<Link to="/connectors/$id" params={{ id }} className="button">{texts.page.cancel}</Link>}
        onSettle={settled => {
          if (!result.personalConnector) return;
          const base = baseOf(result.personalConnector);
          setDraft(settled);
          setOpened(base);
          setSettled(true);
          void save(settled, base);
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
        cancel={isGone ? toList : <Link to="/connectors/$id" params={{ id }} className="button">{texts.page.cancel}</Link>}
      />
      {error && <p className="error" role="alert">{sentenceOf(texts, error)}</p>}
    </>
  );
}

const NO_ERRORS: readonly [] = [];
