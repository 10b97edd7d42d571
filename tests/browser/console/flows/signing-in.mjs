// Signing in at an issuer, with a service of its own that accepts the issuer's tokens.

import assert from 'node:assert/strict';
import { RESOURCE, startIssuer } from '../issuer.mjs';
import { open } from '../page.mjs';
import { freePort, start } from '../service.mjs';

export async function signAtIssuer(browser, program) {
  const [port, issuerPort] = [await freePort(), await freePort()];
  const provider = await startIssuer(issuerPort, `http://127.0.0.1:${port}/signed-in`);
  const service = await start(program, {
    port,
    hasSecret: false,
    flags: [
      ...['--jwks', `${provider.issuer}/jwks`, '--jwt-issuer', provider.issuer, '--jwt-audience', RESOURCE],
      ...['--console-issuer', provider.issuer, '--console-client-id', 'console', '--console-resource', RESOURCE],
    ],
  });
  // The form of oidc-provider is written in a font of another host.
  const others = [provider.issuer];
  const stubs = [{ address: 'https://fonts.googleapis.com/', response: { contentType: 'text/css', body: '' } }];
  const page = await open(browser, service.origin, '/?q=figma', { others, stubs });
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.judge('the dialog to sign in at an issuer');
  await page.getByRole('button', { name: /^Sign in at 127/ }).click();
  await page.getByPlaceholder('Enter any login').fill('ann');
  await page.getByPlaceholder('and password').fill('any');
  await page.getByRole('button', { name: 'Sign-in' }).click();
  await page.getByRole('button', { name: 'Continue' }).click();
  // Back at the page that was left, with the issuer's token.
  await page.getByRole('button', { name: 'ann', exact: true }).waitFor();
  assert.equal(page.url(), `${service.origin}/?q=figma`);
  const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
  assert.ok(!stored.includes('eyJ'), 'a token was stored');

  // A reload signs in again without a question.
  await page.goto(`${service.origin}/connectors/pcon_github`);
  await page.getByRole('button', { name: 'ann', exact: true }).waitFor();
  assert.equal(page.url(), `${service.origin}/connectors/pcon_github`);

  // After a sign-out the issuer asks who it is.
  await page.getByRole('button', { name: 'ann', exact: true }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: /^Sign in at 127/ }).click();
  await page.getByPlaceholder('Enter any login').fill('ann');

  // An answer that is not of this sign-in is refused, and says so.
  await page.goto(`${service.origin}/signed-in?error=access_denied&state=another`);
  await page.getByText('The sign-in failed: the answer is of another sign-in').waitFor();
  await page.judge('a sign-in that failed');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: /^Sign in at 127/ }).click();
  await page.getByPlaceholder('Enter any login').fill('ann');
  await page.getByPlaceholder('and password').fill('any');
  await page.getByRole('button', { name: 'Sign-in' }).click();
  await page.getByRole('button', { name: 'ann', exact: true }).waitFor();
  assert.equal(page.url(), `${service.origin}/connectors/pcon_github`);

  // The issuer no longer knows its user: the page is one for anonymous callers, and does not try again.
  await page.context().clearCookies();
  await page.reload();
  await page.getByRole('button', { name: 'Sign in' }).waitFor();
  await page.getByRole('heading', { name: 'GitHub' }).waitFor();
  assert.equal(page.url(), `${service.origin}/connectors/pcon_github`);
  await page.done();
  await service.stop();
  provider.stop();
  console.log('signing in at an issuer');
}
