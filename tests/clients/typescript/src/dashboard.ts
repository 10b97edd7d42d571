// What a dashboard does around its list: nothing chosen as a value, orders, bulk changes, histories, and streams that outlive tokens.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { env } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { print } from 'graphql';
import { createClient as createEventStream } from 'graphql-sse';
import { createClient as createWebSocket } from 'graphql-ws';
import type { ResultOf } from '@graphql-typed-document-node/core';
import WebSocket from 'ws';
import { connect } from './client.js';
import { graphql } from './gql/index.js';
import type { PersonalConnectorFilter, PersonalConnectorOrder } from './gql/graphql.js';

const List = graphql(`
  query DashboardList($filter: PersonalConnectorFilter, $orderBy: PersonalConnectorOrder, $thenBy: [PersonalConnectorOrder!]) {
    personalConnectors(filter: $filter, orderBy: $orderBy, thenBy: $thenBy, first: 100) {
      totalCount
      facets {
        category { value count }
        outcome { value count }
        serverType { value count }
      }
      nodes { id name category serverType health { outcome } viewerCanSetStatus }
    }
  }
`);

const Create = graphql(`
  mutation DashboardCreate($input: CreateCustomConnectorInput!) {
    createCustomConnector(input: $input) {
      changesCursor
      personalConnector { id revision }
      userErrors { code field message }
    }
  }
`);

const Rename = graphql(`
  mutation DashboardRename($id: ID!, $name: String!) {
    updateCustomConnector(input: { id: $id, name: $name }) {
      changesCursor
      personalConnector { id name }
      userErrors { code field message }
    }
  }
`);

const SetStatuses = graphql(`
  mutation DashboardSetStatuses($input: SetConnectorStatusesInput!) {
    setConnectorStatuses(input: $input) {
      changesCursor
      results {
        personalConnectorId
        personalConnector { id status }
        userErrors { code field message }
      }
    }
  }
`);

const History = graphql(`
  query DashboardHistory($id: ID!, $first: Int, $after: String, $last: Int) {
    personalConnector(id: $id) {
      id
      lastChange { cursor }
      changes(first: $first, after: $after, last: $last) {
        nodes { cursor kind author { userId isViewer } changes { field before after } }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
`);

const Cursor = graphql(`
  query DashboardCursor {
    personalConnectors(first: 0) { changesCursor }
  }
`);

const Live = graphql(`
  subscription DashboardLive($after: String, $list: PersonalConnectorListInput) {
    personalConnectorChanged(after: $after, list: $list) {
      cursor kind inListBefore inList outcomeBefore
      personalConnector { id name }
    }
  }
`);
type Change = ResultOf<typeof Live>['personalConnectorChanged'];

const url = env['URL']!;
/** A token of the server, as an identity provider gives one. */
const token = (user: string, scope: string, lifetime = '1h') => {
  const flags = ['--user', user, '--organization', 'acme', '--scope', scope, '--expires-in', lifetime];
  return execFileSync(env['SERVER']!, ['token', ...flags], { encoding: 'utf8' }).trim();
};
const own = connect(url, env['TOKEN']!);
const admin = connect(url, token('root', 'catalog:admin'));

const list = async (filter: PersonalConnectorFilter, orderBy?: PersonalConnectorOrder, thenBy?: PersonalConnectorOrder[]) => {
  const variables = { filter, orderBy, thenBy };
  const { data, error } = await admin.query(List, variables, { requestPolicy: 'network-only' });
  assert.ok(data, error);
  return data.personalConnectors;
};

const create = async (name: string) => {
  const { data, error } = await own.mutation(Create, { input: { name, category: null, serverType: 'STDIO' } });
  const created = data?.createCustomConnector;
  assert.ok(created?.personalConnector, error);
  return { cursor: created.changesCursor, id: created.personalConnector.id };
};

const rename = async (id: string, name: string) => {
  const { data, error } = await own.mutation(Rename, { id, name });
  assert.deepEqual(data?.updateCustomConnector?.userErrors, [], error?.message);
  return data!.updateCustomConnector!.changesCursor!;
};

/** Each entry of a menu can be chosen, "none" among them, and then gives as many connectors as it said. */
async function chooseNone() {
  const names = ['Zebra', 'alpha', 'Mango'].map((name) => `${name} without a category`);
  for (const name of names) await create(name);
  const all = await list({});
  for (const { value, count } of all.facets.category) {
    assert.equal((await list({ category: [value] })).totalCount, count, `category ${value}`);
  }
  for (const { value, count } of all.facets.serverType) {
    assert.equal((await list({ serverType: [value] })).totalCount, count, `server type ${value}`);
  }
  for (const { value, count } of all.facets.outcome) {
    assert.equal((await list({ outcome: [value] })).totalCount, count, `outcome ${value}`);
  }

  // None beside a value, by outcome and then by name. What is left of the menu counts on.
  const chosen = await list({ category: [null, 'DESIGN'] }, { field: 'OUTCOME' }, [{ field: 'NAME' }]);
  const facet = new Map(chosen.facets.category.map(({ value, count }) => [value, count]));
  assert.deepEqual(chosen.facets.category, all.facets.category);
  assert.equal(chosen.totalCount, facet.get(null)! + facet.get('DESIGN')!);
  assert.ok(chosen.nodes.every(({ category }) => category === null || category === 'DESIGN'));
  // In the order of the facet. Those without a server to call have no health, and come before those whose first check is to come.
  const groups = [...new Set(chosen.nodes.map(({ health }) => health?.outcome ?? null))];
  const order = all.facets.outcome.map(({ value }) => value);
  assert.deepEqual(groups, order.filter((outcome) => groups.includes(outcome)));
  const found = chosen.nodes.map(({ name }) => name).filter((name) => names.includes(name));
  assert.deepEqual(found, [names[1], names[2], names[0]]);
}

/** One document changes many connectors. What cannot be changed says so in its own row. */
async function changeMany() {
  const { nodes } = await list({ type: ['OFFICIAL'] });
  assert.ok(nodes.every(({ viewerCanSetStatus }) => viewerCanSetStatus));
  const ids = [nodes[0]!.id, 'pcon_none', nodes[1]!.id];
  const set = async (errorPolicy: 'REJECT_ALL' | 'REJECT_FAILED') => {
    const input = { ids, status: 'MAINTENANCE', statusMessage: 'Back at noon', errorPolicy } as const;
    const { data, error } = await admin.mutation(SetStatuses, { input });
    assert.ok(data?.setConnectorStatuses, error);
    return data.setConnectorStatuses;
  };
  const rows = ({ results }: Awaited<ReturnType<typeof set>>) =>
    results.map((row) => [row.personalConnectorId, row.personalConnector?.status, row.userErrors.map(({ code }) => code)]);

  const none = await set('REJECT_ALL');
  assert.equal(none.changesCursor, null);
  assert.deepEqual(rows(none)[1], ['pcon_none', undefined, ['NOT_FOUND']]);

  const two = await set('REJECT_FAILED');
  assert.ok(two.changesCursor);
  assert.deepEqual(rows(two), [
    [ids[0], 'MAINTENANCE', []],
    ['pcon_none', undefined, ['NOT_FOUND']],
    [ids[2], 'MAINTENANCE', []],
  ]);
}

/** The latest first, with who made each change and what it was, and the oldest from the other end. */
async function readHistory() {
  const { id } = await create('Version 1');
  for (const number of [2, 3, 4]) await rename(id, `Version ${number}`);
  const history = async (page: { first?: number; after?: string | null; last?: number }) => {
    const { data, error } = await own.query(History, { id, ...page }, { requestPolicy: 'network-only' });
    assert.ok(data?.personalConnector, error);
    return data.personalConnector;
  };
  const { lastChange, changes } = await history({ first: 2 });
  assert.equal(lastChange?.cursor, changes.nodes[0]?.cursor);
  const names = changes.nodes.map(({ changes }) => changes.map(({ field, before, after }) => [field, before, after]));
  assert.deepEqual(names, [[['NAME', 'Version 3', 'Version 4']], [['NAME', 'Version 2', 'Version 3']]]);
  assert.ok(changes.nodes.every(({ author }) => author?.isViewer && author.userId === 'ann'));
  assert.ok(changes.pageInfo.hasNextPage);

  const { changes: rest } = await history({ first: 2, after: changes.pageInfo.endCursor });
  assert.deepEqual([rest.nodes.map(({ kind }) => kind), rest.pageInfo.hasNextPage], [['UPDATED', 'CREATED'], false]);
  const { changes: oldest } = await history({ last: 1 });
  assert.deepEqual(oldest.nodes.map(({ kind }) => kind), ['CREATED']);
}

type Result = { data?: ResultOf<typeof Live> | null; errors?: readonly { extensions?: { code?: unknown } }[] };
type Sink = { next(result: Result): void; error(error: unknown): void; complete(): void };
type Variables = { after: string; list: { search: string } };
type Subscribe = (request: { query: string; variables: Variables }, sink: Sink) => () => void;

const LIFETIME = 12;
const soon = async () => {};
const authorization = () => ({ Authorization: `Bearer ${token('ann', 'connectors:write', `${LIFETIME}s`)}` });
const overWebSocket = createWebSocket({
  url: url.replace(/^http/, 'ws'),
  connectionParams: authorization,
  webSocketImpl: WebSocket,
  retryWait: soon,
});
const overEvents = createEventStream({ url, headers: authorization, retry: soon });
const transports: Record<string, Subscribe> = {
  'a WebSocket': (request, sink) => overWebSocket.subscribe(request, sink as never),
  'server-sent events': (request, sink) => overEvents.subscribe(request, sink as never),
};

/** A pill says "2 changes" of the list that is shown, by a stream that goes on with new tokens, and leaves out one's own changes. */
async function showPill(transport: string, subscribe: Subscribe) {
  const { data } = await own.query(Cursor, {}, { requestPolicy: 'network-only' });
  const word = `pill${transport.length}`;
  // Another for each: of two mutations that are alike and under way together, urql gives up one.
  const away = `Away from ${transport}`;
  const variables = { after: data!.personalConnectors.changesCursor, list: { search: word } };
  const heard: Change[] = [];
  const echoes = new Set<string>();
  const unsubscribe = subscribe({ query: print(Live), variables }, {
    next({ data, errors }) {
      const change = data?.personalConnectorChanged;
      if (!change) {
        // The last event of a stream whose token expired.
        assert.deepEqual(errors?.map(({ extensions }) => extensions?.code), ['UNAUTHENTICATED']);
        return;
      }
      variables.after = change.cursor;
      heard.push(change);
    },
    error: (error) => assert.fail(String(error)),
    complete: () => {},
  });
  const until = async (count: number) => {
    while (heard.length < count) await sleep(20);
  };
  const began = Date.now();
  const { id, cursor } = await create(`The ${word}`);
  echoes.add(cursor!);
  const other = await create(away);
  let expected = 1;
  // Beyond the life of two tokens.
  while (Date.now() - began < 2.2 * LIFETIME * 1000) {
    await rename(other.id, `${away} ${expected}`);
    echoes.add(await rename(id, `The ${word} ${expected}`));
    expected += 1;
    await until(expected);
    await sleep(2000);
  }
  await rename(id, `Renamed ${away}`);
  await rename(other.id, `${away} ${word}`);
  await until(expected + 2);
  unsubscribe();

  const [first, ...more] = heard.map(({ kind, inListBefore, inList }) => ({ kind, inListBefore, inList }));
  assert.deepEqual(first, { kind: 'CREATED', inListBefore: false, inList: true });
  assert.deepEqual(more.pop(), { kind: 'UPDATED', inListBefore: false, inList: true });
  assert.deepEqual(more.pop(), { kind: 'UPDATED', inListBefore: true, inList: false });
  assert.ok(more.every(({ inListBefore, inList }) => inListBefore && inList));
  const shown = heard.filter(({ cursor }) => !echoes.has(cursor));
  assert.equal(shown.length, 2);
}

await chooseNone();
await changeMany();
await readHistory();
await Promise.all(Object.entries(transports).map(([name, subscribe]) => showPill(name, subscribe)));
process.exit();
