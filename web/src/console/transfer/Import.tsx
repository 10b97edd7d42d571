import { Link } from '@tanstack/react-router';
import { type ChangeEvent, useState } from 'react';
import { useMutation } from 'urql';
import { OF_CONNECTORS } from '../api/cache.ts';
import { Errors } from '../edit/Field.tsx';
import { Problem, sentenceOf } from '../parts/Problem.tsx';
import { Denied, ReadOnly } from '../parts/Rights.tsx';
import { useTitle } from '../parts/title.ts';
import { useHeld, useReturned } from '../session/kept.ts';
import { isCatalogAdmin, personOf, useCaller } from '../session/session.tsx';
import { labelOf, useTexts } from '../texts/texts.tsx';
import { Import, type Report } from './queries.ts';

/** Imports a file after a dry run, which shows what it would do. */
export function ImportPage() {
  const { transfer: texts, page } = useTexts();
  const { viewer, error, read } = useCaller();
  useTitle(`${texts.title} · ${page.title}`);
  if (!viewer && error) return <Problem error={error} retry={read} />;
  if (!viewer) return <p className="loading">{page.loading}</p>;
  return (
    <section className="narrow">
      <h1>{texts.title}</h1>
      {viewer.readOnly ? (
        <ReadOnly />
      ) : isCatalogAdmin(viewer) ? (
        <Steps person={personOf(viewer)} organization={viewer.organizationId} />
      ) : (
        <Denied reasons={[viewer.userId === null ? 'LOGIN_REQUIRED' : 'SCOPE_REQUIRED']} scope="catalog:admin" />
      )}
    </section>
  );
}

const IMPORT = 'import';
const MIB = 1024 * 1024;

function Steps({ person, organization }: { person: string; organization: string | null }) {
  const texts = useTexts();
  const { transfer, page } = texts;
  const returned = useReturned(IMPORT, person);
  const [content, setContent] = useState(typeof returned === 'string' ? returned : '');
  useHeld(IMPORT, content);
  // The text that the dry run was of: only that is imported.
  const [tried, setTried] = useState<string | null>(null);
  const [isDone, setDone] = useState(false);
  // What the last answer is of: it says nothing of another text.
  const [sent, setSent] = useState<string | null>(null);
  const [{ data, error, fetching }, send] = useMutation(Import);
  const result = data?.importConnectors;
  const run = async (dryRun: boolean) => {
    setSent(content);
    const visibility = organization === null ? 'PRIVATE' : 'ORGANIZATION';
    const answer = await send({ input: { content, dryRun, organizationId: organization, visibility } }, OF_CONNECTORS);
    const isRead = answer.data?.importConnectors?.report != null;
    setTried(isRead ? content : null);
    setDone(isRead && !dryRun);
  };
  const choose = async ({ target }: ChangeEvent<HTMLInputElement>) => {
    const file = target.files?.[0];
    if (file) setContent(await file.text());
  };
  const isTried = tried === content && !isDone;
  const hasSome = result?.report != null && result.report.rejected < result.report.total;
  const isTooLarge = error?.response instanceof Response && error.response.status === 413;
  return (
    <div className="form">
      <div className="field">
        <label htmlFor="file">{transfer.file}</label>
        <input id="file" type="file" accept=".json,.jsonl,application/json" onChange={event => void choose(event)} aria-describedby="file-hint" />
        <p id="file-hint" className="muted small">{transfer.hint} {organization === null ? transfer.noOrganization : transfer.where(organization)}</p>
      </div>
      <div className="field">
        <label htmlFor="content">{transfer.text}</label>
        <textarea id="content" className="code" rows={8} spellCheck={false} value={content} onChange={({ target }) => setContent(target.value)} />
      </div>
      <p className="buttons">
        <button type="button" className={isTried ? '' : 'primary'} disabled={fetching || content.trim() === ''} onClick={() => void run(true)}>{transfer.tryIt}</button>
        {isTried && hasSome && <button type="button" className="primary" disabled={fetching} onClick={() => void run(false)}>{transfer.doIt}</button>}
        <Link to="/" className="button">{page.toList}</Link>
      </p>
      <div role="status" className="report">
        {fetching && <p className="muted">{page.loading}</p>}
        {!fetching && result?.report && tried === content && <Results report={result.report} isDone={isDone} />}
      </div>
      {sent === content && <Errors errors={result?.userErrors ?? []} />}
      {sent === content && error && (
        <p className="error" role="alert">{isTooLarge ? transfer.tooLarge(content.length / MIB) : sentenceOf(texts, error)}</p>
      )}
    </div>
  );
}

function Results({ report, isDone }: { report: Report; isDone: boolean }) {
  const { transfer, labels } = useTexts();
  const counts = [
    [transfer.created, report.created],
    [transfer.updated, report.updated],
    [transfer.unchanged, report.unchanged],
    [transfer.olderVersions, report.olderVersions],
    [transfer.deleted, report.deleted],
    [transfer.disabled, report.disabled],
    [transfer.withoutReplacement, report.withoutReplacement],
    [transfer.rejected, report.rejected],
    [transfer.warnings, report.warnings],
  ] as const;
  return (
    <>
      <h2>{isDone ? transfer.done(report.total) : transfer.wouldBe(report.total)}</h2>
      <dl className="facts">
        {counts.filter(([, count]) => count > 0).map(([name, count]) => (
          <div key={name} className="row">
            <dt>{name}</dt>
            <dd>{count}</dd>
          </div>
        ))}
      </dl>
      {report.categories.length > 0 && <h3>{labels.field.CATEGORY}</h3>}
      <dl className="facts">
        {report.categories.map(({ category, count }) => (
          <div key={category} className="row">
            <dt>{labelOf(labels.category, category ?? 'none')}</dt>
            <dd>{count}</dd>
          </div>
        ))}
      </dl>
      {report.lines.length > 0 && <pre tabIndex={0} lang="en">{report.lines.join('\n')}</pre>}
    </>
  );
}
