import { useState } from 'react';
import { useQuery } from 'urql';
import { isObject } from '../parts/Json.tsx';
import { Problem } from '../parts/Problem.tsx';
import { Time } from '../parts/Time.tsx';
import { labelOf, useTexts } from '../texts/texts.tsx';
import { type Change, type ConnectorOf, History as Query } from './queries.ts';
import { useReadAgain } from './Tools.tsx';

const STEP = 10;
/** The most that the service gives at once. */
const NEXT = 100;

/** The variables of the list as it is at first. */
export const firstChanges = (id: string) => ({ id, first: STEP, after: null });

/** Who changed what and when, the latest first. */
export function History({ connector: { id, type, revision, health } }: { connector: ConnectorOf }) {
  const { connector } = useTexts();
  return (
    <section aria-labelledby="history">
      <h2 id="history">{connector.history}</h2>
      <Page id={id} isCatalog={type !== 'CUSTOM'} first={STEP} after={null} version={`${revision} ${health?.checkedAt}`} />
    </section>
  );
}

interface PageProps {
  readonly id: string;
  /** Whether it is of the catalogue's files, and of no user. */
  readonly isCatalog: boolean;
  readonly first: number;
  readonly after: string | null;
  /** Another one means that there may be later changes. */
  readonly version: string;
}

/** Some changes, and earlier ones when they are asked for. */
function Page({ id, isCatalog, first, after, version }: PageProps) {
  const { history: texts, page } = useTexts();
  const [isOpen, setOpen] = useState(false);
  const [{ data, error }, read] = useQuery({ query: Query, variables: { id, first, after } });
  useReadAgain(version, () => {
    if (after === null) read({ requestPolicy: 'network-only' });
  });
  if (error) return <Problem error={error} retry={() => read({ requestPolicy: 'network-only' })} />;
  const changes = data?.personalConnector?.changes;
  if (!changes) return <p className="loading">{page.loading}</p>;
  const { hasNextPage, endCursor } = changes.pageInfo;
  return (
    <>
      {changes.nodes.length === 0 && after === null && <p className="muted">{texts.none}</p>}
      <ol className="plain history">{changes.nodes.map(change => <li key={change.cursor}><One change={change} isOfFile={isCatalog && change.kind === 'CREATED'} /></li>)}</ol>
      {hasNextPage && (isOpen ? (
        <Page id={id} isCatalog={isCatalog} first={NEXT} after={endCursor} version={version} />
      ) : (
        <button type="button" onClick={() => setOpen(true)}>{texts.older}</button>
      ))}
    </>
  );
}

const OF_CHECKS: ReadonlySet<string> = new Set(['HEALTH', 'TOOLS']);
/** The fields of which the log has no values. */
const WITHOUT_VALUES: ReadonlySet<string> = new Set(['TOOLS', 'CURATED_FIELDS']);

function One({ change, isOfFile }: { change: Change; isOfFile: boolean }) {
  const { history: texts, connector, labels } = useTexts();
  const { kind, author, actor, occurredAt, changes, changedFields } = change;
  const who = author ? (author.isViewer ? connector.you : (author.name ?? author.userId)) : actor;
  const isCheck = !who && changedFields.length > 0 && changedFields.every(field => OF_CHECKS.has(field));
  const verb = isCheck ? texts.checked : ({ CREATED: texts.created, DELETED: texts.deleted, UPDATED: texts.updated }[kind] ?? kind);
  // A change of a user whom the viewer may not know has no author either.
  const source = isCheck ? texts.byMonitor : isOfFile ? texts.byService : texts.byUnknown;
  return (
    <>
      <p>
        <strong>{verb}</strong> {who ? <>{texts.by} <strong><bdi>{who}</bdi></strong></> : source}{' '}
        <span className="muted"><Time at={occurredAt} /> · {texts.revision} {change.revision}</span>
      </p>
      {changedFields.length > 0 && (
        <dl className="changes">
          {changes.map(({ field, before, after, isBeforeCut, isAfterCut }) => (
            <div key={field}>
              <dt>{labelOf(labels.field, field)}</dt>
              <dd>
                {WITHOUT_VALUES.has(field) ? (
                  <span className="muted">{field === 'TOOLS' ? texts.otherTools : texts.otherFields}</span>
                ) : (
                  <>
                    <del><Value field={field} value={before} isCut={isBeforeCut} /></del> <span className="arrow">→</span> <ins><Value field={field} value={after} isCut={isAfterCut} /></ins>
                  </>
                )}
              </dd>
            </div>
          ))}
        </dl>
      )}
    </>
  );
}

/** A value before or after, with the label of an enum's value. */
function Value({ field, value, isCut }: { field: string; value: unknown; isCut: boolean }) {
  const { labels, connector, history } = useTexts();
  const tables: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    STATUS: labels.status,
    CATEGORY: labels.category,
    TYPE: labels.type,
    SERVER_TYPE: labels.serverType,
    VISIBILITY: labels.visibility,
    HEALTH: labels.outcome,
  };
  const shown =
    value === null ? (isCut ? '' : connector.noValue)
    : typeof value === 'string' ? labelOf(tables[field] ?? {}, value)
    : isObject(value) || Array.isArray(value) ? JSON.stringify(value)
    : String(value);
  return <>{shown}{isCut && history.cut}</>;
}
