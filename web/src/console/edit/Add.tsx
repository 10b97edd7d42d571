import { Link, useNavigate } from '@tanstack/react-router';
import { useRef, useState } from 'react';
import { useMutation } from 'urql';
import type { DenialReason } from '../api/graphql.ts';
import { HealthBadge } from '../parts/Badge.tsx';
import { sentenceOf } from '../parts/Problem.tsx';
import { useTitle } from '../parts/title.ts';
import { useViewer } from '../session/session.tsx';
import { labelOf, useTexts } from '../texts/texts.tsx';
import { createInput, type Draft, EMPTY, newKey } from './draft.ts';
import { Errors } from './Field.tsx';
import { Form } from './Form.tsx';
import { Create, Inspect } from './queries.ts';

/** Adds a server by its address: the service looks at it, and what it says of itself fills the form. */
export function AddPage() {
  const { edit: texts, page } = useTexts();
  const viewer = useViewer();
  useTitle(`${texts.add} · ${page.title}`);
  if (!viewer) return <p className="loading">{page.loading}</p>;
  return (
    <section className="narrow">
      <h1>{texts.add}</h1>
      {viewer.canCreateCustomConnector ? (
        <Add cannotPublish={viewer.scopes.includes('connectors:admin') ? [] : ['SCOPE_REQUIRED']} />
      ) : (
        <Denied reasons={viewer.cannotCreateCustomConnectorReasons} />
      )}
    </section>
  );
}

/** Why something is not offered. */
export function Denied({ reasons }: { reasons: readonly DenialReason[] }) {
  const { edit: texts, labels, page } = useTexts();
  return (
    <div className="nothing">
      <p>{texts.mayNotAdd}</p>
      <ul>{reasons.map(reason => <li key={reason}>{labelOf(labels.denied, reason)}</li>)}</ul>
      <Link to="/" className="button">{page.toList}</Link>
    </div>
  );
}

function Add({ cannotPublish }: { cannotPublish: readonly DenialReason[] }) {
  const texts = useTexts();
  const navigate = useNavigate();
  const [draft, setDraft] = useState(EMPTY);
  // What the last inspection put in: it is replaced by the next one, unlike what was typed.
  const filled = useRef(EMPTY);
  const asked = useRef('');
  const key = useRef(newKey());
  const [inspected, inspect] = useMutation(Inspect);
  const [created, create] = useMutation(Create);
  const inspection = inspected.data?.inspectServer;

  const look = async (address: string) => {
    if (!/^https?:\/\/[^/]/.test(address) || address === asked.current) return;
    asked.current = address;
    const { data } = await inspect({ input: { serverUrl: address, serverType: 'HTTP' } });
    const found = data?.inspectServer?.draft;
    if (!found || asked.current !== address) return;
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

  const submit = async () => {
    const { data } = await create({ input: createInput(draft, key.current) });
    const result = data?.createCustomConnector;
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
            {inspected.fetching && <p className="muted">{texts.edit.inspecting}</p>}
            {!inspected.fetching && inspection?.inspection && (
              <>
                <p><HealthBadge outcome={inspection.inspection.outcome} /> {inspection.inspection.message}</p>
                <p className="muted">
                  {texts.tools.count(inspection.inspection.tools.totalCount)}
                  {inspection.inspection.tools.nodes.map(({ name }) => <code key={name}> {name}</code>)}
                </p>
              </>
            )}
            <Errors errors={inspection?.userErrors ?? NO_ERRORS} />
            {inspected.error && <p className="error">{sentenceOf(texts, inspected.error)}</p>}
          </div>
        }
      />
      {created.error && <p className="error" role="alert">{sentenceOf(texts, created.error)}</p>}
    </>
  );
}

const NO_ERRORS: readonly [] = [];
