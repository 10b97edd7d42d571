import type { Category, ConnectorStatus, ConnectorType, Filter, OrderDirection, OrderField, Outcome, ServerType, Visibility } from '../api/graphql.ts';

/** Stands for connectors without a value, in the address bar as well. */
export const NONE = 'none';
type None = typeof NONE;

/** The values that can be chosen, by the names of their parameters. The orders are those of the menus. */
export const CHOICES = {
  outcome: ['OPEN', 'AUTH_REQUIRED', 'WRONG_TRANSPORT', 'NOT_MCP', 'UNREACHABLE', 'TIMEOUT', 'BLOCKED', 'NOT_CHECKABLE', NONE],
  status: ['ACTIVE', 'DEPRECATED', 'MAINTENANCE'],
  category: ['PRODUCTIVITY', 'DEVELOPMENT', 'COMMUNICATION', 'DESIGN', 'CUSTOM', NONE],
  type: ['OFFICIAL', 'AITRONOS_BUILT', 'CUSTOM'],
  serverType: ['HTTP', 'STDIO', 'WEBSOCKET', NONE],
  visibility: ['PUBLIC', 'ORGANIZATION', 'PRIVATE'],
} as const satisfies {
  outcome: readonly (Outcome | None)[];
  status: readonly ConnectorStatus[];
  category: readonly (Category | None)[];
  type: readonly ConnectorType[];
  serverType: readonly (ServerType | None)[];
  visibility: readonly Visibility[];
};

export type Facet = keyof typeof CHOICES;
export type Choice<Name extends Facet> = (typeof CHOICES)[Name][number];
type Chosen = { readonly [Name in Facet]?: readonly Choice<Name>[] };

export const FACETS = ['outcome', 'status', 'category', 'type', 'serverType', 'visibility'] as const satisfies readonly Facet[];

/** The orders of the menu. A minus is the other direction. */
export const ORDERS = [
  'relevance',
  'name',
  '-name',
  'updated',
  'created',
  'outcome',
  'latency',
  'uptime',
  'tools',
] as const;
export type Order = (typeof ORDERS)[number];

const ORDER_FIELDS: Record<Order, { field: OrderField; direction?: OrderDirection }> = {
  relevance: { field: 'RELEVANCE' },
  name: { field: 'NAME' },
  '-name': { field: 'NAME', direction: 'DESC' },
  updated: { field: 'UPDATED_AT' },
  created: { field: 'CREATED_AT' },
  outcome: { field: 'OUTCOME', direction: 'DESC' },
  latency: { field: 'LATENCY' },
  uptime: { field: 'UPTIME', direction: 'ASC' },
  tools: { field: 'TOOL_COUNT' },
};

/** The list that is shown, as it is in the address bar. */
export type ListSearch = Chosen & {
  readonly q?: string;
  readonly mine?: true;
  readonly order?: Order;
  readonly after?: string;
  readonly before?: string;
};

export const PAGE = 50;

const texts = (value: unknown): string[] =>
  typeof value === 'string' ? value.split(',') : Array.isArray(value) ? value.filter(item => typeof item === 'string') : [];

/** Keeps those of the known values that a parameter names; none if it names none of them. */
function chosen<Value extends string>(known: readonly Value[], parameter: unknown): readonly Value[] | undefined {
  const named = new Set(texts(parameter));
  const values = known.filter(value => named.has(value));
  return values.length > 0 ? values : undefined;
}

const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);

/** Reads the parameters of the address bar. Unknown ones, and unknown values, are dropped. */
export function readSearch(given: Record<string, unknown>): ListSearch {
  return {
    q: text(given['q'])?.slice(0, 256),
    outcome: chosen(CHOICES.outcome, given['outcome']),
    status: chosen(CHOICES.status, given['status']),
    category: chosen(CHOICES.category, given['category']),
    type: chosen(CHOICES.type, given['type']),
    serverType: chosen(CHOICES.serverType, given['serverType']),
    visibility: chosen(CHOICES.visibility, given['visibility']),
    mine: texts(given['mine']).includes('true') || given['mine'] === true ? true : undefined,
    order: ORDERS.find(order => order === given['order']),
    after: text(given['after']),
    before: text(given['before']),
  };
}

const orNull = <Value extends string>(values: readonly (Value | None)[] | undefined) =>
  values?.map(value => (value === NONE ? null : value));

/** The filter of the list. */
export function filterOf(search: ListSearch): Filter {
  return {
    outcome: orNull(search.outcome),
    category: orNull(search.category),
    serverType: orNull(search.serverType),
    status: search.status && [...search.status],
    type: search.type && [...search.type],
    visibility: search.visibility && [...search.visibility],
    mine: search.mine,
  };
}

/** The order that is in force: by relevance only what is searched for can be ordered. */
export const orderOf = ({ q, order }: ListSearch): Order => (order === 'relevance' && !q ? 'name' : (order ?? (q ? 'relevance' : 'name')));

/** The variables of the list, and of its counts. */
export const listVariables = (search: ListSearch) => ({ search: search.q ?? null, filter: filterOf(search) });

/** The variables of the counts by visibility: each filter chooses one, and keeps the rest of the list's. */
export function visibilityVariables(search: ListSearch) {
  const only = (visibility: Visibility): Filter => ({ ...filterOf(search), visibility: [visibility] });
  return { search: search.q ?? null, public: only('PUBLIC'), organization: only('ORGANIZATION'), private: only('PRIVATE') };
}

export const pageVariables = (search: ListSearch) => ({
  ...listVariables(search),
  orderBy: ORDER_FIELDS[orderOf(search)],
  ...(search.before ? { last: PAGE, before: search.before } : { first: PAGE, after: search.after ?? null }),
});

/** The connectors whose servers fail. One that needs a sign-in works. */
export const BROKEN: ListSearch = { outcome: ['WRONG_TRANSPORT', 'NOT_MCP', 'UNREACHABLE', 'TIMEOUT'] };

/** The first page of the list, whose cursors belong to another list. */
export function fromStart({ after: _after, before: _before, ...rest }: ListSearch): ListSearch {
  return rest;
}

/** The list without any restriction. */
export const cleared = ({ order }: ListSearch): ListSearch => ({ order });

export const isRestricted = (search: ListSearch) =>
  Boolean(search.q || search.mine || FACETS.some(facet => search[facet] !== undefined));

/** Chooses a value of a facet, or gives it up. */
export function toggled(search: ListSearch, facet: Facet, value: string): ListSearch {
  const values = new Set<string>(search[facet]);
  if (!values.delete(value)) values.add(value);
  return readSearch({ ...fromStart(search), [facet]: [...values] });
}
