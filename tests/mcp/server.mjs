// A server of the SDK for TypeScript: `node server.mjs PORT modern|legacy`. A legacy one knows no revision after 2025-11-25.
import { createServer } from 'node:http';
import { NodeStreamableHTTPServerTransport, toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, fromJsonSchema, McpServer } from '@modelcontextprotocol/server';

const [port, era] = process.argv.slice(2);

function make() {
  const server = new McpServer(
    { name: 'typescript', version: '1.0.0' },
    { instructions: 'Joins texts.' },
  );
  const inputSchema = fromJsonSchema({
    type: 'object',
    properties: { texts: { type: 'array', items: { type: 'string' } } },
    required: ['texts'],
  });
  const description = 'Joins texts.';
  server.registerTool('join', { description, inputSchema }, async ({ texts }) => ({
    content: [{ type: 'text', text: texts.join('') }],
  }));
  return server;
}

async function legacy(request, response) {
  const server = make();
  const transport = new NodeStreamableHTTPServerTransport({ sessionIdGenerator: undefined });
  await server.connect(transport);
  await transport.handleRequest(request, response);
}

const handle = era === 'legacy' ? legacy : toNodeHandler(createMcpHandler(make));
createServer(handle).listen(Number(port), '127.0.0.1');
