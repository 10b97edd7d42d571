// An MCP server (Streamable HTTP, answers in JSON) with two tools. It says what it is, and can be made to fail.

import { createServer } from 'node:http';

const TOOLS = [
  {
    name: 'find_notes',
    title: 'Find notes',
    description: 'Finds notes by their words.',
    annotations: { readOnlyHint: true },
    inputSchema: {
      type: 'object',
      required: ['words'],
      properties: {
        words: { type: 'string', description: 'The words to find', minLength: 1 },
        order: { type: 'string', enum: ['newest', 'best'], default: 'best' },
        folder: { type: 'object', properties: { name: { type: 'string' }, depth: { type: 'integer', minimum: 0 } } },
        tags: { type: 'array', items: { type: 'string' } },
      },
    },
  },
  { name: 'delete_note', description: 'Deletes a note.', annotations: { destructiveHint: true }, inputSchema: { type: 'object', properties: {} } },
];

const results = {
  initialize: ({ protocolVersion }) => ({
    protocolVersion: ['2025-06-18', '2025-11-25'].includes(protocolVersion) ? protocolVersion : '2025-06-18',
    capabilities: { tools: {} },
    serverInfo: { name: 'notes', title: 'Meeting notes', version: '1.2.0' },
    instructions: 'Finds and deletes meeting notes.',
  }),
  ping: () => ({}),
};

export async function startMcp(port, more = []) {
  const state = { fails: false };
  const server = createServer(async (request, response) => {
    if (state.fails || request.method !== 'POST') return void response.writeHead(state.fails ? 503 : 405).end();
    let body = '';
    for await (const part of request) body += part;
    const { id, method, params } = JSON.parse(body);
    if (id === undefined) return void response.writeHead(202).end();
    const result = method === 'tools/list' ? { tools: [...TOOLS, ...more] } : results[method]?.(params ?? {});
    const answer = result ? { result } : { error: { code: -32601, message: 'Method not found' } };
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ jsonrpc: '2.0', id, ...answer }));
  });
  await new Promise(resolve => server.listen(port, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${port}/mcp`, state, stop: () => server.close() };
}
