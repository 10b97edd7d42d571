// The licences of the packages that the bundle has something of, whole.

import { readdirSync, readFileSync } from 'node:fs';

const ALLOWED = ['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT'];
const TEXTS = /^(licen[cs]e|copying|notice|thirdpartynotices)/i;

const folders = new Set();

/** Remembers the packages of a bundle: the page's, and the worker's before it. */
export const gather = () => ({
  name: 'gather',
  generateBundle(_options, bundle) {
    const modules = Object.values(bundle).flatMap(({ modules = {} }) => Object.keys(modules));
    for (const module of modules) {
      const folder = module.match(/^.*\/node_modules\/(@[^/]+\/)?[^/]+/)?.[0];
      if (folder) folders.add(folder);
    }
  },
});

function notice(folder) {
  const { name, version, license, author } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
  if (!ALLOWED.includes(license)) throw new Error(`${name}: the licence ${license} is not allowed`);
  const texts = readdirSync(folder).filter(file => TEXTS.test(file));
  const by = author?.name ?? author;
  return [
    `${name} ${version}: ${license}${by ? `, by ${by}` : ''}`,
    ...texts.sort().map(file => readFileSync(`${folder}/${file}`, 'utf8').trim()),
  ].join('\n\n');
}

/** Puts them beside the page, which names them. */
export const write = () => ({
  name: 'notices',
  generateBundle() {
    const source = [...folders].sort().map(notice).join(`\n\n${'-'.repeat(80)}\n\n`);
    this.emitFile({ type: 'asset', name: 'third-party.txt', source: `${source}\n` });
  },
  transformIndexHtml: {
    order: 'post',
    handler(_html, { bundle = {} }) {
      const href = Object.keys(bundle).find(name => name.endsWith('.txt'));
      return href && [{ tag: 'link', attrs: { rel: 'license', href: `./${href}` }, injectTo: 'head' }];
    },
  },
});
