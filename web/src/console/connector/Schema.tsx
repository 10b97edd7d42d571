import { useMemo } from 'react';
import { Name } from '../parts/Name.tsx';
import { useTexts } from '../texts/texts.tsx';
import { type Argument, argumentsOf } from './arguments.ts';

/** A JSON Schema as a list of arguments: name, type, whether it is required, and what it is. */
export function Schema({ schema, none }: { schema: unknown; none: string }) {
  const { tools: texts } = useTexts();
  const found = useMemo(() => argumentsOf(schema), [schema]);
  if (found.kind === 'unknown') return <p className="muted">{texts.unknownSchema}</p>;
  return (
    <>
      {found.kind === 'listed' && <List list={found.list} />}
      {found.kind === 'listed' && !found.isWhole && <p className="muted">{texts.moreArguments}</p>}
      {found.kind === 'none' && <p className="muted">{none}</p>}
      {found.kind === 'elsewhere' && <p className="muted">{texts.otherSchema}</p>}
      <details>
        <summary>{texts.raw}</summary>
        <pre tabIndex={0}>{JSON.stringify(schema, null, 2)}</pre>
      </details>
    </>
  );
}

function List({ list }: { list: readonly Argument[] }) {
  return <ul className="schema">{list.map(argument => <li key={argument.name}><One argument={argument} /></li>)}</ul>;
}

function One({ argument }: { argument: Argument }) {
  const { tools: texts } = useTexts();
  const { name, type, isRequired, description, values, bounds, fallback, nested } = argument;
  return (
    <>
      <code className="argument"><Name>{name}</Name></code> <span className="type">{type}</span>
      {isRequired && <span className="required">{texts.required}</span>}
      {bounds.length > 0 && <span className="muted bounds">{bounds.join(', ')}</span>}
      {fallback !== undefined && <span className="muted">= <code>{JSON.stringify(fallback)}</code></span>}
      {description && <p className="description"><Name>{description}</Name></p>}
      {values.length > 0 && (
        <p className="muted">{texts.anyOf}{values.map((value, index) => <span key={index}> <code>{JSON.stringify(value)}</code></span>)}</p>
      )}
      {nested.length > 0 && <List list={nested} />}
    </>
  );
}
