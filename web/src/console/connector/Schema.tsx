import { isObject } from '../parts/Json.tsx';
import { Name } from '../parts/Name.tsx';
import { useTexts } from '../texts/texts.tsx';
import { argumentsOf, boundsOf, listOf, type Part, resolved, textOf, typeOf, withProperties } from './arguments.ts';

const DEEPEST = 6;

/** A JSON Schema as a list of arguments: name, type, whether it is required, and what it is. */
export function Schema({ schema, none }: { schema: unknown; none: string }) {
  const { tools: texts } = useTexts();
  const found = argumentsOf(schema);
  if (!isObject(schema) || found.kind === 'unknown') return <p className="muted">{texts.unknownSchema}</p>;
  return (
    <>
      {found.kind === 'listed' && <Properties part={found.part} root={schema} depth={0} />}
      {found.kind === 'none' && <p className="muted">{none}</p>}
      {found.kind === 'elsewhere' && <p className="muted">{texts.otherSchema}</p>}
      <details>
        <summary>{texts.raw}</summary>
        <pre tabIndex={0}>{JSON.stringify(schema, null, 2)}</pre>
      </details>
    </>
  );
}

function Properties({ part, root, depth }: { part: Part; root: Part; depth: number }) {
  const required = new Set(listOf(part['required']));
  const properties = isObject(part['properties']) ? Object.entries(part['properties']) : [];
  return (
    <ul className="schema">
      {properties.map(([name, property]) => (
        <li key={name}>
          <Property name={name} part={isObject(property) ? resolved(property, root) : {}} root={root} isRequired={required.has(name)} depth={depth} />
        </li>
      ))}
    </ul>
  );
}

interface PropertyProps {
  readonly name: string;
  readonly part: Part;
  readonly root: Part;
  readonly isRequired: boolean;
  readonly depth: number;
}

function Property({ name, part, root, isRequired, depth }: PropertyProps) {
  const { tools: texts } = useTexts();
  const description = textOf(part['description']) ?? textOf(part['title']);
  const values = listOf(part['enum']);
  const bounds = boundsOf(part);
  const nested = depth < DEEPEST ? withProperties(part, root) : undefined;
  return (
    <>
      <code className="argument">{name}</code> <span className="type">{typeOf(part, root)}</span>
      {isRequired && <span className="required">{texts.required}</span>}
      {bounds.length > 0 && <span className="muted bounds">{bounds.join(', ')}</span>}
      {part['default'] !== undefined && <span className="muted">= <code>{JSON.stringify(part['default'])}</code></span>}
      {description && <p className="description"><Name>{description}</Name></p>}
      {values.length > 0 && (
        <p className="muted">{texts.anyOf}{values.map((value, index) => <span key={index}> <code>{JSON.stringify(value)}</code></span>)}</p>
      )}
      {nested && <Properties part={nested} root={root} depth={depth + 1} />}
    </>
  );
}
