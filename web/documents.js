// After the build: the console's operations as a manifest of trusted documents, by their SHA-256.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { runnerImport } from 'vite';

const SOURCES = 'src/console';
const OPERATION = /graphql\(`\s*(?:query|mutation|subscription) (\w+)/g;

const { module } = await runnerImport(`./${SOURCES}/documents.ts`);
const sources = readdirSync(SOURCES, { recursive: true }).filter(name => /\.tsx?$/.test(name));
const written = sources.flatMap(name => [...readFileSync(`${SOURCES}/${name}`, 'utf8').matchAll(OPERATION)].map(([, operation]) => operation));
const missing = written.filter(operation => !(operation in module.documents));
if (missing.length > 0) throw new Error(`not in a queries.ts, so not among the trusted documents: ${missing.join(', ')}`);

const sha256 = text => createHash('sha256').update(text).digest('hex');
const manifest = Object.fromEntries(Object.values(module.documents).sort().map(text => [sha256(text), text]));
writeFileSync('dist/documents.json', `${JSON.stringify(manifest, null, 2)}\n`);
