// Steps that several flows take.

/** The row of a connector. */
export const row = (page, name) => page.getByRole('row').filter({ has: page.getByRole('link', { name, exact: true }) });
export const names = page => page.locator('.connectors .name').allTextContents();
export const parameters = page => Object.fromEntries(new URL(page.url()).searchParams);

/** The list is what is expected, once it is read. */
export async function lists(page, expected) {
  await page.waitForFunction(
    expected => {
      const found = [...document.querySelectorAll('.connectors .name')].map(({ textContent }) => textContent);
      return JSON.stringify(found) === JSON.stringify(expected);
    },
    expected,
  );
}

/** The checkbox of a value in a menu. */
export async function facet(page, menu, value) {
  const filters = page.locator('details.filters');
  if (!(await filters.evaluate(element => element.open))) await filters.locator('summary').click();
  return page.getByRole('group', { name: menu, exact: true }).getByRole('checkbox', { name: new RegExp(`^${value}`) });
}

/** Signs in with a token, by the button in the header or another one, on a page in English or in the language of `t`. */
export async function signIn(page, token, name = 'ann', { button, t } = {}) {
  const banner = page.getByRole('banner');
  await (button ?? banner.getByRole('button', { name: 'Sign in' })).click();
  await page.locator('#token').fill(token);
  await page.getByRole('button', { name: t?.session.useToken ?? 'Use the token' }).click();
  await banner.getByRole('button', { name, exact: true }).waitFor();
}
