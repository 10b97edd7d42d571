// The tabs of a first visit: a file each, in order of their names, with variables in a JSON file of the same name.

const files = import.meta.glob('./examples/*', { query: '?raw', import: 'default', eager: true });

export const defaultHeaders = `{
  // What needs a token: make one, put it in.
  //   personal-connectors token --user you \\
  //     --organization yours \\
  //     --scope connectors:write
  // "Authorization": "Bearer TOKEN"
}`;

export const defaultTabs = Object.keys(files)
  .filter(name => name.endsWith('.graphql'))
  .map(name => ({
    query: files[name].trimEnd(),
    variables: files[name.replace('.graphql', '.json')]?.trimEnd(),
    headers: defaultHeaders,
  }));
