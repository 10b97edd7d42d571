// After the build: assets are kept in gzip, and the manifest says what they were made of.
//
// The bytes repeat only under the same lock file, Node and bundler. So a test compares hashes, and builds nothing.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const NOT_INPUTS = /^(node_modules|dist|screenshots|manifest\.json|graphql-env\.d\.ts)(\/|$)/;

const files = folder =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => `${entry.parentPath}/${entry.name}`.replace(/^\.\//, ''));
const hashes = names =>
  Object.fromEntries(
    names.sort().map(name => [name, createHash('sha256').update(readFileSync(name)).digest('hex')]),
  );

for (const name of files('dist/assets')) {
  writeFileSync(`${name}.gz`, gzipSync(readFileSync(name), { level: 9 }));
  rmSync(name);
}

const inputs = hashes(files('.').filter(name => !NOT_INPUTS.test(name)));
const outputs = hashes(files('dist'));
writeFileSync('manifest.json', `${JSON.stringify({ node: process.version, inputs, outputs }, null, 2)}\n`);
