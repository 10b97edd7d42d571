// A sign-in that ends, and services that are set up in another way: icons of other hosts, reading only, trusted documents.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from '../page.mjs';
import { start } from '../service.mjs';
import { lists, row, signIn } from './steps.mjs';
import { go } from './walk.mjs';

const banner = page => page.getByRole('banner');

/** The page notices that its token has expired, and signs in again over what is typed. */
async function signInAgain(page, world) {
  await page.getByText('Your sign-in has expired.').waitFor({ timeout: 15_000 });
  page.state.isAway = false;
  await page.getByRole('button', { name: 'Sign in again' }).click();
  await page.getByRole('textbox', { name: 'Token' }).fill(world.tokens.ann);
  await page.getByRole('button', { name: 'Use the token' }).click();
  await banner(page).getByRole('button', { name: 'ann', exact: true }).waitFor();
}

/** Nothing that is typed is lost when a token expires, and the same user signs in again. */
export async function expiry(world, size) {
  const { id } = await world.create('Notes of Ann');
  for (const [path, change, button] of [
    ['/connectors/new', page => page.getByLabel('Name', { exact: true }).fill('Typed for long'), 'Add'],
    [`/connectors/${id}/edit`, page => page.getByLabel('Description').fill('Typed for long'), 'Save'],
  ]) {
    const page = await open(world.browser, world.origin, '/', size);
    await signIn(page, await world.service.token('ann', ['connectors:write'], '6s'));
    await page.getByRole('row').nth(1).waitFor();
    await go(page, path);
    await change(page);
    await page.getByLabel('Server address').fill(world.mcp.url);
    page.state.isAway = true;
    await page.waitForTimeout(6500);
    await page.getByRole('button', { name: button, exact: true }).click();
    await page.getByText('Your sign-in has expired.').waitFor();
    await page.judge('an expired sign-in');
    await signInAgain(page, world);
    await page.getByRole('button', { name: button, exact: true }).click();
    await page.getByRole('heading', { name: button === 'Add' ? 'Typed for long' : 'Notes of Ann' }).waitFor();
    if (button === 'Save') await page.getByText('Typed for long').first().waitFor();
    else await world.remove(new URL(page.url()).pathname.split('/').at(-1));
    await page.done();
  }
  await world.remove(id);
}

/** After a sign-out nothing of the last user is on the page, even if the service does not answer. */
export async function signOut(world, size) {
  const { id } = await world.create('Secret of Ann');
  const page = await open(world.browser, world.origin, '/', size);
  await signIn(page, world.tokens.ann);
  await page.getByRole('link', { name: 'Secret of Ann' }).click();
  await page.getByRole('heading', { name: 'Secret of Ann' }).waitFor();
  page.state.isAway = true;
  await page.route('**/graphql', route => route.abort());
  await banner(page).getByRole('button', { name: 'ann', exact: true }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await banner(page).getByRole('button', { name: 'Sign in' }).waitFor();
  const left = await page.evaluate(() => document.title + document.body.textContent);
  assert.ok(!left.includes('Secret of Ann'), left);
  await page.getByText('The service does not answer.').waitFor();
  await page.unroute('**/graphql');
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByText('There is no connector here').waitFor();
  page.state.isAway = false;
  await page.done();
  await world.remove(id);
}

const PIXEL = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

/** Icons of other hosts are loaded only under the setting. */
export async function icons(world, size) {
  // The setting makes no difference to narrow pages.
  if (size.width < 1000) return;
  const icon = 'https://icons.example.com/notes.png';
  for (const isOn of [false, true]) {
    const service = await start(world.program, { postgres: world.postgres, flags: ['--console-icons', String(isOn)] });
    const token = await service.token('ann', ['connectors:write']);
    const create = 'mutation($input: CreateCustomConnectorInput!) { createCustomConnector(input: $input) { userErrors { message } } }';
    const { createCustomConnector } = await service.query(token, create, { input: { name: 'With an icon', serverUrl: 'https://a.example.com/mcp', iconUrl: icon } });
    assert.deepEqual(createCustomConnector.userErrors, []);
    const asked = [];
    const stubs = isOn ? [{ address: 'https://', response: { contentType: 'image/png', body: PIXEL } }] : [];
    const page = await open(world.browser, service.origin, '/', { stubs });
    page.on('request', request => new URL(request.url()).origin !== service.origin && asked.push(request.url()));
    await signIn(page, token);
    const shown = row(page, 'With an icon');
    await shown.waitFor();
    if (isOn) await shown.locator('img.icon').waitFor();
    else assert.equal(await shown.locator('.icon').textContent(), 'WA');
    await page.waitForTimeout(300);
    assert.equal(asked.includes(icon), isOn);
    if (!isOn) assert.deepEqual(asked, []);
    await page.done();
    await service.stop();
  }
}

/** A service that only reads says so, and offers nothing else. */
export async function readOnly(world, size) {
  const service = await start(world.program, { postgres: world.postgres });
  const token = await service.token('root', ['connectors:write', 'connectors:admin', 'catalog:admin']);
  await service.end();
  await service.run('--read-only');
  const page = await open(world.browser, service.origin, '/', size);
  await signIn(page, token, 'root');
  await page.getByText('The service is read-only now').waitFor();
  await page.getByRole('row').nth(1).waitFor();
  assert.equal(await page.getByRole('checkbox', { name: /^Select/ }).count(), 0);
  assert.equal(await page.getByRole('link', { name: /Add a connector|Import/ }).count(), 0);
  await page.judge('a list that is only read');
  await page.getByRole('link', { name: 'GitHub', exact: true }).click();
  await page.getByRole('heading', { name: 'GitHub' }).waitFor();
  await page.getByRole('region', { name: 'History' }).waitFor();
  assert.equal(await page.getByRole('button', { name: /Check now|Set |Delete/ }).count(), 0);
  await page.judge('a connector that is only read');
  for (const path of ['/connectors/new', '/import', '/connectors/pcon_github/edit']) {
    await go(page, path);
    await page.getByRole('main').getByText('The service is read-only now').waitFor();
    assert.equal(await page.getByRole('main').getByRole('textbox').count(), 0, path);
  }
  await page.done();
  await service.stop();
}

/** A script that cannot be loaded takes nothing from the page, and is loaded later. */
export async function unloaded(world, size) {
  const page = await open(world.browser, world.origin, '/', size);
  await page.getByRole('row').nth(1).waitFor();
  page.state.isAway = true;
  await page.route('**/assets/**', route => route.abort());
  await page.getByRole('link', { name: 'Figma', exact: true }).click();
  await page.getByText('This part of the page cannot be shown').waitFor();
  await page.judge('a page whose script is missing');
  await page.keyboard.press('Control+K');
  await page.getByText('This part of the page cannot be shown').nth(1).waitFor();
  await page.unroute('**/assets/**');
  page.state.isAway = false;
  await page.getByRole('main').getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('heading', { name: 'Figma' }).waitFor();
  await page.done();
}

/** With its own manifest, the console works on a service of trusted documents, and no other document does. */
export async function trusted(world, size) {
  const folder = mkdtempSync(join(tmpdir(), 'console-'));
  const file = join(folder, 'trusted.json');
  const manifest = await (await fetch(`${world.origin}/console-documents.json`)).json();
  writeFileSync(file, JSON.stringify(manifest));
  const service = await start(world.program, {
    postgres: world.postgres,
    flags: ['--trusted-documents', file, '--mcp-allow', '127.0.0.1'],
  });
  const refused = await fetch(`${service.origin}/graphql`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ query: '{ viewer { userId } }' }),
  });
  assert.equal((await refused.json()).errors[0].extensions.code, 'DOCUMENT_NOT_TRUSTED');
  const sent = new Set();
  const page = await open(world.browser, service.origin, '/', { ...size, acceptDownloads: true });
  page.on('request', request => {
    const body = request.method() === 'POST' ? request.postDataJSON() : undefined;
    if (body?.query) sent.add(/\w+ (\w+)/.exec(body.query)[1]);
  });
  page.on('websocket', socket => socket.on('framereceived', ({ payload }) => assert.ok(!String(payload).includes('NOT_TRUSTED'))));
  await signIn(page, await service.token('root', ['connectors:write', 'connectors:admin', 'catalog:admin']), 'root');
  await page.getByRole('searchbox', { name: 'Search connectors' }).fill('figma');
  await lists(page, ['Figma']);
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'JSON' }).click();
  await download;
  await page.keyboard.press('Control+K');
  await page.getByRole('combobox', { name: 'Go to' }).fill('github');
  await page.getByRole('option', { name: /^GitHub/ }).click();
  await page.getByRole('region', { name: 'History' }).waitFor();
  await page.getByRole('link', { name: 'Add a connector' }).click();
  await page.getByLabel('Server address').fill(world.mcp.url);
  await page.getByText('2 tools').waitFor();
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByRole('heading', { name: 'Meeting notes' }).waitFor();
  await page.getByRole('button', { name: 'Check now' }).click();
  await page.getByText('find_notes').first().waitFor();
  await page.getByRole('link', { name: 'Edit' }).click();
  await page.getByLabel('Description').fill('Changed');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('button', { name: 'Set status' }).click();
  await page.getByRole('radio', { name: 'Deprecated' }).check();
  await page.getByLabel('Replaced by').fill('github');
  await page.getByRole('dialog').getByRole('button', { name: 'GitHub' }).click();
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('This connector is deprecated.').waitFor();
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByText('5 connectors', { exact: true }).waitFor();
  // What is left of the manifest is of many connectors, and of imports: the other flows send the same documents.
  const operations = Object.values(manifest).map(text => /^\w+ (\w+)/.exec(text)[1]);
  assert.deepEqual([...sent].filter(name => !operations.includes(name)), []);
  const left = operations.filter(name => !sent.has(name));
  assert.deepEqual(left.sort(), ['ConsoleChanged', 'ConsoleCurate', 'ConsoleDeleteMany', 'ConsoleImport', 'ConsoleSetStatuses', 'ConsoleWhyNot']);
  await page.done();
  await service.stop();
  rmSync(folder, { recursive: true });
}

/** Where nobody reads without a sign-in, every page leads to it. */
export async function closed(world, size) {
  const service = await start(world.program, { postgres: world.postgres, flags: ['--anonymous-read', 'false'] });
  const token = await service.token('ann', ['connectors:write']);
  for (const path of ['/', '/connectors/pcon_github', '/connectors/new', '/import']) {
    const page = await open(world.browser, service.origin, path, { ...size, isAway: true });
    const button = page.getByRole('main').getByRole('button', { name: 'Sign in' });
    await button.waitFor();
    await page.judge(`${path} where reading needs a sign-in`);
    page.state.isAway = false;
    await signIn(page, token, 'ann', { button });
    await page.getByRole('main').getByRole('heading').or(page.getByRole('row')).first().waitFor();
    await page.done();
  }
  await service.stop();
}
