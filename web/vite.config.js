import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

import * as notices from './notices.js';

const source = name => fileURLToPath(new URL(`src/graphiql/${name}`, import.meta.url));

// The page lays texts out itself: the worker's way to do so has no key, no menu and no button here.
const withoutPrettier = {
  name: 'without-prettier',
  enforce: 'pre',
  resolveId: name => (name.startsWith('prettier/') ? source('absent.js') : undefined),
};

export default defineConfig({
  base: './',
  resolve: {
    alias: [
      { find: /^(\.|monaco-graphql\/esm)\/monaco-editor(\.js)?$/, replacement: source('monaco.js') },
      { find: /^.*\/(diffEditor\/diffEditorWidget|multiDiffEditor\/multiDiffEditorWidget)\.js$/, replacement: source('absent.js') },
      { find: 'prettier/parser-graphql', replacement: 'prettier/plugins/graphql' },
      { find: /^prettier\/(parser-babel|plugins\/estree)$/, replacement: source('jsonc.js') },
    ],
  },
  build: {
    // The policy lets nothing come out of a data: URL but images.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 4096,
    modulePreload: { polyfill: false },
    target: 'es2022',
    // "use client" says nothing here.
    rolldownOptions: { checks: { moduleLevelDirective: false }, input: ['console.html', 'graphiql.html'] },
  },
  worker: { format: 'es', plugins: () => [withoutPrettier, notices.gather()] },
  plugins: [notices.gather(), notices.write()],
  // `npx vite` beside a running service.
  server: { proxy: { '/graphql': { target: 'http://127.0.0.1:8080', ws: true } } },
});
