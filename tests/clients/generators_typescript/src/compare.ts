// Sends each input that has a default in each way, and compares the answers. generate.mjs makes the cases from the schema.
import assert from 'node:assert/strict';
import { env } from 'node:process';
import { cases } from './generated/cases';

export const url = env['URL']!;
export const headers = { authorization: `Bearer ${env['TOKEN']}` };

/** A connector that the tests make without the generated clients. */
async function connector() {
  const query = `mutation($input: CreateCustomConnectorInput!) {
    createCustomConnector(input: $input) { personalConnector { id } }
  }`;
  const body = JSON.stringify({ query, variables: { input: { name: newName(), serverUrl } } });
  const response = await fetch(url, { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body });
  const { data } = await response.json();
  return data.createCustomConnector.personalConnector.id as string;
}

let names = 0;
const newName = () => `Plans ${++names}`;
// The tests let the service call no server.
const serverUrl = 'https://plans.example.com/mcp';

/** The inputs beside one that has a default. */
const beside = {
  'ConnectorHealth.uptime': async () => ({ id: await connector() }),
  CreateCustomConnectorInput: async () => ({ name: newName(), serverUrl }),
  InspectServerInput: async () => ({ serverUrl }),
  UpdateCustomConnectorInput: async () => ({ id: await connector(), version: '1.0.0' }),
};

type Cases = typeof cases;
type Owner = keyof Cases;
type Ways<Inputs> = { [Name in keyof Inputs]: Inputs[Name][keyof Inputs[Name]] }[keyof Inputs];

/** Everything that is sent below: the types of a generated client must take it. */
export type Input<O extends Owner> = Awaited<ReturnType<(typeof beside)[O]>> & Ways<Cases[O]>;

/** A request of a generated client for each place that has an input with a default. It gives the answer's data. */
export type Client = { [O in Owner]: (input: Input<O>) => Promise<unknown> };

/** The input as a generator's type whose enums are TypeScript's: those take no texts. */
export const typed = <Typed>(input: { [Name in keyof Typed]: Plain<Typed[Name]> }) => input as Typed;
type Plain<Value> = Value extends string ? `${Value}` : Value;

export async function compare(name: string, client: Client) {
  for (const [owner, inputs] of Object.entries(cases) as [Owner, object][]) {
    const answer = async (way: object) => {
      const input = { ...(await beside[owner]()), ...way };
      const send = client[owner] as (input: object) => Promise<unknown>;
      return JSON.stringify(await send(input).catch(() => 'refused'));
    };
    for (const [input, ways] of Object.entries(inputs)) {
      const of = `${name}: ${owner}, ${input}`;
      const { unset, undefined: noValue, null: none, default: byDefault, ...others } = ways;
      const expected = await answer(unset);
      assert.notEqual(expected, '"refused"', of);
      assert.equal(await answer(noValue), expected, `${of} is undefined`);
      assert.equal(await answer(byDefault), expected, `${of} is the default`);
      // A category may be null, and so null means none.
      const isValue = owner === 'CreateCustomConnectorInput' && input === 'category';
      const ofNull = isValue ? expected.replace('"category":"CUSTOM"', '"category":null') : expected;
      assert.equal(await answer(none), ofNull, `${of} is null`);
      // The answers show the value.
      const shown = await Promise.all(Object.values(others).map((other) => answer(other as object)));
      assert.ok(shown.some((other) => other !== expected), of);
    }
  }
}
