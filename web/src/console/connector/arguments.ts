// What a JSON Schema says of the properties of a value. Where it says it in another way than by a list, so does the page.

import { isObject } from '../parts/Json.tsx';

export type Part = Readonly<Record<string, unknown>>;

export const textOf = (value: unknown) => (typeof value === 'string' ? value : undefined);
export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** How many references are followed from one place, so that circles end. */
const MOST_STEPS = 8;

function lookedUp(reference: string, root: Part): unknown {
  if (reference === '#') return root;
  const path = reference.match(/^#\/(.*)$/)?.[1]?.split('/');
  if (!path) return undefined;
  let found: unknown = root;
  for (const step of path) found = isObject(found) ? found[step.replaceAll('~1', '/').replaceAll('~0', '~')] : undefined;
  return found;
}

/** The schema with what it refers to in the same document, and with all parts of an `allOf`. */
export function resolved(part: Part, root: Part, steps = 0): Part {
  const { $ref, allOf, ...own } = part;
  if (steps >= MOST_STEPS) return own;
  const target = textOf($ref) === undefined ? undefined : lookedUp(String($ref), root);
  const parts = [target, ...listOf(allOf)].filter(isObject).map(other => resolved(other, root, steps + 1));
  return [...parts, own].reduce<Part>(merged, {});
}

function merged(one: Part, other: Part): Part {
  const both = { ...one, ...other };
  const [properties, more] = [one['properties'], other['properties']];
  const required = [...new Set([...listOf(one['required']), ...listOf(other['required'])])];
  return {
    ...both,
    ...(isObject(properties) && isObject(more) && { properties: { ...properties, ...more } }),
    ...(required.length > 0 && { required }),
  };
}

/** Alternatives without the one for null, which makes a value optional. */
const alternatives = (part: Part) => [...listOf(part['anyOf']), ...listOf(part['oneOf'])].filter(isObject).filter(({ type }) => type !== 'null');

export function typeOf(part: Part, root: Part, depth = 0): string {
  const { type, items } = part;
  const of = (inner: unknown) => (isObject(inner) && depth < 4 ? typeOf(resolved(inner, root), root, depth + 1) : 'any');
  const named = Array.isArray(type) ? type.filter(name => typeof name === 'string' && name !== 'null').join(' | ') : textOf(type);
  if (named === 'array') {
    const tuple = listOf(part['prefixItems'] ?? (Array.isArray(items) ? items : undefined));
    return tuple.length > 0 ? `[${tuple.map(of).join(', ')}]` : `${of(items)}[]`;
  }
  if (named) return textOf(part['format']) ? `${named} (${textOf(part['format'])})` : named;
  const types = new Set(alternatives(part).map(of));
  if (types.size > 0) return [...types].join(' | ');
  if (isObject(part['properties'])) return 'object';
  return 'any';
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

export const boundsOf = (part: Part) =>
  BOUNDS.flatMap(([key, sign]) => {
    const bound = part[key];
    return typeof bound === 'number' || typeof bound === 'string' ? [`${sign} ${bound}`] : [];
  });

/** The part that has the properties of a value: itself, its items, or its one alternative. */
export function withProperties(part: Part, root: Part): Part | undefined {
  if (isObject(part['properties'])) return part;
  const [only, ...others] = alternatives(part);
  const next = isObject(part['items']) ? part['items'] : others.length === 0 ? only : undefined;
  const found = next && resolved(next, root);
  return found && isObject(found['properties']) ? found : undefined;
}

/** What the schema of a tool says of its arguments, which is an object. */
export function argumentsOf(schema: unknown): { kind: 'listed'; part: Part } | { kind: 'none' | 'elsewhere' | 'unknown' } {
  if (!isObject(schema)) return { kind: 'unknown' };
  const root = resolved(schema, schema);
  const part = isObject(root['properties']) ? root : withProperties(root, schema);
  if (part && Object.keys(part['properties'] ?? {}).length > 0) return { kind: 'listed', part };
  // These may name arguments without listing them.
  const isOpen = ['$ref', 'anyOf', 'oneOf', 'allOf', 'if', 'patternProperties', '$dynamicRef'].some(key => schema[key] !== undefined);
  return { kind: isOpen || isObject(root['additionalProperties']) ? 'elsewhere' : 'none' };
}
