'use strict';
// A sentence is short, and begins with its subject.
const { splitAST, SentenceSplitterSyntax } = require('sentence-splitter');
const generated = require('../generated.js');

const MAX_WORDS = 25;
const OPENINGS = ['What', 'Who', 'Whoever', 'Where', 'Of', 'By', 'For', 'That', 'Else', 'Whose'];
/** Such an opening is a usual phrase, or a question, or has its noun at once. */
const EXCEPTIONS = /^(?:For (?:example|each|every)\b|By default\b|That (?:is|page|file|command)\b)|\?$/;

/** The words of Markdown. A code span is one word, and a link's target is none. */
function words(markdown) {
  const text = markdown.replace(/`[^`]*`/g, 'code').replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1');
  return text.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word));
}

/** The sentences of a node, each with its position in the node. The library finds no end after a number, nor after bold text. */
function* sentences(node) {
  for (const { type, raw, range } of splitAST(node).children) {
    if (type !== SentenceSplitterSyntax.Sentence) continue;
    let start = range[0] - node.range[0];
    for (const part of raw.split(/(?<=\d\.|[.?!]\*\*)(?=\s+[\p{Lu}`])/u)) {
      yield { raw: part, start };
      start += part.length;
    }
  }
}

module.exports = (context) => {
  const { Syntax, RuleError, report, locator } = context;
  const isGenerated = generated(context);
  const check = (node) => {
    if (isGenerated(node)) return;
    for (const { raw, start } of sentences(node)) {
      const found = words(raw);
      const complain = (message) =>
        report(node, new RuleError(message, { padding: locator.range([start, start + raw.length]) }));
      if (found.length > MAX_WORDS) {
        complain(`The sentence has ${found.length} words, and may have ${MAX_WORDS}: make it two`);
      }
      const opening = found[0]?.replace(/[^\p{L}]/gu, '');
      if (OPENINGS.includes(opening) && !EXCEPTIONS.test(found.join(' '))) {
        complain(`The sentence begins with "${opening}": begin with its subject`);
      }
    }
  };
  return { [Syntax.Paragraph]: check, [Syntax.TableCell]: check };
};
