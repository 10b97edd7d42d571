// A browser in which every host but the service's is out of reach, and which collects what a page complains of.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export async function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
    ],
  });
}

/** Opens a page, which is judged when it is closed. */
export async function open(browser, origin, path, { width = 1440, height = 900, colorScheme = 'light', locale = 'en-GB', others = [], stub, ...more } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, locale, ...more });
  const complaints = [];
  // While the service is away, requests fail, and the browser says so.
  const state = { isAway: false, isLeaving: false };
  const complain = text => state.isAway || complaints.push(text);
  await context.route(
    url => url.origin !== origin && !others.includes(url.origin),
    route => {
      if (route.request().url().startsWith(stub)) return route.fulfill({ contentType: 'text/css', body: '' });
      complain(`asked for ${route.request().url()}`);
      return route.abort();
    },
  );
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', event => console.error(`the policy refused ${event.violatedDirective} ${event.blockedURI}`));
    globalThis.shift = 0;
    globalThis.moved = [];
    new PerformanceObserver(list => {
      for (const { value, hadRecentInput, sources } of list.getEntries()) {
        if (hadRecentInput) continue;
        globalThis.shift += value;
        globalThis.moved.push(...sources.map(({ node }) => `${node?.nodeName} ${node?.textContent?.slice(0, 40)}`));
      }
    }).observe({ type: 'layout-shift', buffered: true });
  });
  const page = await context.newPage();
  page.on('console', message => message.type() === 'error' && complain(`console: ${message.text()}`));
  page.on('pageerror', error => complain(`error: ${error.stack}`));
  page.on('response', response => response.status() >= 400 && complain(`${response.status()}: ${response.url()}`));
  page.on('requestfailed', request => {
    const { errorText } = request.failure() ?? {};
    // A search is given up when another letter follows.
    if (errorText !== 'net::ERR_ABORTED') complain(`failed: ${request.url()} ${errorText}`);
  });
  await page.goto(origin + path);
  return Object.assign(page, {
    state,
    /** Nothing is wrong with the page as it is now. */
    async judge(name) {
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
      const told = grave.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join('\n')}`);
      assert.deepEqual(told, [], `axe on ${name}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `${name} is ${wide} px too wide`);
      const { shift, moved } = await page.evaluate(() => ({ shift: globalThis.shift, moved: globalThis.moved }));
      assert.ok(shift <= 0.05, `the layout of ${name} shifts by ${shift}: ${moved.join('; ')}`);
    },
    async done() {
      state.isLeaving = true;
      await context.close();
      assert.deepEqual(complaints, []);
    },
  });
}
