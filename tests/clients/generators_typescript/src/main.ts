import { compare } from './compare';
import { genql } from './genql';
import { gqty } from './gqty';
import { graphqlRequest, zod } from './graphql-request';
import { zeus } from './zeus';

const clients = { genql, gqty, graphqlRequest, zeus, zod };

async function main() {
  for (const [name, client] of Object.entries(clients)) await compare(name, client);
}

void main();
