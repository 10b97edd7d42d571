// What people do with the console. Each flow gets a page's size, and leaves the catalogue as it found it.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { open } from '../page.mjs';
import { startMcp } from '../mcp.mjs';
import { startProxy } from '../prefix.mjs';
import { freePort } from '../service.mjs';
import { facet, lists, names, parameters, row, signIn } from './steps.mjs';

/** Searches with highlights and a correction, facets that honour the rest, chips, and Back to filter, place and focus. */
export async function browse(world, size) {
  const page = await open(world.browser, world.origin, '/', size);
  await page.getByText('5 connectors', { exact: true }).waitFor();
  await page.judge('the list');
  const box = page.getByRole('searchbox', { name: 'Search connectors' });
  await box.pressSequentially('gihtub', { delay: 20 });
  await page.getByText('Results for github').waitFor();
  await lists(page, ['GitHub']);
  assert.deepEqual(parameters(page), { q: 'gihtub' });
  await box.fill('task man');
  await lists(page, ['ClickUp']);
  assert.deepEqual(await page.locator('mark').allTextContents(), ['task', 'management']);
  await page.getByRole('button', { name: 'Remove “task man”' }).click();
  await page.getByText('5 connectors', { exact: true }).waitFor();
  assert.equal(await box.inputValue(), '');

  await (await facet(page, 'Type', 'Official')).check();
  await page.getByText('2 connectors', { exact: true }).waitFor();
  await (await facet(page, 'Category', 'Design')).check();
  await page.getByText('1 connector', { exact: true }).waitFor();
  assert.deepEqual(parameters(page), { type: 'OFFICIAL', category: 'DESIGN' });
  // A menu's counts leave out its own choice: another category would give one connector as well.
  await page.getByRole('group', { name: 'Category' }).getByText('Development').waitFor();
  await page.judge('the filtered list');
  await page.reload();
  await lists(page, ['Figma']);
  await page.getByRole('button', { name: 'Clear all' }).click();
  await page.getByText('5 connectors', { exact: true }).waitFor();

  // Back restores the list, the place and the focus.
  await page.getByLabel('Order').selectOption('Name, Z to A');
  await page.waitForFunction(() => document.querySelector('.connectors .name')?.textContent === 'Microsoft Teams');
  const link = page.getByRole('link', { name: 'ClickUp', exact: true });
  await link.scrollIntoViewIfNeeded();
  const place = await page.evaluate(() => scrollY);
  // The router notes the place a tenth of a second after the page was scrolled.
  await page.waitForTimeout(300);
  await link.focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'ClickUp' }).waitFor();
  await page.judge('a connector');
  await page.goBack();
  await link.waitFor();
  await page.waitForFunction(() => document.activeElement?.textContent === 'ClickUp');
  await page.waitForFunction(place => Math.abs(scrollY - place) < 2, place, { timeout: 5000 });
  assert.deepEqual(parameters(page), { order: '-name' });

  await box.fill('nothing has this word');
  await page.getByText('No connector matches.').waitFor();
  await page.judge('an empty list');
  await page.done();
}

/** What is broken, and what only needs a sign-in. */
export async function findBroken(world, size) {
  const { id } = await world.create('Broken notes', world.down);
  await world.check(id);
  const page = await open(world.browser, world.origin, '/', size);
  await signIn(page, world.tokens.ann);
  await (await facet(page, 'Health', 'Unreachable')).check();
  await lists(page, ['Broken notes']);
  await row(page, 'Broken notes').getByText('Unreachable').waitFor();
  await page.judge('the broken ones');
  await page.getByRole('link', { name: 'Broken notes', exact: true }).click();
  const chart = page.getByRole('img', { name: /^Checks over time.*0 of 1 checks worked/ });
  await chart.waitFor();
  await page.judge('a broken connector');
  await page.done();
  await world.remove(id);
}

/** An address is pasted, the form fills itself, errors are at their fields, and the tools can be read. */
export async function add(world, size) {
  const page = await open(world.browser, world.origin, '/connectors/new', size);
  await page.getByText('Sign in to do this.').waitFor();
  await page.judge('adding without rights');
  await signIn(page, world.tokens.ann, 'ann', { button: page.getByRole('main').getByRole('button', { name: 'Sign in' }) });
  // An address without a server can be looked at again, and says nothing of the next one.
  await page.getByLabel('Server address').fill(world.down);
  await page.getByText('Unreachable').waitFor();
  await page.getByRole('button', { name: 'Look again' }).waitFor();
  await page.getByLabel('Server address').fill('mcp.example.com');
  await page.getByText('An address begins with https://').waitFor();
  assert.equal(await page.getByText('Unreachable').count(), 0);
  await page.getByLabel('Server address').focus();
  await page.evaluate(text => {
    const data = new DataTransfer();
    data.setData('text', text);
    document.activeElement.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true }));
  }, world.mcp.url);
  await page.getByLabel('Server address').fill(world.mcp.url);
  await page.getByText('2 tools').waitFor();
  assert.equal(await page.getByLabel('Name', { exact: true }).inputValue(), 'Meeting notes');
  assert.match(await page.getByLabel('Description').inputValue(), /meeting notes/);

  const other = await world.create('Taken name');
  await page.getByLabel('Name', { exact: true }).fill('Taken name');
  await page.getByText('More fields').click();
  await page.getByLabel('Version').fill('one');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.locator('#field-version-errors').waitFor();
  assert.deepEqual(await page.locator('[aria-invalid=true]').evaluateAll(inputs => inputs.map(({ name }) => name)), ['name', 'version']);
  await page.judge('a form with errors');
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('name')), 'name');
  await page.getByLabel('Name', { exact: true }).fill('Our notes');
  await page.getByLabel('Version').fill('1.2.0');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByRole('heading', { name: 'Our notes' }).waitFor();
  await page.getByText('No tools are known yet.').waitFor();
  await page.waitForTimeout(500);
  // The first check has nothing to move, so that its result needs no button.
  await world.check(new URL(page.url()).pathname.split('/').at(-1));
  await page.getByText('find_notes').first().click();
  const argument = page.getByRole('listitem').filter({ hasText: /^words string/ });
  await argument.getByText('required').waitFor();
  await argument.getByText('The words to find').waitFor();
  await page.getByText('reads only').waitFor();
  await page.locator('.tools details[open]').getByText('JSON Schema').first().click();
  await page.judge('a connector with tools');
  page.state.isAway = true;
  await page.route('**/graphql', route => route.abort());
  await page.getByRole('button', { name: 'Check now' }).click();
  await page.getByText('The service does not answer.').waitFor();
  await page.unroute('**/graphql');
  await page.waitForTimeout(300);
  page.state.isAway = false;
  const id = new URL(page.url()).pathname.split('/').at(-1);
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('dialog', { name: 'Delete Our notes?' }).getByRole('button', { name: 'Delete' }).click();
  await page.getByText('5 connectors', { exact: true }).or(page.getByText('6 connectors', { exact: true })).waitFor();
  assert.ok(!(await names(page)).includes('Our notes'), id);
  await page.done();
  await world.remove(other.id);
}

/** All tools of a server are reached, a page after the other, and so are all changes. */
export async function manyTools(world, size) {
  const tools = Array.from({ length: 250 }, (_, index) => ({ name: `tool_${1000 + index}`, inputSchema: { type: 'object' } }));
  const server = await startMcp(await freePort(), tools);
  const { id } = await world.create('Server of many', server.url, 'ORGANIZATION');
  await world.check(id);
  for (let change = 0; change < 12; change += 1) await world.update(world.tokens.ann, { id, description: `Change ${change}` });
  const page = await open(world.browser, world.origin, '/', size);
  await signIn(page, world.tokens.ann);
  await page.getByRole('link', { name: 'Server of many', exact: true }).click();
  const list = page.getByRole('region', { name: /^Tools/ });
  await list.getByText('252', { exact: true }).waitFor();
  for (const shown of [20, 120, 220]) {
    await page.waitForFunction(shown => document.querySelectorAll('.tools > li').length === shown, shown);
    await list.getByRole('button', { name: 'More tools' }).click();
  }
  await list.getByText('tool_1249').waitFor();
  assert.equal(await list.getByRole('button', { name: 'More tools' }).count(), 0);
  const history = page.getByRole('region', { name: 'History' });
  await history.getByRole('button', { name: 'Older changes' }).click();
  await history.getByText('Added by you').waitFor();
  await page.done();
  await world.remove(id);
  server.stop();
}

/** A short schema may describe more than a page can show, and may refer to itself. */
export async function largeSchemas(world, size) {
  const refer = (count, to) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`part_${index}`, { $ref: to }]));
  const tool = (name, properties, part) => ({ name, inputSchema: { type: 'object', properties, $defs: { part } } });
  const itself = { $ref: '#/$defs/part' };
  const many = Array.from({ length: 40 }, () => itself);
  const tools = [
    tool('grows', { root: itself }, { type: 'object', properties: refer(12, '#/$defs/part') }),
    tool('chooses', refer(30, '#/$defs/part'), { anyOf: many }),
    tool('joins', refer(30, '#/$defs/part'), { allOf: many, properties: refer(200, '#/$defs/part') }),
  ];
  const server = await startMcp(await freePort(), tools);
  const { id } = await world.create('Server of schemas', server.url, 'ORGANIZATION');
  await world.check(id);
  const page = await open(world.browser, world.origin, `/connectors/${id}`, size);
  await page.getByText('There is no connector here').waitFor();
  await signIn(page, world.tokens.ann);
  for (const { name } of tools) {
    const shown = page.locator('.tools > li').filter({ hasText: name });
    await shown.locator('summary').first().click();
    await shown.getByText(name === 'grows' ? 'root' : 'part_0', { exact: true }).first().waitFor();
    assert.ok((await shown.locator('.argument').count()) <= 200, name);
  }
  await page.getByText('There are more arguments').first().waitFor();
  await page.done();
  await world.remove(id);
  server.stop();
}

/** Two people edit at once: the second sees both values, and who changed what. */
export async function edit(world, size) {
  const { id } = await world.create('Shared notes', undefined, 'ORGANIZATION');
  const page = await open(world.browser, world.origin, `/connectors/${id}`, size);
  await page.getByText('There is no connector here').waitFor();
  await signIn(page, world.tokens.ann);
  await page.getByRole('link', { name: 'Edit' }).click();
  await page.getByLabel('Name', { exact: true }).fill('Our shared notes');
  await world.update(world.tokens.admin, { id, name: 'Their notes', category: 'DESIGN' });
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Somebody else changed it meanwhile').waitFor();
  await page.getByText('Changed by root').waitFor();
  await page.judge('a conflict');
  const name = page.getByRole('group', { name: 'Name' });
  assert.ok(await name.getByRole('radio', { name: /Yours/ }).isChecked());
  await page.getByRole('button', { name: 'Save what is chosen' }).click();
  await page.getByRole('heading', { name: 'Our shared notes' }).waitFor();
  const { personalConnector } = await world.service.query(world.tokens.ann, 'query($id: ID!) { personalConnector(id: $id) { name category } }', { id });
  assert.deepEqual(personalConnector, { name: 'Our shared notes', category: 'DESIGN' });

  // Who changed this?
  const history = page.getByRole('region', { name: 'History' });
  await history.getByText('Changed by you').waitFor();
  await history.getByText('Changed by root').waitFor();
  await history.getByText('Their notes → Our shared notes').waitFor();
  // Numbers that a browser would round are not offered for change, and stay.
  await page.getByRole('link', { name: 'Edit' }).click();
  await page.getByText('More fields').click();
  await page.getByLabel('Metadata').fill('{"id": 9007199254740993}');
  await page.getByText('more digits than a browser keeps').waitFor();
  assert.ok(await page.getByRole('button', { name: 'Save' }).isDisabled());
  await page.getByRole('link', { name: 'Cancel' }).click();
  await page.getByRole('heading', { name: 'Our shared notes' }).waitFor();

  await page.getByRole('button', { name: 'Set status' }).click();
  const dialog = page.getByRole('dialog', { name: 'Status of Our shared notes' });
  await dialog.getByRole('radio', { name: 'Deprecated' }).check();
  await dialog.getByLabel('Notice').fill('Use GitHub');
  await dialog.getByLabel('Replaced by').fill('github');
  await dialog.getByRole('button', { name: 'GitHub' }).waitFor();
  await page.keyboard.press('Enter');
  await dialog.getByRole('strong').filter({ hasText: 'GitHub' }).waitFor();
  await page.judge('the dialog of the status');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await page.getByText('This connector is deprecated.').waitFor();
  await page.getByRole('link', { name: 'GitHub' }).waitFor();
  await page.done();
  await world.remove(id);
}

/** Changes of others wait behind a pill, and nothing moves. A lost connection is told, and what was missed arrives. */
export async function live(world, size) {
  const page = await open(world.browser, world.origin, '/', size);
  await signIn(page, world.tokens.ann);
  await page.getByText('5 connectors', { exact: true }).waitFor();
  await page.waitForTimeout(500);
  const before = await names(page);
  const { id } = await world.create('A newcomer', undefined, 'ORGANIZATION');
  await page.getByRole('button', { name: '1 change: show' }).waitFor();
  assert.deepEqual(await names(page), before);
  await page.judge('the list with a pill');
  await page.getByRole('button', { name: '1 change: show' }).click();
  await lists(page, ['A newcomer', ...before]);

  page.state.isAway = true;
  await world.service.end();
  await page.getByText('Live updates are interrupted').waitFor();
  await world.service.run();
  await world.update(world.tokens.admin, { id, name: 'A newcomer of note' });
  await page.getByText('Live updates have resumed.').waitFor();
  page.state.isAway = false;
  await page.getByRole('button', { name: '1 change: show' }).click();
  await lists(page, ['A newcomer of note', ...before]);

  // The page of a connector tells the same.
  await page.getByRole('link', { name: 'A newcomer of note' }).click();
  await page.getByRole('heading', { name: 'A newcomer of note' }).waitFor();
  await page.waitForTimeout(500);
  await world.update(world.tokens.admin, { id, description: 'Arrived' });
  await page.getByRole('button', { name: 'It changed: show' }).click();
  await page.getByText('Arrived', { exact: true }).first().waitFor();
  await page.done();
  await world.remove(id);
}

/** Every text is in the language of the browser, or in the chosen one. */
export async function languages(world, size) {
  const page = await open(world.browser, world.origin, '/', { ...size, locale: 'de-CH' });
  await page.getByText('5 Konnektoren', { exact: true }).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.lang), 'de');
  await page.judge('the list in German');
  await page.getByLabel('Sprache').focus();
  await page.keyboard.press('E');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('dialog', { name: 'Sign in' }).waitFor();
  await page.judge('the dialog to sign in');
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'token');
  await page.keyboard.press('Escape');
  await page.reload();
  await page.getByText('5 connectors', { exact: true }).waitFor();
  await page.done();
}

/** Administrators change many at once. */
export async function changeMany(world, size) {
  const page = await open(world.browser, world.origin, '/', size);
  await signIn(page, world.tokens.admin, 'root');
  for (const name of ['GitHub', 'Jira']) await page.getByRole('checkbox', { name: `Select ${name}` }).check();
  const bulk = page.getByRole('group', { name: '2 connectors selected' });
  await page.judge('a selection');
  await bulk.getByRole('button', { name: 'Set category' }).click();
  const category = page.getByRole('dialog', { name: '2 connectors selected' });
  await category.getByLabel('Category').selectOption('Communication');
  await category.getByRole('button', { name: 'Save' }).click();
  await row(page, 'Jira').getByText('Communication').waitFor();
  await row(page, 'GitHub').getByText('Communication').waitFor();

  for (const [status, notice] of [['Maintenance', 'Back at noon'], ['Active', '']]) {
    for (const name of ['GitHub', 'Jira']) await page.getByRole('checkbox', { name: `Select ${name}` }).check();
    await bulk.getByRole('button', { name: 'Set status' }).click();
    await page.getByRole('radio', { name: status }).check();
    await page.getByLabel('Notice').fill(notice);
    await page.judge('the dialog of many statuses');
    await page.getByRole('button', { name: 'Save' }).click();
    await row(page, 'Jira').getByText(status).waitFor();
  }

  // An administrator restores the category of the file.
  for (const name of ['GitHub', 'Jira']) await page.getByRole('checkbox', { name: `Select ${name}` }).check();
  await bulk.getByRole('button', { name: 'Set category' }).click();
  await category.getByRole('button', { name: 'Save' }).click();
  await row(page, 'GitHub').getByText('Development').waitFor();
  await page.done();
}

/** A file is tried, then imported, and the list is saved as CSV and JSON. */
export async function transfer(world, size) {
  const page = await open(world.browser, world.origin, '/import', size);
  await page.getByText('Sign in to do this.').waitFor();
  await signIn(page, world.tokens.admin, 'root');
  const server = { name: `com.example/tasks-${size.width}`, description: 'Tasks, "quoted", and more', version: '1.0.0' };
  await page.getByText('Custom connectors become those of acme').waitFor();
  page.state.isAway = true;
  await page.getByLabel('Or its text').evaluate(element => {
    Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set.call(element, ' '.repeat(2 << 20).concat('{}'));
    element.dispatchEvent(new Event('input', { bubbles: true }));
  });
  await page.getByRole('button', { name: 'Try without writing' }).click();
  await page.getByText('The text has 2 MiB, which is more than the service takes at once.').waitFor();
  page.state.isAway = false;
  await page.getByLabel('File').setInputFiles({ name: 'a.json', mimeType: 'application/json', buffer: Buffer.from(JSON.stringify([server, { name: 7 }])) });
  await page.getByRole('button', { name: 'Try without writing' }).click();
  await page.getByRole('heading', { name: 'Of 2 objects, an import would make:' }).waitFor();
  await page.getByText('Rejected', { exact: true }).waitFor();
  await page.judge('a dry run');
  await page.getByRole('button', { name: 'Import', exact: true }).click();
  await page.getByRole('heading', { name: 'Imported 2 objects:' }).waitFor();
  await page.getByRole('link', { name: 'All connectors' }).click();
  await page.getByRole('searchbox', { name: 'Search connectors' }).fill(`tasks-${size.width}`);
  await lists(page, [`tasks-${size.width}`]);
  const download = async name => {
    const waiting = page.waitForEvent('download');
    await page.getByRole('button', { name }).click();
    return readFileSync(await (await waiting).path(), 'utf8');
  };
  const [head, line, end] = (await download('CSV')).split('\r\n');
  assert.match(head, /^\uFEFFid,name,type,/);
  assert.match(line, /^pcon_\w+,tasks-\d+,OFFICIAL,.*,"Tasks, ""quoted"", and more"$/);
  assert.equal(end, '');
  const [item, ...others] = JSON.parse(await download('JSON'));
  assert.deepEqual([item.name, item.description, others.length], [`tasks-${size.width}`, 'Tasks, "quoted", and more', 0]);
  await page.done();
}

/** Everything is reached by keys: the palette, a connector, and back. */
export async function keyboard(world, size) {
  const page = await open(world.browser, world.origin, '/', size);
  await page.getByRole('row').nth(1).waitFor();
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Skip to the content');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'main');
  await page.keyboard.press('Control+K');
  const box = page.getByRole('combobox', { name: 'Go to' });
  // Enter waits for the answer to what is typed.
  await page.route('**/graphql', async route => {
    if (route.request().postData()?.includes('ConsolePalette')) await page.waitForTimeout(700);
    await route.continue();
  });
  await box.pressSequentially('ji');
  await page.getByRole('option', { name: /^Jira/ }).waitFor();
  await box.fill('figm');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Figma' }).waitFor();
  await page.unroute('**/graphql');
  await page.goBack();
  await page.getByRole('row').nth(1).waitFor();
  await page.keyboard.press('Control+K');
  await box.pressSequentially('figm');
  await page.getByRole('option', { name: /^Figma/ }).waitFor();
  await page.judge('the palette');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Figma' }).waitFor();
  await page.keyboard.press('Control+K');
  await box.waitFor();
  await page.keyboard.press('ArrowDown');
  assert.equal(await page.getByRole('listbox').getByRole('option', { selected: true }).textContent(), 'What is broken ');
  await page.keyboard.press('Enter');
  await page.getByText('No connector matches.').waitFor();
  assert.equal(parameters(page).outcome, 'WRONG_TRANSPORT,NOT_MCP,UNREACHABLE,TIMEOUT');
  await page.done();
}

/** Behind a proxy that serves it under a prefix, every page works, and so do links to it, changes and GraphiQL's address. */
export async function prefix(world, size) {
  const proxy = await startProxy(world.origin, '/catalogue/');
  const page = await open(world.browser, proxy.origin, '/catalogue/?q=figma', size);
  await lists(page, ['Figma']);
  await page.getByRole('link', { name: 'Figma', exact: true }).click();
  await page.getByRole('heading', { name: 'Figma' }).waitFor();
  assert.match(page.url(), /\/catalogue\/connectors\/pcon_figma$/);
  await page.reload();
  await page.getByRole('heading', { name: 'Figma' }).waitFor();
  await page.getByRole('link', { name: 'All connectors' }).click();
  await signIn(page, world.tokens.ann);
  await page.getByRole('row').nth(1).waitFor();
  await page.waitForTimeout(500);
  const { id } = await world.create('From elsewhere', undefined, 'ORGANIZATION');
  await page.getByRole('button', { name: '1 change: show' }).waitFor();
  await page.done();
  proxy.stop();
  await world.remove(id);
}
