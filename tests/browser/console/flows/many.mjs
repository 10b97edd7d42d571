// What is done with many connectors at once.

import assert from 'node:assert/strict';
import { open } from '../page.mjs';
import { lists, names, signIn } from './steps.mjs';

const select = async (page, ...names) => {
  for (const name of names) await page.getByRole('checkbox', { name: `Select ${name}` }).check();
};

/** An owner deletes several: the page asks, and what cannot be deleted says why, while the rest is deleted. */
export async function deleteMany(world, size) {
  const [one, two, three] = await Promise.all(['One', 'Two', 'Three'].map(name => world.create(`Spare ${name}`, undefined, 'ORGANIZATION')));
  const page = await open(world.browser, world.origin, '/?q=spare', size);
  await page.getByText('No connector matches.').waitFor();
  await signIn(page, world.tokens.ann);
  await page.getByRole('row').nth(1).waitFor();
  const before = await names(page);
  assert.equal(before.length, 3);
  await select(page, 'Spare One', 'Spare Two');
  const bulk = page.getByRole('group', { name: '2 connectors selected' });
  // Not an administrator's: the category is not offered, and says why.
  assert.equal(await bulk.getByRole('button', { name: 'Set category' }).count(), 0);
  await bulk.getByText('What you may not do, and why').click();
  await bulk.getByText(/Spare One: .*Spare Two: /).waitFor();
  await page.judge('a selection of an owner');
  await bulk.getByRole('button', { name: 'Delete' }).click();
  const dialog = page.getByRole('dialog', { name: 'Delete 2 connectors?' });
  await dialog.getByText('Spare Two').waitFor();
  await page.judge('the dialog that asks before many are deleted');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await lists(page, before);

  // Another tab deletes one of them while this one asks.
  await bulk.getByRole('button', { name: 'Delete' }).click();
  await world.remove(two.id);
  await dialog.getByRole('button', { name: 'Delete' }).click();
  const left = page.getByRole('dialog', { name: 'Delete 1 connector?' });
  await left.getByText('1 connector was deleted. These were not:').waitFor();
  await left.getByRole('listitem').filter({ hasText: 'Spare Two' }).getByRole('alert').waitFor();
  await page.judge('the results of a deletion');
  await left.getByRole('button', { name: 'Cancel' }).click();
  await lists(page, ['Spare Three']);
  await page.done();
  await world.remove(three.id);
  assert.ok(one.id);
}

/** Whoever may not delete something in a selection is not offered to. */
export async function deleteNone(world, size) {
  const page = await open(world.browser, world.origin, '/', size);
  await signIn(page, world.tokens.admin, 'root');
  await select(page, 'GitHub');
  const bulk = page.getByRole('group', { name: '1 connector selected' });
  assert.equal(await bulk.getByRole('button', { name: 'Delete' }).count(), 0);
  await bulk.getByText('What you may not do, and why').click();
  await bulk.getByText('GitHub: only connectors that users added can be changed here').waitFor();
  await page.done();
}
