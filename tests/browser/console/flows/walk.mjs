// A walk through all pages and dialogs of the console, in any language.

import { signIn } from './steps.mjs';

/** Goes to a path without a reload, which would forget the token. */
export const go = (page, path) =>
  page.evaluate(path => {
    history.pushState(null, '', path);
    dispatchEvent(new PopStateEvent('popstate'));
  }, path);

/** Visits what there is. `t` has the texts of the page's language; `look` is called with the name of each view. */
export async function walk(world, page, t, look) {
  const { id } = await world.create('Walk notes', undefined, 'ORGANIZATION');
  const { id: other } = await world.create('Walk down', world.down, 'ORGANIZATION');
  const { id: program } = await world.create('Walk later', undefined, 'ORGANIZATION');
  await world.check(id);
  await world.check(other);
  const dialog = page.getByRole('dialog');
  const close = async () => {
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
  };
  const row = name => page.getByRole('row').filter({ has: page.getByRole('link', { name, exact: true }) });

  await row('GitHub').waitFor();
  await look('list-anonymous');
  await page.getByRole('banner').getByRole('button', { name: t.session.signIn }).click();
  await look('sign-in');
  await close();
  await go(page, '/connectors/new');
  await page.getByText(t.rights.signInFirst).waitFor();
  await look('add-anonymous');
  await go(page, '/connectors/pcon_github');
  await page.getByText(t.rights.whyNot).click();
  await look('connector-anonymous');
  await go(page, '/nothing/of/this/name');
  await page.getByText(t.page.notFound).waitFor();
  await look('not-found');
  await go(page, '/connectors/pcon_nothing');
  await page.getByText(t.connector.gone).waitFor();
  await look('gone');
  await go(page, '/?q=nothingofthisname');
  await page.getByText(t.browse.nothing).waitFor();
  await look('nothing');

  await go(page, '/');
  const named = { button: page.getByRole('banner').getByRole('button', { name: t.session.signIn }), t };
  await signIn(page, world.tokens.admin, 'root', named);
  await row('Walk notes').waitFor();
  await look('list');
  await page.getByRole('banner').getByRole('button', { name: 'root', exact: true }).click();
  await look('account');
  await close();
  for (const name of ['GitHub', 'Walk notes']) await page.getByRole('checkbox', { name: t.browse.select(name) }).check();
  await page.getByText(t.rights.whyNot).click();
  await look('selection');
  await page.getByRole('checkbox', { name: t.browse.select('GitHub') }).uncheck();
  const bulk = page.getByRole('group', { name: t.browse.selected(1) });
  for (const [button, name] of [[t.edit.setStatus, 'many-statuses'], [t.edit.delete, 'many-deleted']]) {
    await bulk.getByRole('button', { name: button }).click();
    await look(name);
    await close();
  }
  await bulk.getByRole('button', { name: t.browse.unselect }).click();

  await page.getByRole('link', { name: 'Walk notes', exact: true }).click();
  await page.getByText('find_notes').first().click();
  await page.locator('.tools details[open]').getByText(t.tools.raw).first().click();
  await look('connector');
  await page.getByRole('button', { name: t.connector.check }).click();
  await page.getByText(t.health.checksList).click();
  await page.getByRole('button', { name: t.edit.setStatus }).click();
  await dialog.getByRole('radio', { name: t.labels.status.DEPRECATED }).check();
  await dialog.getByLabel(t.labels.field.REPLACED_BY).fill('git');
  await dialog.getByRole('button', { name: 'GitHub' }).waitFor();
  await look('status');
  await dialog.getByRole('button', { name: 'GitHub' }).click();
  await dialog.getByRole('button', { name: t.edit.save }).click();
  await page.getByText(t.connector.deprecated).waitFor();
  await page.getByRole('button', { name: t.edit.delete }).click();
  await look('delete');
  await close();
  await look('connector-deprecated');
  await go(page, `/connectors/${other}`);
  await page.getByText(t.labels.outcome.UNREACHABLE).first().waitFor();
  await look('connector-down');
  await go(page, `/connectors/${program}`);
  await page.getByText(t.tools.never).waitFor();
  await look('connector-unchecked');
  await go(page, '/connectors/pcon_figma');
  await page.getByRole('button', { name: t.edit.setCategory }).click();
  await look('category');
  await close();

  await go(page, `/connectors/${id}/edit`);
  const name = page.getByLabel(t.labels.field.NAME, { exact: true });
  await name.fill('');
  await page.getByText(t.edit.more).click();
  await page.getByLabel(t.labels.field.VERSION).fill('one');
  await page.getByRole('button', { name: t.edit.save }).click();
  await page.locator('[aria-invalid=true]').first().waitFor();
  await look('edit');
  await name.fill('Walk notes of mine');
  await page.getByLabel(t.labels.field.VERSION).fill('1.0.0');
  await world.update(world.tokens.ann, { id, name: 'Walk notes of ann', category: 'DESIGN', description: 'Changed meanwhile' });
  await page.getByRole('button', { name: t.edit.save }).click();
  await page.getByText(t.edit.conflict).waitFor();
  await look('conflict');

  await go(page, '/import');
  const text = JSON.stringify([{ name: 'com.example/walk', description: 'Walks', version: '1.0.0' }, { name: 7 }]);
  await page.getByLabel(t.transfer.text).fill(text);
  await page.getByRole('button', { name: t.transfer.tryIt }).click();
  await page.getByRole('heading', { name: t.transfer.wouldBe(2) }).waitFor();
  await look('import');
  await page.keyboard.press('Control+K');
  await page.getByRole('combobox', { name: t.palette.title }).fill('fig');
  await page.getByRole('option', { name: /Figma/ }).waitFor();
  await look('palette');
  await close();

  await go(page, '/connectors/new');
  await page.getByLabel(t.labels.field.SERVER_URL).fill(world.mcp.url);
  await page.getByText(t.tools.count(2)).waitFor();
  await look('add');
  for (const one of [id, other, program]) await world.remove(one);
}
