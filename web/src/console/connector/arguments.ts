// What a JSON Schema says of the properties of a value. Where it says it in another way than by a list, so does the page.
//
// A schema is of a server that anybody may run. It may refer to itself, and a short one may describe more than a page can
// show. So all steps through a schema together are bounded, and so are the arguments that are listed.

import { isObject } from '../parts/Json.tsx';

export type Part = Readonly<Record<string, unknown>>;

/** The most arguments of a schema that are listed. */
const MOST_ARGUMENTS = 200;
/** The most parts of a schema that are looked at, and the most for the type of an argument. */
const MOST_STEPS = 1000;
const MOST_STEPS_OF_TYPE = 30;
/** The most letters of a type. */
const MOST_LETTERS = 200;
/** How many references are followed from one place, and how many levels have an argument's type and its arguments. */
const DEEPEST_REFERENCE = 8;
const DEEPEST_TYPE = 4;
const DEEPEST_ARGUMENT = 6;

/** An argument of a tool, or a property of a value. */
export interface Argument {
  readonly name: string;
  readonly type: string;
  readonly isRequired: boolean;
  readonly description: string | undefined;
  readonly values: readonly unknown[];
  readonly bounds: readonly string[];
  readonly fallback: unknown;
  readonly nested: Argument[];
}

export type Arguments = { readonly kind: 'listed'; readonly list: readonly Argument[]; readonly isWhole: boolean } | { readonly kind: 'none' | 'elsewhere' | 'unknown' };

const textOf = (value: unknown) => (typeof value === 'string' ? value : undefined);
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const entriesOf = (part: Part) => (isObject(part['properties']) ? Object.entries(part['properties']) : []);

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

const boundsOf = (part: Part) =>
  BOUNDS.flatMap(([key, sign]) => {
    const bound = part[key];
    return typeof bound === 'number' || typeof bound === 'string' ? [`${sign} ${bound}`] : [];
  });

/** How many steps are left. */
interface Steps {
  left: number;
}

/** A way through a schema, which ends after a number of steps. */
class Walk {
  private readonly steps: Steps = { left: MOST_STEPS };
  private listed = 0;

  constructor(private readonly root: Part) {}

  get isWhole() {
    return this.steps.left >= 0 && this.listed <= MOST_ARGUMENTS;
  }

  private lookedUp(reference: string): unknown {
    if (reference === '#') return this.root;
    const path = reference.match(/^#\/(.*)$/)?.[1]?.split('/');
    if (!path) return undefined;
    let found: unknown = this.root;
    for (const step of path) found = isObject(found) ? found[step.replaceAll('~1', '/').replaceAll('~0', '~')] : undefined;
    return found;
  }

  /** The schema with what it refers to in the same document, and with all parts of an `allOf`. */
  resolved(part: Part, steps = this.steps, depth = 0): Part {
    const { $ref, allOf, ...own } = part;
    steps.left -= 1;
    if (depth >= DEEPEST_REFERENCE || steps.left < 0) return own;
    const target = textOf($ref) === undefined ? undefined : this.lookedUp(String($ref));
    const parts = [target, ...listOf(allOf)].filter(isObject).map(other => this.resolved(other, steps, depth + 1));
    return [...parts, own].reduce<Part>(merged, {});
  }

  private typeOf(part: Part, steps: Steps, depth = 0): string {
    const { type, items } = part;
    const of = (inner: unknown) =>
      isObject(inner) && depth < DEEPEST_TYPE && steps.left > 0 ? this.typeOf(this.resolved(inner, steps), steps, depth + 1) : 'any';
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

  /** The part that has the properties of a value: itself, its items, or its one alternative. */
  withProperties(part: Part): Part | undefined {
    if (isObject(part['properties'])) return part;
    const [only, ...others] = alternatives(part);
    const next = isObject(part['items']) ? part['items'] : others.length === 0 ? only : undefined;
    const found = next && this.resolved(next);
    return found && isObject(found['properties']) ? found : undefined;
  }

  /** The properties of a value, level by level, so that what is left out is deep. */
  list(part: Part): Argument[] {
    const first: Argument[] = [];
    let level = [{ part, into: first }];
    for (let depth = 0; depth <= DEEPEST_ARGUMENT && this.isWhole; depth += 1) {
      const next: typeof level = [];
      for (const { part: of, into } of level) {
        const required = new Set(listOf(of['required']));
        for (const [name, property] of entriesOf(of)) {
          this.listed += 1;
          if (!this.isWhole) return first;
          const found = isObject(property) ? this.resolved(property) : {};
          const argument = { ...this.argument(name, found), isRequired: required.has(name) };
          into.push(argument);
          const below = this.withProperties(found);
          if (below) next.push({ part: below, into: argument.nested });
        }
      }
      level = next;
    }
    return first;
  }

  private argument(name: string, part: Part) {
    const type = this.typeOf(part, { left: MOST_STEPS_OF_TYPE });
    return {
      name,
      type: type.length > MOST_LETTERS ? `${type.slice(0, MOST_LETTERS)}…` : type,
      description: textOf(part['description']) ?? textOf(part['title']),
      values: listOf(part['enum']),
      bounds: boundsOf(part),
      fallback: part['default'],
      nested: [],
    };
  }
}

/** What the schema of a tool says of its arguments, which is an object. */
export function argumentsOf(schema: unknown): Arguments {
  if (!isObject(schema)) return { kind: 'unknown' };
  const walk = new Walk(schema);
  const root = walk.resolved(schema);
  const part = walk.withProperties(root);
  if (part && entriesOf(part).length > 0) {
    const list = walk.list(part);
    return { kind: 'listed', list, isWhole: walk.isWhole };
  }
  // These may name arguments without listing them.
  const isOpen = ['$ref', 'anyOf', 'oneOf', 'allOf', 'if', 'patternProperties', '$dynamicRef'].some(key => schema[key] !== undefined);
  return { kind: isOpen || isObject(root['additionalProperties']) ? 'elsewhere' : 'none' };
}
