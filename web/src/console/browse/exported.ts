import type { Client } from '@urql/core';
import type { ResultOf } from '../api/graphql.ts';
import { Exported } from './queries.ts';
import { filterOf, type ListSearch } from './search.ts';

type Item = ResultOf<typeof Exported>['personalConnectors']['nodes'][number];

/** Reads the whole list, a page after the other, whatever page is shown. Null if it is no longer wanted. */
export async function readAll(client: Client, search: ListSearch, isWanted: (read: number) => boolean): Promise<Item[] | null> {
  const items: Item[] = [];
  let after: string | null = null;
  for (;;) {
    const variables: { search: string | null; filter: ReturnType<typeof filterOf>; after: string | null } = {
      search: search.q ?? null,
      filter: filterOf(search),
      after,
    };
    const { data, error } = await client.query(Exported, variables, { requestPolicy: 'network-only' }).toPromise();
    if (!data) throw error;
    const { nodes, pageInfo } = data.personalConnectors;
    items.push(...nodes);
    if (!pageInfo.hasNextPage) return items;
    if (!isWanted(items.length)) return null;
    after = pageInfo.endCursor;
  }
}

const flat = ({ health, ...rest }: Item) => ({ ...rest, outcome: health?.outcome ?? null, checkedAt: health?.checkedAt ?? null });

/** A cell of CSV (RFC 4180). A spreadsheet would run a text that begins like a formula, so that gets an apostrophe. */
function cell(value: string | null) {
  const text = value ?? '';
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

const COLUMNS = [
  'id',
  'name',
  'type',
  'connectorId',
  'category',
  'status',
  'statusMessage',
  'visibility',
  'serverType',
  'serverUrl',
  'version',
  'outcome',
  'checkedAt',
  'createdAt',
  'updatedAt',
  'description',
] as const;

/** The list as CSV, whose mark tells spreadsheets that it is UTF-8. */
export const asCsv = (items: readonly Item[]) =>
  `\uFEFF${[COLUMNS, ...items.map(item => COLUMNS.map(column => flat(item)[column]))].map(row => row.map(cell).join(',')).join('\r\n')}\r\n`;

export const asJson = (items: readonly Item[]) => `${JSON.stringify(items.map(flat), null, 2)}\n`;

/** Gives a text to the browser as a file. */
export function save(name: string, type: string, text: string) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = Object.assign(document.createElement('a'), { href: url, download: name });
  link.click();
  URL.revokeObjectURL(url);
}
