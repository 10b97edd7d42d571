// The pictures of the pages: a catalogue with something in each state, in a folder.

import { open } from './page.mjs';

const CONNECTORS = [
  ['Team calendar', 'Finds free times, and invites people to meetings.', 'PRODUCTIVITY'],
  ['Release notes', 'Writes the notes of a release from its merged changes.', 'DEVELOPMENT'],
  ['Customer mail', 'Reads and answers the mail of customers.', 'COMMUNICATION'],
  ['Icon library', 'Searches the icons of the design system.', 'DESIGN'],
];

export async function takePictures(world, folder) {
  const { service, tokens, mcp } = world;
  const ids = [];
  const check = id => service.query(tokens.ann, 'mutation($id: ID!) { checkConnector(input: {id: $id}) { userErrors { message } } }', { id });
  for (const [index, [name, description, category]] of CONNECTORS.entries()) {
    const { id } = await world.create(name, index === 2 ? world.down : mcp.url, 'ORGANIZATION');
    await world.update(tokens.ann, { id, description, category });
    await check(id);
    ids.push(id);
  }
  const [calendar, , , icons] = ids;
  const status = 'mutation($input: SetConnectorStatusInput!) { setConnectorStatus(input: $input) { userErrors { message } } }';
  await service.query(tokens.ann, status, { input: { id: icons, status: 'DEPRECATED', replacedById: 'pcon_figma' } });
  await world.update(tokens.admin, { id: calendar, name: 'Calendar of the team' });

  const shoot = async (name, path, size, prepare = async () => undefined) => {
    const page = await open(world.browser, world.origin, '/', size);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('textbox', { name: 'Token' }).fill(tokens.ann);
    await page.getByRole('button', { name: 'Use the token' }).click();
    await page.getByText('9 connectors', { exact: true }).waitFor();
    if (path) await page.getByRole('link', { name: path, exact: true }).click();
    await prepare(page);
    await page.evaluate(() => document.activeElement?.blur());
    await page.waitForTimeout(500);
    await page.screenshot({ path: `${folder}/${name}.png` });
    await page.done();
  };
  await shoot('console', null, { width: 1440, height: 620 });
  await shoot('console-connector', 'Calendar of the team', { width: 1440, height: 900 }, page => page.getByText('find_notes').click());
  await shoot('console-narrow', null, { width: 360, height: 740, colorScheme: 'dark' });
  for (const id of ids) await world.remove(id);
}
