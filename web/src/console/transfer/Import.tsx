import { Link } from '@tanstack/react-router';
import { type ChangeEvent, useState } from 'react';
import { useMutation } from 'urql';
import { OF_CONNECTORS } from '../api/cache.ts';
import { graphql, type ResultOf } from '../api/graphql.ts';
import { Errors } from '../edit/Field.tsx';
import { Errors as ErrorFields } from '../edit/queries.ts';
import { sentenceOf } from '../parts/Problem.tsx';
import { useTitle } from '../parts/title.ts';
import { isCatalogAdmin, useViewer } from '../session/session.tsx';
import { labelOf, useTexts } from '../texts/texts.tsx';

const Import = graphql(`
  mutation ConsoleImport($input: ImportConnectorsInput!) {
    importConnectors(input: $input) {
      report {
        total
        created
        updated
        unchanged
        rejected
        warnings
        deleted
        olderVersions
        lines
        categories { category count }
      }
      userErrors { ...Errors }
    }
  }
`, [ErrorFields]);

type Report = NonNullable<NonNullable<ResultOf<typeof Import>['importConnectors']>['report']>;

/** Imports a file after a dry run, which shows what it would do. */
export function ImportPage() {
  const { transfer: texts, page } = useTexts();
  const viewer = useViewer();
  useTitle(`${texts.title} · ${page.title}`);
  if (!viewer) return <p className="loading">{page.loading}</p>;
  return (
    <section className="narrow">
      <h1>{texts.title}</h1>
      {isCatalogAdmin(viewer) ? <Steps organization={viewer.organizationId} /> : <p>{texts.needsAdmin}</p>}
    </section>
  );
}

function Steps({ organization }: { organization: string | null }) {
  const texts = useTexts();
  const { transfer, page } = texts;
  const [content, setContent] = useState('');
  // The text that the dry run was of: only that is imported.
  const [tried, setTried] = useState<string | null>(null);
  const [isDone, setDone] = useState(false);
  const [{ data, error, fetching }, send] = useMutation(Import);
  const result = data?.importConnectors;
  const run = async (dryRun: boolean) => {
    const input = { content, dryRun, organizationId: organization, visibility: 'ORGANIZATION' } as const;
    const sent = await send({ input }, OF_CONNECTORS);
    const isRead = sent.data?.importConnectors?.report != null;
    setTried(isRead ? content : null);
    setDone(isRead && !dryRun);
  };
  const choose = async ({ target }: ChangeEvent<HTMLInputElement>) => {
    const file = target.files?.[0];
    if (file) setContent(await file.text());
  };
  const isTried = tried === content && !isDone;
  return (
    <div className="form">
      <div className="field">
        <label htmlFor="file">{transfer.file}</label>
        <input id="file" type="file" accept=".json,.jsonl,application/json" onChange={event => void choose(event)} aria-describedby="file-hint" />
        <p id="file-hint" className="muted small">{transfer.hint}</p>
      </div>
      <div className="field">
        <label htmlFor="content">{transfer.text}</label>
        <textarea id="content" className="code" rows={8} spellCheck={false} value={content} onChange={({ target }) => setContent(target.value)} />
      </div>
      <p className="buttons">
        <button type="button" className={isTried ? '' : 'primary'} disabled={fetching || content.trim() === ''} onClick={() => void run(true)}>{transfer.tryIt}</button>
        {isTried && <button type="button" className="primary" disabled={fetching} onClick={() => void run(false)}>{transfer.doIt}</button>}
        <Link to="/" className="button">{page.toList}</Link>
      </p>
      <div role="status">
        {fetching && <p className="muted">{page.loading}</p>}
        {!fetching && result?.report && tried === content && <Results report={result.report} isDone={isDone} />}
      </div>
      <Errors errors={result?.userErrors ?? []} />
      {error && <p className="error" role="alert">{sentenceOf(texts, error)}</p>}
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
