'use strict';
const assert = require('node:assert/strict');
const { test } = require('node:test');
const { TextlintKernel } = require('@textlint/kernel');
const markdown = require('@textlint/textlint-plugin-markdown').default;

const rules = ['sentences', 'terms'].map((ruleId) => ({ ruleId, rule: require(`./rules/${ruleId}`) }));
const plugins = [{ pluginId: 'markdown', plugin: markdown }];

async function messages(text) {
  const { messages } = await new TextlintKernel().lintText(text, { ext: '.md', plugins, rules });
  return messages.map(({ line, column, message }) => `${line}:${column} ${message}`);
}

test('a sentence has at most 25 words', async () => {
  const words = (count) => `${'word '.repeat(count - 1)}word.`;
  assert.deepEqual(await messages(`${words(25)}\n${words(25)}\n`), []);
  assert.deepEqual(await messages(`Short.\n${words(26)}\n`), ['2:1 The sentence has 26 words, and may have 25: make it two']);
  assert.deepEqual(await messages(`${words(20).slice(0, -1)} 503. W${words(20).slice(1)}\n`), []);
  assert.deepEqual(await messages(`**A title.** W${words(25).slice(1)}\n`), []);
  const within = words(24);
  assert.deepEqual(await messages(`\`a b c d\` ${within} [Link](to/a/page.md) \`e f\`.\n`), []);
});

test('a sentence begins with its subject', async () => {
  const expected = (line, column, word) => `${line}:${column} The sentence begins with "${word}": begin with its subject`;
  const page = '# A\n\nIt is. Who asks waits.\n\n- Whose is it?\n- By default it is.\n\n| a |\n|---|\n| Where it is. |\n';
  assert.deepEqual(await messages(page), [expected(3, 8, 'Who'), expected(10, 3, 'Where')]);
});

test('terms are those of terms.json, outside code', async () => {
  assert.deepEqual(await messages('Ask anew, `anew`.\n'), ['1:5 "anew": write "again"']);
});

test('a part that the program makes is not checked', async () => {
  const part = (name) => `<!-- made by the program: ${name} -->\n`;
  assert.deepEqual(await messages(`${part('begin')}\nWhat is it anew?\n\n${part('end')}\nAnew.\n`), ['7:1 "Anew": write "again"']);
});
