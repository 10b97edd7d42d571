import { useState } from 'react';
import { useQuery } from 'urql';
import { isObject } from '../parts/Json.tsx';
import { Problem } from '../parts/Problem.tsx';
import { Time } from '../parts/Time.tsx';
import { labelOf, useTexts } from '../texts/texts.tsx';
import { type Change, History as Query } from './queries.ts';
import { useReadAgain } from './Tools.tsx';

const STEP = 10;

/** The variables of the list as it is at first. */
export const firstChanges = (id: string) => ({ id, first: STEP });

/** Who changed what and when, the latest first. */
export function History({ id, revision }: { id: string; revision: number }) {
  const { connector, history: texts } = useTexts();
  const [first, setFirst] = useState(STEP);
  const [{ data, error }, read] = useQuery({ query: Query, variables: { id, first } });
  useReadAgain(revision, () => read({ requestPolicy: 'network-only' }));
  const changes = data?.personalConnector?.changes;
  return (
    <section aria-labelledby="history">
      <h2 id="history">{connector.history}</h2>
      {error && <Problem error={error} retry={() => read({ requestPolicy: 'network-only' })} />}
      {changes?.nodes.length === 0 && <p className="muted">{texts.none}</p>}
      <ol className="plain history">{changes?.nodes.map(change => <li key={change.cursor}><One change={change} /></li>)}</ol>
      {changes?.pageInfo.hasNextPage && first < 100 && (
        <button type="button" onClick={() => setFirst(count => Math.min(count * 3, 100))}>{texts.older}</button>
      )}
    </section>
  );
}

function One({ change }: { change: Change }) {
  const { history: texts, connector, labels } = useTexts();
  const { kind, author, actor, occurredAt, changes, changedFields } = change;
  const verb = { CREATED: texts.created, DELETED: texts.deleted, UPDATED: texts.updated }[kind] ?? kind;
  const who = author ? (author.isViewer ? connector.you : (author.name ?? author.userId)) : actor;
  return (
    <>
      <p>
        <strong>{verb}</strong> {who ? <>{texts.by} <strong>{who}</strong></> : texts.byService}{' '}
        <span className="muted"><Time at={occurredAt} /> · {texts.revision} {change.revision}</span>
      </p>
      {changedFields.length > 0 && (
        <dl className="changes">
          {changes.map(({ field, before, after, isBeforeCut, isAfterCut }) => (
            <div key={field}>
              <dt>{labelOf(labels.field, field)}</dt>
              <dd>
                {field !== 'TOOLS' && field !== 'CURATED_FIELDS' && (
                  <>
                    <del><Value field={field} value={before} isCut={isBeforeCut} /></del> → <ins><Value field={field} value={after} isCut={isAfterCut} /></ins>
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
