// All pages in German, and from right to left.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { open } from '../page.mjs';
import { sentences, shape, textsOf } from './texts.mjs';
import { walk } from './walk.mjs';

/** The texts that are the same in both languages. A new one must be added here by hand. */
const SAME = new Set([
  'direction', 'labels.status', 'labels.serverType.HTTP', 'labels.serverType.WEBSOCKET', 'labels.transport.STREAMABLE_HTTP',
  'labels.transport.WEBSOCKET', 'labels.facet.status', 'labels.facet.serverType', 'labels.field.STATUS', 'labels.field.VERSION',
  'labels.field.NAME', 'labels.visibility.ORGANIZATION', 'labels.field.ORGANIZATION_ID', 'page.api', 'session.token',
  'session.organization', 'browse.filters', 'browse.foundIn.NAME', 'browse.name', 'connector.server', 'connector.website',
  'connector.version', 'connector.id', 'connector.revision', 'connector.organization', 'health.transport', 'health.uptimeOf',
]);

/** The visible texts of a page, and those that are read out: without what others wrote. */
const shown = page =>
  page.evaluate(() => {
    const isForeign = element => element.closest('code, pre, .json, bdi, [lang=en], option[lang], .name, .excerpt, .description, .value, .connectors .what');
    const isShown = element => element.checkVisibility();
    const texts = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const text = node.textContent.trim();
      if (text && !isForeign(node.parentElement) && isShown(node.parentElement)) texts.push(text);
    }
    for (const element of document.querySelectorAll('[aria-label], [title], [placeholder]')) {
      if (!isForeign(element) && isShown(element)) texts.push(...['aria-label', 'title', 'placeholder'].map(name => element.getAttribute(name) ?? '').filter(Boolean));
    }
    return [document.title, ...texts];
  });

/** Every text of every page is German: none is that of English, the name of a text, or a constant of the schema. */
export async function german(world, size) {
  const [en, de] = await Promise.all(['en', 'de'].map(textsOf));
  const [english, translated] = [new Map(sentences(en)), new Map(sentences(de))];
  const same = [...english].filter(([path, text]) => translated.get(path) === text).map(([path]) => path);
  assert.deepEqual(same.filter(path => !SAME.has(path.replace(/\(\d\)$/, ''))), [], 'texts that are not translated');
  const words = new Set([...translated.values()].map(shape));
  const left = new Map([...english].map(([path, text]) => [shape(text), path]).filter(([text]) => !words.has(text)));
  const paths = new Set(english.keys());

  const page = await open(world.browser, world.origin, '/', { ...size, locale: 'de-CH' });
  let views = 0;
  await walk(world, page, de, async name => {
    views += 1;
    for (const text of await shown(page)) {
      const path = left.get(shape(text));
      assert.equal(path, undefined, `${name}: "${text}" is English, of ${path}`);
      assert.ok(!/\b[A-Z]{2,}_[A-Z_]+\b/.test(text) && !paths.has(text) && text !== 'undefined', `${name}: "${text}" is no text`);
    }
  });
  assert.ok(views >= 20);
  await page.done();
}

/** From right to left, nothing is too wide, and no style names a side. */
export async function rightToLeft(world, size) {
  const styles = new URL('../../../../web/src/console/styles/', import.meta.url).pathname;
  const PHYSICAL = /(?<![\w-])((margin|padding|border|inset|scroll-margin)-(left|right)|left|right|float: *(left|right)|text-align: *(left|right)|(min-|max-)?(width|height))(?= *[:;])/;
  for (const name of readdirSync(styles)) {
    const lines = readFileSync(styles + name, 'utf8').split('\n').filter(line => !line.startsWith('@media'));
    assert.deepEqual(lines.filter(line => PHYSICAL.test(line)), [], name);
  }
  const page = await open(world.browser, world.origin, '/', size);
  const turn = () =>
    page.evaluate(() => {
      document.documentElement.dir = 'rtl';
    });
  await turn();
  await walk(world, page, await textsOf('en'), async name => {
    const wide = await page.evaluate(() => {
      const root = document.documentElement;
      return [...document.querySelectorAll('body, dialog[open]')].map(element => element.scrollWidth - element.clientWidth).concat(root.scrollWidth - root.clientWidth);
    });
    assert.ok(Math.max(...wide) <= 0, `${name} is ${wide} px too wide`);
  });
  await page.done();
}
