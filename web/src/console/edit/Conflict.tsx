import { type ReactNode, type SubmitEvent, useEffect, useRef, useState } from 'react';
import { Time } from '../parts/Time.tsx';
import { labelOf, useTexts } from '../texts/texts.tsx';
import { changedFields, type Draft, type DraftField, withField } from './draft.ts';
import type { UserError } from './queries.ts';

interface Props {
  readonly error: UserError;
  /** The values that the form was opened with. */
  readonly opened: Draft;
  readonly mine: Draft;
  readonly theirs: Draft;
  readonly cancel: ReactNode;
  readonly onSettle: (settled: Draft) => void;
}

const FIELD_NAMES = {
  name: 'NAME',
  description: 'DESCRIPTION',
  serverUrl: 'SERVER_URL',
  serverType: 'SERVER_TYPE',
  category: 'CATEGORY',
  visibility: 'VISIBILITY',
  version: 'VERSION',
  iconUrl: 'ICON_URL',
  metadata: 'METADATA',
} as const satisfies Record<DraftField, string>;

/** Both values of each field that differs, side by side. The fields that only one side changed are chosen already. */
export function Conflict({ error: { conflict }, opened, mine, theirs, cancel, onSettle }: Props) {
  const { edit: texts, connector, labels, history } = useTexts();
  const fields = changedFields(mine, theirs);
  const [isMine, setMine] = useState<ReadonlySet<DraftField>>(() => new Set(changedFields(opened, mine)));
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  const choose = (field: DraftField, mineWins: boolean) => {
    const next = new Set(isMine);
    if (mineWins) next.add(field);
    else next.delete(field);
    setMine(next);
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    onSettle(fields.reduce((draft, field) => (isMine.has(field) ? withField(draft, field, mine[field]) : draft), theirs));
  };
  const shown = (field: DraftField, value: string) => {
    const tables: Readonly<Record<string, Readonly<Record<string, string>>>> = labels;
    return value === '' ? connector.noValue : labelOf(tables[field] ?? {}, value);
  };
  const { author } = conflict ?? {};
  const who = author && (author.isViewer ? connector.you : (author.name ?? author.userId));
  return (
    <form className="form conflict" onSubmit={submit}>
      <h2 ref={heading} tabIndex={-1}>{author?.isViewer ? texts.ownConflict : texts.conflict}</h2>
      {conflict && (
        <p>
          {history.updated} {who ? `${history.by} ${who}` : history.byUnknown}, <Time at={conflict.occurredAt} />
          {conflict.changedFields && `: ${conflict.changedFields.map(field => labelOf(labels.field, field)).join(', ')}`}
        </p>
      )}
      <ul className="plain">
        {fields.map(field => (
          <li key={field}>
            <fieldset>
              <legend>{labels.field[FIELD_NAMES[field]]}</legend>
              <div className="pair">
                {([['mine', mine, true], ['theirs', theirs, false]] as const).map(([side, draft, mineWins]) => (
                  <label key={side} className="side">
                    <span><input type="radio" name={field} checked={isMine.has(field) === mineWins} onChange={() => choose(field, mineWins)} /> {texts[side]}</span>
                    <span className="value">{shown(field, draft[field])}</span>
                  </label>
                ))}
              </div>
            </fieldset>
          </li>
        ))}
      </ul>
      <p className="buttons"><button type="submit" className="primary">{texts.saveChosen}</button> {cancel}</p>
    </form>
  );
}
