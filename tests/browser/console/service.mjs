// A service of its own for the tests of the console, on a new database.

import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const SECRET = 'a secret of the tests of the console, which nobody else has';

/** A port that is free now. */
export const freePort = () =>
  new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

let databases = 0;

/** The database is a new file, or a new database of a PostgreSQL server. */
function newDatabase(postgres) {
  if (!postgres) {
    const folder = mkdtempSync(join(tmpdir(), 'console-'));
    return { url: `sqlite://${folder}/connectors.db`, drop: () => rmSync(folder, { recursive: true }) };
  }
  const name = `console_${process.pid}_${(databases += 1)}`;
  const sql = text => execFileSync('psql', ['-wqc', text, postgres]);
  sql(`CREATE DATABASE ${name}`);
  return { url: new URL(name, postgres).href, drop: () => sql(`DROP DATABASE ${name} WITH (FORCE)`) };
}

/** Starts the program. It checks only the servers that a test asks it to check. */
export async function start(binary, { postgres, port, flags = [], hasSecret = true, prepare = async () => undefined } = {}) {
  const database = newDatabase(postgres);
  port ??= await freePort();
  const env = {
    ...process.env,
    CONNECTORS_DATABASE_URL: database.url,
    CONNECTORS_MONITOR: 'false',
    ...(hasSecret && { CONNECTORS_JWT_SECRET: SECRET }),
  };
  const origin = `http://127.0.0.1:${port}`;
  let child;
  const run = async (...more) => {
    const options = ['--listen', `127.0.0.1:${port}`, '--drain-delay', '0s', '--inspection-rate', '0', ...flags, ...more];
    child = spawn(binary, options, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let log = '';
    child.stderr.on('data', data => (log += data));
    await new Promise((resolve, reject) => {
      child.stdout.on('data', data => String(data).includes('GraphQL at') && resolve());
      child.on('exit', code => reject(new Error(`the service ended with ${code}: ${log}`)));
    });
  };
  // A flow that fails leaves nothing behind.
  process.once('exit', () => child?.kill('SIGKILL'));
  const end = () => {
    child.removeAllListeners('exit');
    const ended = new Promise(resolve => child.once('exit', resolve));
    child.kill('SIGINT');
    return ended;
  };
  const cli = (...args) => promisify(execFile)(binary, args, { env, maxBuffer: 1 << 26 });
  await prepare(cli);
  await run();
  return {
    origin,
    run,
    end,
    cli,
    async token(user, scopes, expiresIn = '1h') {
      const given = scopes.flatMap(scope => ['--scope', scope]);
      const { stdout } = await cli('token', '--user', user, '--organization', 'acme', '--expires-in', expiresIn, ...given);
      return stdout.trim();
    },
    async query(token, query, variables) {
      const headers = { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) };
      const response = await fetch(`${origin}/graphql`, { method: 'POST', headers, body: JSON.stringify({ query, variables }) });
      const { data, errors } = await response.json();
      assert.equal(errors, undefined, JSON.stringify(errors));
      return data;
    },
    async stop() {
      await end();
      database.drop();
    },
  };
}
