import type { Category, CreateInput, ServerType, UpdateInput, Visibility } from '../api/graphql.ts';
import { CHOICES, NONE } from '../browse/search.ts';
import type { EditableOf } from './queries.ts';

/** The texts of the form's inputs. */
export interface Draft {
  readonly name: string;
  readonly description: string;
  readonly serverUrl: string;
  readonly serverType: ServerType | typeof NONE;
  readonly category: Category | typeof NONE;
  readonly visibility: Visibility;
  readonly version: string;
  readonly iconUrl: string;
  /** A JSON object, or nothing. */
  readonly metadata: string;
}
export type DraftField = keyof Draft;

export const DRAFT_FIELDS = [
  'serverUrl',
  'serverType',
  'name',
  'description',
  'category',
  'visibility',
  'version',
  'iconUrl',
  'metadata',
] as const satisfies readonly DraftField[];

export const EMPTY: Draft = {
  name: '',
  description: '',
  serverUrl: '',
  serverType: 'HTTP',
  category: 'CUSTOM',
  visibility: 'PRIVATE',
  version: '',
  iconUrl: '',
  metadata: '',
};

export const draftOf = (connector: EditableOf): Draft => ({
  name: connector.name,
  description: connector.description ?? '',
  serverUrl: connector.serverUrl ?? '',
  serverType: connector.serverType ?? NONE,
  category: connector.category ?? NONE,
  visibility: connector.visibility,
  version: connector.version ?? '',
  iconUrl: connector.iconUrl ?? '',
  metadata: connector.metadata === null ? '' : JSON.stringify(connector.metadata, null, 2),
});

/** Changes one field. A select gives a text, which is one of its own values. */
export function withField(draft: Draft, field: DraftField, text: string): Draft {
  switch (field) {
    case 'serverType':
      return { ...draft, serverType: CHOICES.serverType.find(value => value === text) ?? draft.serverType };
    case 'category':
      return { ...draft, category: CHOICES.category.find(value => value === text) ?? draft.category };
    case 'visibility':
      return { ...draft, visibility: CHOICES.visibility.find(value => value === text) ?? draft.visibility };
    default:
      return { ...draft, [field]: text };
  }
}

/** A draft that was stored as JSON, or nothing if it is not one. */
export function readDraft(stored: unknown): Draft | undefined {
  if (typeof stored !== 'object' || stored === null) return undefined;
  return DRAFT_FIELDS.reduce<Draft>((draft, field) => {
    const text: unknown = Reflect.get(stored, field);
    return typeof text === 'string' ? withField(draft, field, text) : draft;
  }, EMPTY);
}

export const changedFields = (from: Draft, to: Draft) => DRAFT_FIELDS.filter(field => from[field] !== to[field]);

/** Whether the metadata can be sent: nothing, or JSON. The service judges the rest. */
export function isJson(text: string) {
  if (text.trim() === '') return true;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** A text of JSON, and a number outside of its texts. */
const JSON_TEXT = /"(?:[^"\\]|\\.)*"/g;
const JSON_NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** A double holds each number of so many digits. */
const EXACT_DIGITS = 15;

/** Whether the browser, whose numbers are doubles, keeps all numbers of a JSON text as they are. */
export const isExact = (text: string) =>
  (text.replace(JSON_TEXT, '').match(JSON_NUMBER) ?? []).every(number => {
    const value = Number(number);
    if (/^-?\d+$/.test(number)) return Number.isSafeInteger(value);
    const digits = number.replace(/[eE].*$/, '').replace(/^[-0.]+|\./g, '');
    return Number.isFinite(value) && digits.length <= EXACT_DIGITS;
  });

const orNull = (text: string) => (text.trim() === '' ? null : text.trim());
const unlessNone = <Value extends string>(value: Value | typeof NONE): Value | null => (value === NONE ? null : value);
const parsed = (text: string): unknown => (text.trim() === '' ? null : JSON.parse(text));

/** The input of an update with every field, of which the changed ones are sent. */
const all = (draft: Draft) => ({
  name: draft.name,
  description: orNull(draft.description),
  serverUrl: orNull(draft.serverUrl),
  serverType: unlessNone(draft.serverType),
  category: unlessNone(draft.category),
  visibility: draft.visibility,
  version: orNull(draft.version),
  iconUrl: orNull(draft.iconUrl),
  metadata: parsed(draft.metadata),
});

export const createInput = (draft: Draft, idempotencyKey: string): CreateInput => ({ ...all(draft), idempotencyKey });

/** Sends the fields alone that differ, so that nothing else is overwritten. */
export function updateInput(id: string, expectedRevision: number, from: Draft, to: Draft): UpdateInput {
  const values = all(to);
  const changed = Object.fromEntries(changedFields(from, to).map(field => [field, values[field]]));
  return { id, expectedRevision, ...changed };
}

/** A key by which the service recognizes a repeated request. `randomUUID` exists only on pages over TLS. */
export const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, '0')).join('');
