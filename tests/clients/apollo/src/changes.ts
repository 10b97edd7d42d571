// Hears of its own changes as they happen, over a WebSocket.
import assert from 'node:assert/strict';
import { firstValueFrom } from 'rxjs';
import { connect } from './client.js';
import { graphql } from './graphql.js';

const List = graphql(`
  query ListOfCustom {
    personalConnectors(filter: { type: [CUSTOM] }) {
      edges {
        node { id name description }
      }
      changesCursor
    }
  }
`);

const Changed = graphql(`
  subscription Changed($after: String) {
    personalConnectorChanged(after: $after, filter: { type: [CUSTOM] }) {
      kind
      changedFields
      personalConnector { id name description }
    }
  }
`);

const Create = graphql(`
  mutation CreateNotes {
    createCustomConnector(input: { name: "Our notes", serverType: STDIO }) {
      personalConnector { id name description }
      userErrors { code field message }
    }
  }
`);

const Describe = graphql(`
  mutation Describe($id: ID!, $description: String) {
    updateCustomConnector(input: { id: $id, description: $description }) {
      userErrors { code field message }
    }
  }
`);

const client = connect();
const created = await client.mutate({ mutation: Create });
const { id } = created.data!.createCustomConnector!.personalConnector!;

// No change is missed after the point in time of a list.
const { data } = await client.query({ query: List });
const after = data!.personalConnectors.changesCursor;
const heard = firstValueFrom(client.subscribe({ query: Changed, variables: { after } }));
const description = 'Notes of the team';
await client.mutate({ mutation: Describe, variables: { id, description } });
const event = (await heard).data?.personalConnectorChanged;
assert.deepEqual([event?.kind, event?.personalConnector?.id], ['UPDATED', id]);
assert.deepEqual(event?.changedFields, ['DESCRIPTION']);

// The list in the cache has the change.
const list = client.readQuery({ query: List });
assert.equal(list?.personalConnectors.edges.find(({ node }) => node.id === id)?.node.description, description);
