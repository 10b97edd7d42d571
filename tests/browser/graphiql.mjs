// Drives the GraphiQL page as a visitor does: node graphiql.mjs URL TOKEN [SCREENSHOTS]
//
// URL is a fresh server with the built-in catalogue, TOKEN one with the scope connectors:write. SCREENSHOTS is a folder to
// put two in. Every host but the server's is out of reach, and being asked for is a failure too.

import assert from 'node:assert/strict';
import { launch, watched } from './browser.mjs';

const [url, token, screenshots] = process.argv.slice(2);
const { origin, hostname } = new URL(url);

const browser = await launch(hostname);

const complaints = [];
let leaving = false;

async function open(colorScheme) {
  const page = await watched(browser, {
    origin,
    complain: text => complaints.push(text),
    // A stream of events ends so when it is stopped, and a worker that is still loading when the page is left.
    isExcused: (request, errorText) =>
      errorText === 'net::ERR_ABORTED' && (leaving || request.headers().accept === 'text/event-stream'),
    context: { colorScheme, viewport: { width: 1440, height: 860 } },
  });
  await page.goto(url);
  await ready(page);
  return page;
}

/** The editors and the schema are there. */
async function ready(page) {
  await page.locator('.graphiql-query-editor .view-line').first().waitFor();
  await page.getByRole('button', { name: /^Re-fetch/ }).and(page.locator(':enabled')).waitFor();
}

/** Out of the way with pointer, cursor and tooltips. */
async function settle(page) {
  await page.mouse.move(720, 858);
  await page.evaluate(() => document.activeElement.blur());
  await page.waitForTimeout(1000);
}

const titles = page => page.locator('[id^=graphiql-session-tab-]').allTextContents();

async function choose(page, title) {
  await page.locator('[id^=graphiql-session-tab-]', { hasText: title }).click();
  // GraphiQL reads the operation's name a tenth of a second later.
  await page.waitForTimeout(300);
}

/** Waits until an editor's text is the one, whole: the document has only the lines in sight. */
const holds = (page, name, expected) =>
  page.waitForFunction(
    ([name, expected]) => {
      const text = __MONACO.editor.getModels().find(model => model.uri.path.endsWith(name)).getValue();
      return expected instanceof RegExp ? expected.test(text) : text.trim() === expected;
    },
    [name, expected],
  );

async function write(page, section, value) {
  await page.getByRole('region', { name: section }).locator('.monaco-editor:visible').first().click();
  await page.keyboard.press('Control+A');
  await page.keyboard.insertText(value);
  // What the editor closed of itself.
  await page.keyboard.press('Control+Shift+End');
  await page.keyboard.press('Delete');
}

async function replace(page, name, value) {
  await page.getByRole('button', { name, exact: true }).click();
  await write(page, name, value);
}

/** The answer to the tab in front, as the page shows it. */
async function run(page) {
  const answered = page.waitForResponse(response => response.url().endsWith('/graphql'));
  await page.getByRole('button', { name: /^Execute/ }).click();
  const answer = await (await answered).json();
  await page.waitForFunction(
    shown => {
      const model = __MONACO.editor.getModels().find(model => model.uri.path.endsWith('response.json'));
      return model.getValue().replace(/\s/g, '') === shown;
    },
    JSON.stringify(answer).replace(/\s/g, ''),
  );
  return answer;
}

/** Everything that the editors mark. A known mistake is marked first, so that the marks are those of the tab in front. */
async function marks(page, variables) {
  const set = text =>
    page.evaluate(text => {
      const model = __MONACO.editor.getModels().find(model => model.uri.path.endsWith('variables.json'));
      const before = model.getValue();
      model.setValue(text);
      return before;
    }, text);
  const messages = () => page.evaluate(() => __MONACO.editor.getModelMarkers({}).map(({ message }) => message));
  const told = isMarked =>
    page.waitForFunction(
      isMarked => __MONACO.editor.getModelMarkers({}).some(({ message }) => message.includes('nosuch')) === isMarked,
      isMarked,
    );
  const before = await set('{ "nosuch": 1 }');
  await told(true);
  await set(variables === undefined ? before : JSON.stringify(variables));
  await told(false);
  const found = await messages();
  await set(before);
  return found;
}

const examples = ['ByCategoryAndStatus', 'Facets', 'Search', 'Create', 'Changes'];

// In a page of its own, whose tabs are left with other variables.
const marked = await open('light');
for (const example of examples) {
  await choose(marked, example);
  assert.deepEqual(await marks(marked), [], example);
}
// GraphQL allows these: one item for a list, a default that is left out, and any JSON.
await choose(marked, 'Facets');
assert.deepEqual(await marks(marked, { filter: { type: 'OFFICIAL', status: null, not: { or: { category: ['DESIGN'] } } } }), []);
await choose(marked, 'Create');
const draft = { name: 'A', serverUrl: 'https://a.example/mcp' };
for (const metadata of [null, [], {}, '', 0, false]) {
  assert.deepEqual(await marks(marked, { input: { ...draft, metadata } }), [], JSON.stringify(metadata));
}
// And not these.
for (const [input, message] of [
  [{ ...draft, name: undefined }, /Missing property "name"/],
  [{ ...draft, name: 7 }, /Incorrect type/],
  [{ ...draft, visibility: 'SECRET' }, /Value is not accepted/],
  [{ ...draft, serverUrl: {} }, /Incorrect type/],
]) {
  assert.match((await marks(marked, { input })).join(), message);
}

leaving = true;
await marked.close();
leaving = false;

const page = await open('light');
assert.deepEqual(await titles(page), examples);

const { personalConnectors: filtered } = (await run(page)).data;
assert.deepEqual(filtered.nodes.map(({ name, category, status }) => [name, category, status]), [
  ['GitHub', 'DEVELOPMENT', 'ACTIVE'],
]);

await choose(page, 'Facets');
const { personalConnectors: list } = (await run(page)).data;
assert.equal(list.totalCount, 5);
const { category } = list.facets;
assert.equal(category.reduce((sum, { count }) => sum + count, 0), 5);
assert.equal(category.find(({ value }) => value === 'DEVELOPMENT').count, 1);

await choose(page, 'Search');
const { personalConnectors: found } = (await run(page)).data;
assert.deepEqual(found.edges.map(({ node }) => node.name), ['ClickUp']);

await choose(page, 'Create');
await holds(page, 'request-headers.json', /personal-connectors token --user/);
assert.equal((await run(page)).errors[0].extensions.code, 'UNAUTHENTICATED');
await replace(page, 'Headers', JSON.stringify({ Authorization: `Bearer ${token}` }));
const { createCustomConnector: created } = (await run(page)).data;
assert.deepEqual(created.userErrors, []);
assert.equal(created.personalConnector.name, 'Our wiki');
const again = (await run(page)).data.createCustomConnector;
assert.deepEqual(again.userErrors.map(({ code }) => code), ['TAKEN']);

// A subscription tells of what happens, with the headers of its tab, until it is stopped.
await choose(page, 'Changes');
await replace(page, 'Headers', JSON.stringify({ Authorization: `Bearer ${token}` }));
const listening = page.waitForResponse(response => response.url().endsWith('/graphql'));
await page.getByRole('button', { name: /^Execute/ }).click();
assert.equal((await listening).headers()['content-type'], 'text/event-stream');
const { id } = created.personalConnector;
const renamed = await fetch(`${origin}/graphql`, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
  body: JSON.stringify({
    query: 'mutation($input: UpdateCustomConnectorInput!) { updateCustomConnector(input: $input) { userErrors { message } } }',
    variables: { input: { id, name: 'Their wiki' } },
  }),
});
assert.deepEqual((await renamed.json()).data.updateCustomConnector.userErrors, []);
await holds(page, 'response.json', /"kind": "UPDATED"[^]*"name": "Their wiki"/);
await page.getByRole('button', { name: /^Stop/ }).click();

await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
const documentation = page.getByRole('region', { name: 'Documentation Explorer' });
await documentation.getByText('Query', { exact: true }).click();
await documentation.getByText('personalConnectors', { exact: true }).click();
await documentation.getByText('PersonalConnectorFilter', { exact: true }).waitFor();
if (screenshots) {
  await choose(page, 'Facets');
  await page.getByRole('button', { name: 'Variables', exact: true }).click();
  await run(page);
  await settle(page);
  await page.screenshot({ path: `${screenshots}/light.png` });
}

// The workers do their work, and what lays texts out.
await page.getByRole('button', { name: 'New tab' }).click();
await write(page, 'Operation Editor', '');
await page.keyboard.type('{ personalConn');
await page.locator('.suggest-widget').getByText('personalConnectors', { exact: true }).waitFor();
await page.keyboard.press('Escape');
await write(page, 'Operation Editor', 'query Mine{viewer{userId nosuch}}');
await page.waitForFunction(() => __MONACO.editor.getModelMarkers({}).some(({ message }) => message.includes('"nosuch"')));
await write(page, 'Operation Editor', 'query Mine{viewer{userId}}');
await replace(page, 'Variables', '{"a":[1], // one\n"b":{}}');
await page.getByRole('button', { name: /^Prettify/ }).click();
await holds(page, 'operation.graphql', 'query Mine {\n  viewer {\n    userId\n  }\n}');
await holds(page, 'variables.json', '{\n  "a": [\n    1\n  ], // one\n  "b": {}\n}');
await page.waitForFunction(() => __MONACO.editor.getModelMarkers({}).every(({ message }) => !message.includes('"nosuch"')));

// What is written stays, but for headers.
await page.waitForFunction(() => localStorage.getItem('graphiql:tabState').includes('Mine {'));
assert.ok(!JSON.stringify(await page.evaluate(() => ({ ...localStorage }))).includes(token), 'the token was stored');
leaving = true;
await page.reload();
leaving = false;
await ready(page);
assert.deepEqual(await titles(page), [...examples, 'Mine']);
await holds(page, 'operation.graphql', 'query Mine {\n  viewer {\n    userId\n  }\n}');
await choose(page, 'Create');
await holds(page, 'operation.graphql', /^# Needs a token/);
await holds(page, 'variables.json', /"Our wiki"/);
await holds(page, 'request-headers.json', /personal-connectors token --user/);

const dark = await open('dark');
await choose(dark, 'Search');
await run(dark);
const background = await dark.locator('.graphiql-container').evaluate(element => getComputedStyle(element).backgroundColor);
const [red, green, blue] = background.match(/\d+/g).map(Number);
assert.ok(red + green + blue < 200, `not dark: ${background}`);
if (screenshots) {
  await settle(dark);
  await dark.screenshot({ path: `${screenshots}/dark.png` });
}

// On a telephone the answer is below the editors.
await dark.setViewportSize({ width: 360, height: 740 });
await run(dark);
const { width } = await dark.locator('.graphiql-response').boundingBox();
assert.ok(width > 200, `the answer is ${width} px wide`);

leaving = true;
await browser.close();
assert.deepEqual(complaints, []);
console.log('GraphiQL: all is well');
