// Drives the console as its users do: node main.mjs PROGRAM [POSTGRES]
//
// PROGRAM is personal-connectors, POSTGRES the URL of a role that may create databases; without it the database is a file.
// SCREENSHOTS is a folder for pictures, FLOW the one flow to run.

import assert from 'node:assert/strict';
import { launch } from '../browser.mjs';
import * as flows from './flows/everyday.mjs';
import * as languages from './flows/languages.mjs';
import * as many from './flows/many.mjs';
import { measureTyping, measureWeight } from './measure.mjs';
import { startMcp } from './mcp.mjs';
import { takePictures } from './pictures.mjs';
import { freePort, start } from './service.mjs';
import * as session from './flows/session.mjs';
import { signAtIssuer } from './flows/signing-in.mjs';

const [program, postgres] = process.argv.slice(2);
const SIZES = [
  { width: 1440, height: 900 },
  { width: 360, height: 740, colorScheme: 'dark' },
];

const mcp = await startMcp(await freePort());
const down = `http://127.0.0.1:${await freePort()}/mcp`;
const service = await start(program, { postgres, flags: ['--mcp-allow', '127.0.0.1'] });
const browser = await launch('127.0.0.1');
const tokens = {
  ann: await service.token('ann', ['connectors:write']),
  admin: await service.token('root', ['connectors:admin', 'catalog:admin']),
};
const one = async (token, field, query, input) => {
  const { [field]: payload } = await service.query(token, query, { input });
  assert.deepEqual(payload.userErrors, []);
  return payload;
};
const world = {
  program,
  postgres,
  service,
  browser,
  mcp,
  down,
  tokens,
  origin: service.origin,
  async create(name, serverUrl = mcp.url, visibility = 'PRIVATE') {
    const query = 'mutation($input: CreateCustomConnectorInput!) { createCustomConnector(input: $input) { personalConnector { id } userErrors { message } } }';
    const { personalConnector } = await one(tokens.ann, 'createCustomConnector', query, { name, serverUrl, visibility });
    return personalConnector;
  },
  check: id => one(tokens.ann, 'checkConnector', 'mutation($input: CheckConnectorInput!) { checkConnector(input: $input) { userErrors { message } } }', { id }),
  update: (token, input) =>
    one(token, 'updateCustomConnector', 'mutation($input: UpdateCustomConnectorInput!) { updateCustomConnector(input: $input) { userErrors { message } } }', input),
  remove: id =>
    one(tokens.ann, 'deleteCustomConnector', 'mutation($input: DeleteCustomConnectorInput!) { deleteCustomConnector(input: $input) { userErrors { message } } }', { id }),
};

const { SCREENSHOTS: pictures, FLOW: only } = process.env;

try {
  if (pictures) await takePictures(world, pictures);
  for (const [name, flow] of Object.entries({ ...flows, ...many, ...session, ...languages })) {
    for (const size of only && only !== name ? [] : SIZES) {
      await flow(world, size);
      console.log(`${name} at ${size.width} px`);
    }
  }
  if (!only) await measureWeight(world);
  if (!only || only === 'signAtIssuer') await signAtIssuer(browser, program);
  // The database makes no difference to the browser.
  if (!only && !postgres) await measureTyping(browser, program);
} finally {
  await browser.close();
  mcp.stop();
  await service.stop();
}
console.log(`The console on ${postgres ? 'PostgreSQL' : 'SQLite'}: all is well`);
