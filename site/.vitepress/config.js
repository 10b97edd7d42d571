// The pages of the repository as a site. A page has the path that it has in the repository, so that links hold in both.
import { cpSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitepress';

const root = resolve(import.meta.dirname, '../..');
const rootPages = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', 'BENCHMARKS.md'];

/** The links of the index, by its headings. */
function sidebar() {
  const sections = readFileSync(join(root, 'docs/README.md'), 'utf8').split(/^## /m).slice(1);
  return sections.map((section) => {
    const links = [...section.matchAll(/^- \[([^\]]+)\]\(([^)]+)\.md\)/gm)];
    const items = links.map(([, text, path]) => ({ text, link: `/docs/${path}` }));
    return { text: section.split('\n', 1)[0], collapsed: true, items };
  });
}

/** Files that pages link to and that are no pages, such as sources and the schema, each with the name of its copy. */
const linked = new Map();
function collect(markdown) {
  markdown.core.ruler.push('linked', ({ tokens, env }) => {
    for (const token of tokens.flatMap(({ children }) => children ?? [])) {
      const target = token.attrGet?.('href');
      if (!target || /^(?:[a-z]+:|#|\/)/.test(target) || /\.md(?:#|$)/.test(target)) continue;
      const file = relative(root, resolve(root, dirname(env.relativePath), target));
      // With this end, the link is not taken for a page, and browsers show the file.
      token.attrSet('href', `${target}.txt`);
      linked.set(file, `${file}.txt`);
    }
  });
}

export default defineConfig({
  title: 'personal-connectors',
  description: 'A catalogue of MCP servers behind a GraphQL API',
  srcDir: root,
  srcExclude: readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.name !== 'docs' && !rootPages.includes(entry.name))
    .map((entry) => (entry.isDirectory() ? `${entry.name}/**` : entry.name)),
  outDir: join(root, 'target/site'),
  cacheDir: join(root, 'target/site-cache'),
  rewrites: { 'README.md': 'index.md' },
  markdown: { config: collect, languageAlias: { caddyfile: 'nginx', console: 'sh' } },
  // Links to other files than pages: `docs::links` checks them, and they are copied below.
  ignoreDeadLinks: [/(?:^|\/)(?:deploy|script|src|tests|web)\//, /(?:^|\/)(?:LICENSE|schema\.graphql)\.txt$/],
  // The pages are outside this folder, and so are their imports.
  vite: {
    resolve: {
      alias: ['vue/server-renderer', 'vue'].map((find) => ({
        find: new RegExp(`^${find}$`),
        replacement: fileURLToPath(import.meta.resolve(find)),
      })),
    },
  },
  themeConfig: {
    sidebar: sidebar(),
    nav: [
      { text: 'Documentation', link: '/docs/README' },
      { text: 'Changes', link: '/CHANGELOG' },
    ],
    search: { provider: 'local' },
    outline: [2, 3],
  },
  buildEnd({ outDir }) {
    for (const [file, copy] of linked) {
      mkdirSync(dirname(join(outDir, copy)), { recursive: true });
      cpSync(join(root, file), join(outDir, copy));
    }
  },
});
