import { isObject } from '../parts/Json.tsx';
import { useTexts } from '../texts/texts.tsx';

type Part = Readonly<Record<string, unknown>>;

const text = (value: unknown) => (typeof value === 'string' ? value : undefined);
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** The schema that a `$ref` into the same document names; of another document nothing is known. */
function resolved(part: Part, root: Part): Part {
  const path = text(part['$ref'])?.match(/^#\/(.*)$/)?.[1]?.split('/');
  if (!path) return part;
  let found: unknown = root;
  for (const step of path) found = isObject(found) ? found[step.replaceAll('~1', '/').replaceAll('~0', '~')] : undefined;
  return isObject(found) ? { ...found, ...part } : part;
}

/** Alternatives without the one for null, which makes a value optional. */
const alternatives = (part: Part) => [...list(part['anyOf']), ...list(part['oneOf'])].filter(isObject).filter(({ type }) => type !== 'null');

function typeOf(part: Part, root: Part, depth = 0): string {
  const { type, items } = part;
  const of = (inner: unknown) => (isObject(inner) && depth < 4 ? typeOf(resolved(inner, root), root, depth + 1) : 'any');
  const named = Array.isArray(type) ? type.filter(name => name !== 'null').join(' | ') : text(type);
  if (named === 'array') return `${of(items)}[]`;
  if (named) return text(part['format']) ? `${named} (${text(part['format'])})` : named;
  const types = new Set(alternatives(part).map(of));
  if (types.size > 0) return [...types].join(' | ');
  return part['enum'] ? 'string' : 'any';
}

/** The bounds of a value, in the notation of mathematics. */
const BOUNDS = [
  ['minimum', '≥'],
  ['maximum', '≤'],
  ['exclusiveMinimum', '>'],
  ['exclusiveMaximum', '<'],
  ['minLength', 'length ≥'],
  ['maxLength', 'length ≤'],
  ['minItems', 'items ≥'],
  ['maxItems', 'items ≤'],
  ['pattern', '~'],
] as const;

/** The properties of a value: its own, or those of its items, or of its one alternative. */
function inner(part: Part, root: Part): Part | undefined {
  if (isObject(part['properties'])) return part;
  const [only, ...others] = alternatives(part);
  const next = isObject(part['items']) ? part['items'] : others.length === 0 ? only : undefined;
  return next && resolved(next, root);
}

const DEEPEST = 6;

/** A JSON Schema as a list of arguments: name, type, whether it is required, and what it is. */
export function Schema({ schema, none }: { schema: unknown; none: string }) {
  const { tools: texts } = useTexts();
  if (!isObject(schema)) return <p className="muted">{none}</p>;
  const root = resolved(schema, schema);
  const hasProperties = isObject(root['properties']) && Object.keys(root['properties']).length > 0;
  return (
    <>
      {hasProperties ? <Properties part={root} root={schema} depth={0} /> : <p className="muted">{none}</p>}
      <details>
        <summary>{texts.raw}</summary>
        <pre tabIndex={0}>{JSON.stringify(schema, null, 2)}</pre>
      </details>
    </>
  );
}

function Properties({ part, root, depth }: { part: Part; root: Part; depth: number }) {
  const required = new Set(list(part['required']));
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
  const description = text(part['description']) ?? text(part['title']);
  const values = list(part['enum']);
  const bounds = BOUNDS.flatMap(([key, sign]) => (part[key] === undefined ? [] : `${sign} ${String(part[key])}`));
  const nested = depth < DEEPEST ? inner(part, root) : undefined;
  return (
    <>
      <code className="argument">{name}</code> <span className="type">{typeOf(part, root)}</span>
      {isRequired && <span className="required">{texts.required}</span>}
      {bounds.length > 0 && <span className="muted">{bounds.join(', ')}</span>}
      {part['default'] !== undefined && <span className="muted">= <code>{JSON.stringify(part['default'])}</code></span>}
      {description && <p>{description}</p>}
      {values.length > 0 && (
        <p className="muted">{texts.anyOf} {values.map((value, index) => <code key={index}>{typeof value === 'string' ? value : JSON.stringify(value)}</code>)}</p>
      )}
      {nested && isObject(nested['properties']) && <Properties part={nested} root={root} depth={depth + 1} />}
    </>
  );
}
