import { Link, useNavigate } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import { useMutation } from 'urql';
import type { DenialReason } from '../api/graphql.ts';
import { HealthBadge } from '../parts/Badge.tsx';
import { Problem, sentenceOf } from '../parts/Problem.tsx';
import { Denied, ReadOnly } from '../parts/Rights.tsx';
import { useTitle } from '../parts/title.ts';
import { useHeld, useReturned } from '../session/kept.ts';
import { personOf, useCaller } from '../session/session.tsx';
import { useTexts } from '../texts/texts.tsx';
import { createInput, type Draft, EMPTY, newKey, readDraft } from './draft.ts';
import { Errors } from './Field.tsx';
import { Form } from './Form.tsx';
import { Create, Inspect } from './queries.ts';

/** Adds a server by its address: the service looks at it, and what it says of itself fills the form. */
export function AddPage() {
  const { edit: texts, page } = useTexts();
  const { viewer, error, read } = useCaller();
  useTitle(`${texts.add} · ${page.title}`);
  if (!viewer && error) return <Problem error={error} retry={read} />;
  if (!viewer) return <p className="loading">{page.loading}</p>;
  return (
    <section className="narrow">
      <h1>{texts.add}</h1>
      {viewer.readOnly ? (
        <ReadOnly />
      ) : viewer.canCreateCustomConnector ? (
        <Add person={personOf(viewer)} cannotPublish={viewer.scopes.includes('connectors:admin') ? [] : ['SCOPE_REQUIRED']} />
      ) : (
        <Denied reasons={viewer.cannotCreateCustomConnectorReasons} scope="connectors:write" />
      )}
    </section>
  );
}

const ADD = 'add';
/** Milliseconds without a key before an address is looked at. */
const PAUSE = 900;

function Add({ person, cannotPublish }: { person: string; cannotPublish: readonly DenialReason[] }) {
  const texts = useTexts();
  const navigate = useNavigate();
  const returned = readDraft(useReturned(ADD, person));
  const [draft, setDraft] = useState(returned ?? EMPTY);
  useHeld(ADD, draft);
  // What the last inspection put in: it is replaced by the next one, unlike what was typed.
  const filled = useRef(EMPTY);
  const asked = useRef('');
  const key = useRef(newKey());
  const isSending = useRef(false);
  // What is shown of a server is of this address, and not of the one that is typed next.
  const [shown, setShown] = useState('');
  const [inspected, inspect] = useMutation(Inspect);
  const [created, create] = useMutation(Create);
  const inspection = inspected.data?.inspectServer;

  const look = async (address: string, isAgain = false) => {
    if (!isAddress(address) || (address === asked.current && !isAgain)) return;
    asked.current = address;
    setShown(address);
    const serverType = /^wss?:/i.test(address) ? 'WEBSOCKET' : 'HTTP';
    setDraft(typed => ({ ...typed, serverType }));
    const { data } = await inspect({ input: { serverUrl: address, serverType } });
    const found = data?.inspectServer?.draft;
    // What is sent stays as it was sent, so that a repetition is the same.
    if (!found || asked.current !== address || isSending.current) return;
    const next: Draft = {
      ...EMPTY,
      name: found.name ?? '',
      description: found.description ?? '',
      version: found.version ?? '',
      iconUrl: found.iconUrl ?? '',
    };
    const before = filled.current;
    filled.current = next;
    const fill = (field: 'name' | 'description' | 'version' | 'iconUrl', typed: Draft) =>
      typed[field] === '' || typed[field] === before[field] ? next[field] : typed[field];
    setDraft(typed => ({
      ...typed,
      name: fill('name', typed),
      description: fill('description', typed),
      version: fill('version', typed),
      iconUrl: fill('iconUrl', typed),
    }));
  };

  // An address that is typed is looked at after a pause.
  const typed = draft.serverUrl.trim();
  useEffect(() => {
    const timer = window.setTimeout(() => void look(typed), PAUSE);
    return () => window.clearTimeout(timer);
  }, [typed]);

  const again = <button type="button" className="link inline" onClick={() => void look(typed, true)}>{texts.edit.lookAgain}</button>;
  const isShown = shown !== '' && shown === typed;

  const submit = async () => {
    // Enter in the address asks what the server is; the name is not there yet.
    if (draft.name === '' && isAddress(typed) && typed !== asked.current) return look(typed);
    isSending.current = true;
    const send = async () => (await create({ input: createInput(draft, key.current) })).data?.createCustomConnector;
    let result = await send();
    // The answer to an earlier request with other values was lost.
    if (result?.userErrors.some(({ field }) => field?.at(-1) === 'idempotencyKey')) {
      key.current = newKey();
      result = await send();
    }
    isSending.current = false;
    if (result?.userErrors.length) key.current = newKey();
    if (result?.personalConnector) void navigate({ to: '/connectors/$id', params: { id: result.personalConnector.id } });
  };

  return (
    <>
      <Form
        draft={draft}
        errors={created.data?.createCustomConnector?.userErrors ?? NO_ERRORS}
        isBusy={created.fetching}
        cannotPublish={cannotPublish}
        submit={texts.edit.create}
        onChange={setDraft}
        onSubmit={() => void submit()}
        onAddress={address => void look(address)}
        cancel={<Link to="/" className="button">{texts.page.cancel}</Link>}
        inspected={
          <div className="inspected" role="status">
            {shown !== typed && typed.length > 7 && !isAddress(typed) && <p className="muted">{texts.edit.addressBegins}</p>}
            {isShown && inspected.fetching && <p className="muted">{texts.edit.inspecting}</p>}
            {isShown && !inspected.fetching && inspection?.inspection && (
              <>
                <p><HealthBadge outcome={inspection.inspection.outcome} /> <span lang="en">{inspection.inspection.message}</span> {inspection.inspection.outcome !== 'OPEN' && again}</p>
                {inspection.inspection.outcome === 'BLOCKED' && <p>{texts.edit.blockedHint}</p>}
                {inspection.inspection.outcome === 'OPEN' && (
                  <p className="muted">
                    {texts.tools.count(inspection.inspection.tools.totalCount)}
                    {inspection.inspection.tools.nodes.map(({ name }) => <code key={name}> {name}</code>)}
                  </p>
                )}
              </>
            )}
            {isShown && <Errors errors={inspection?.userErrors ?? NO_ERRORS} />}
            {isShown && inspected.error && <p className="error">{sentenceOf(texts, inspected.error)} {again}</p>}
          </div>
        }
      />
      {created.error && <p className="error" role="alert">{sentenceOf(texts, created.error)}</p>}
    </>
  );
}

const NO_ERRORS: readonly [] = [];
const isAddress = (text: string) => /^(https?|wss?):\/\/[^/]/i.test(text);
