// A page of the console, which is judged as it is, and complains of what was wrong when it is closed.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { watched } from '../browser.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Opens a page. While the service or the sign-in is away, requests fail, and the browser says so. */
export async function open(browser, origin, path, options = {}) {
  const { width = 1440, height = 900, colorScheme = 'light', locale = 'en-GB', others, stubs, isAway = false, ...more } = options;
  const complaints = [];
  const state = { isAway };
  const page = await watched(browser, {
    origin,
    others,
    stubs,
    complain: text => state.isAway || complaints.push(text),
    // A search is given up when another letter follows.
    isExcused: (_request, errorText) => errorText === 'net::ERR_ABORTED',
    context: { viewport: { width, height }, colorScheme, locale, ...more },
  });
  await page.addInitScript(() => {
    globalThis.shift = 0;
    globalThis.moved = [];
    new PerformanceObserver(list => {
      for (const { value, hadRecentInput, sources } of list.getEntries()) {
        if (hadRecentInput) continue;
        globalThis.shift += value;
        globalThis.moved.push(...sources.map(({ node, previousRect, currentRect }) => {
          const [from, to] = [previousRect, currentRect].map(({ x, y }) => `${Math.round(x)},${Math.round(y)}`);
          return `${node?.nodeName} ${node?.textContent?.slice(0, 40)} from ${from} to ${to}`;
        }));
      }
    }).observe({ type: 'layout-shift', buffered: true });
  });
  await page.goto(origin + path);
  return Object.assign(page, {
    state,
    /** Nothing is wrong with the page as it is now. */
    async judge(name) {
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
      const told = grave.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('\n')}`);
      assert.deepEqual(told, [], `axe on ${name}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `${name} is ${wide} px too wide`);
      const { shift, moved } = await page.evaluate(() => ({ shift: globalThis.shift, moved: globalThis.moved }));
      assert.ok(shift <= 0.05, `the layout of ${name} shifts by ${shift}: ${moved.join('; ')}`);
    },
    async done() {
      await page.context().close();
      assert.deepEqual(complaints, []);
    },
  });
}
