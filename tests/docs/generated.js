'use strict';
// A part of a page that the program makes: its words are those of the program's own help.
const PART = /<!-- made by the program: begin -->[^]*?<!-- made by the program: end -->/g;

/** Whether a node is in such a part. */
module.exports = (context) => {
  let parts;
  return (node) => {
    let root = node;
    while (root.parent) root = root.parent;
    parts ??= [...context.getSource(root).matchAll(PART)].map(({ index, 0: part }) => [index, index + part.length]);
    return parts.some(([begin, end]) => begin <= node.range[0] && node.range[1] <= end);
  };
};
