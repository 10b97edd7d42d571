'use strict';
// The words of terms.json that this project does not use, each with the standard term.
const generated = require('../generated.js');

const TERMS = Object.entries(require('../terms.json')).map(([word, use]) => [new RegExp(`\\b(?:${word})\\b`, 'giu'), use]);

module.exports = (context) => {
  const { Syntax, RuleError, report, locator } = context;
  const isGenerated = generated(context);
  return {
    [Syntax.Str](node) {
      if (isGenerated(node)) return;
      for (const [word, use] of TERMS) {
        for (const { index, 0: found } of node.value.matchAll(word)) {
          report(node, new RuleError(`"${found}": write ${use}`, { padding: locator.range([index, index + found.length]) }));
        }
      }
    },
  };
};
