// Checks that each link and picture of the built site leads to a file of it, and each anchor to a heading.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

const site = resolve(import.meta.dirname, '../target/site');
const pages = readdirSync(site, { recursive: true }).filter((file) => file.endsWith('.html'));
const text = new Map(pages.map((page) => [join(site, page), readFileSync(join(site, page), 'utf8')]));
const broken = [];
for (const [page, html] of text) {
  for (const [, target] of html.matchAll(/(?:href|src)="([^"]+)"/g)) {
    if (/^(?:[a-z]+:|\/\/)/.test(target)) continue;
    const [path, anchor] = target.replaceAll('&amp;', '&').split('#');
    let file = !path ? page : path.startsWith('/') ? join(site, path) : resolve(dirname(page), path);
    if (file === site) file = join(site, 'index.html');
    const isThere = existsSync(file) || existsSync(join(file, 'index.html'));
    const names = anchor && text.get(file);
    const hasAnchor = !names || anchor === 'VPContent' || names.includes(`id="${decodeURIComponent(anchor)}"`);
    if (!isThere || !hasAnchor) broken.push(`${page.slice(site.length + 1)}: ${target}`);
  }
}
if (broken.length > 0) {
  console.error([...new Set(broken)].join('\n'));
  process.exit(1);
}
console.log(`${text.size} pages, and all their links and anchors are there`);
