// Compares schema.graphql with the last released one, released.graphql. A change that breaks clients has to be declared under
// "### Breaking" in CHANGELOG.md's Unreleased section, by an item that begins with its coordinate:
//
//     - `PersonalConnector.name`: gone; ask for `title`.
//
// What is declared and did not happen fails too. `node guard.js release` makes schema.graphql the released one, of Cargo.toml's
// version.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CriticalityLevel, diff } from '@graphql-inspector/core';
import { buildSchema } from 'graphql';

const file = (path) => fileURLToPath(new URL(path, import.meta.url));
const read = (path) => readFileSync(file(path), 'utf8');

/** What is wrong, a line each. Additions, of enum values and optional arguments too, break nothing: the contract is open to them. */
export async function problems(released, current, changelog) {
  const breaking = new Map();
  for (const { criticality, message, path = 'schema' } of await diff(buildSchema(released), buildSchema(current))) {
    // Arguments' paths are written as coordinates: Query.node(id:).
    const coordinate = path.replace(/^(\w+\.\w+)\.(\w+)$/, '$1($2:)');
    if (criticality.level === CriticalityLevel.Breaking) breaking.set(coordinate, message);
  }
  const section = (text, heading, title) => text.split(heading).find((part) => part.startsWith(`${title}\n`)) ?? '';
  const items = section(section(changelog, /^## /m, 'Unreleased'), /^### /m, 'Breaking').matchAll(/^- `(@?\w[^`]*)`/gm);
  const declared = new Set([...items].map(([, coordinate]) => coordinate));
  return [
    ...[...breaking].filter(([coordinate]) => !declared.has(coordinate))
      .map(([coordinate, message]) => `not declared in CHANGELOG.md: \`${coordinate}\` (${message})`),
    ...[...declared].filter((coordinate) => !breaking.has(coordinate))
      .map((coordinate) => `declared in CHANGELOG.md, but unchanged: \`${coordinate}\``),
  ];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const heading = `# Version ${read('../../Cargo.toml').match(/^version = "(.*)"/m)[1]}\n`;
  const current = read('../../schema.graphql');
  if (process.argv[2] === 'release') {
    writeFileSync(file('released.graphql'), heading + current);
  } else {
    const released = read('released.graphql');
    const found = await problems(released, current, read('../../CHANGELOG.md'));
    if (!released.startsWith(heading)) found.push('released.graphql is of another version than Cargo.toml');
    for (const problem of found) console.error(problem);
    if (found.length > 0) process.exit(1);
  }
}
