// Each change that breaks clients is found, under its coordinate, and passes when it is declared.
import assert from 'node:assert/strict';
import test from 'node:test';
import { problems } from './guard.js';

const schema = `
  type Query { node(id: ID!): Node }
  type Node { id: ID! name: String! status: Status! }
  enum Status { ACTIVE MAINTENANCE }
  input Filter { name: String }
`;
const changelog = (...items) =>
  `## Unreleased\n\n### Added\n\n- \`Node.id\`\n\n### Breaking\n\n- The flag \`--x\`\n${items.join('\n')}\n\n### Fixed\n\n- \`Node.id\`\n\n## 0.1.0\n\n### Breaking\n\n- \`Node.id\`\n`;

for (const [what, from, to, coordinate] of [
  ['a removed field', 'name: String! ', '', 'Node.name'],
  ['a changed type', 'name: String!', 'name: Int!', 'Node.name'],
  ['a field that may now be null', 'name: String!', 'name: String', 'Node.name'],
  ['a removed enum value', ' MAINTENANCE', '', 'Status.MAINTENANCE'],
  ['a new required argument', 'id: ID!', 'id: ID!, of: ID!', 'Query.node(of:)'],
  ['a removed argument', '(id: ID!)', '', 'Query.node(id:)'],
  ['an input field that is now required', 'name: String }', 'name: String! }', 'Filter.name'],
  ['a removed type', 'input Filter { name: String }', '', 'Filter'],
]) {
  test(what, async () => {
    const changed = schema.replace(from, to);
    const [problem, ...others] = await problems(schema, changed, changelog());
    assert.ok(problem?.startsWith(`not declared in CHANGELOG.md: \`${coordinate}\``), problem);
    assert.deepEqual(others, []);
    assert.deepEqual(await problems(schema, changed, changelog(`- \`${coordinate}\`: because.`)), []);
  });
}

test('additions', async () => {
  const added = schema.replace('MAINTENANCE', 'MAINTENANCE DEPRECATED').replace('id: ID!)', 'id: ID!, of: ID)');
  assert.deepEqual(await problems(schema, added, changelog()), []);
});

test('what is declared and did not happen', async () => {
  assert.deepEqual(await problems(schema, schema, changelog('- `Node.name`: gone.')), ['declared in CHANGELOG.md, but unchanged: `Node.name`']);
});
