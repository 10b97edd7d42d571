// One worker script for all three: what the editor's, JSON's and GraphQL's have in common is most of each.

import 'monaco-editor/esm/vs/editor/editor.worker.js';

const languages = {
  json: () => import('monaco-editor/esm/vs/language/json/json.worker.js'),
  graphql: async () => {
    const { GraphQLWorker } = await import('monaco-graphql/esm/GraphQLWorker.js');
    const { corrected } = await import('./variables.js');
    const { doGetVariablesJSONSchema } = GraphQLWorker.prototype;
    GraphQLWorker.prototype.doGetVariablesJSONSchema = async function (uri) {
      const schema = await doGetVariablesJSONSchema.call(this, uri);
      return schema && corrected(schema, this._getTextModel(uri).getValue());
    };
    await import('monaco-graphql/esm/graphql.worker.js');
  },
};

// Each import sets `onmessage`. What comes before a language's is kept for it.
if (self.name in languages) {
  const early = [];
  self.onmessage = message => early.push(message);
  await languages[self.name]();
  early.forEach(message => self.onmessage(message));
}
