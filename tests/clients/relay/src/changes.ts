// Hears of its own changes as they happen, over a WebSocket.
import assert from 'node:assert/strict';
import { commitMutation, fetchQuery, graphql, requestSubscription, type Disposable } from 'relay-runtime';
import type { changesCreateMutation } from './__generated__/changesCreateMutation.graphql';
import type { changesCursorQuery } from './__generated__/changesCursorQuery.graphql';
import type { changesSubscription } from './__generated__/changesSubscription.graphql';
import { environment } from './environment';

const cursor = graphql`
  query changesCursorQuery {
    personalConnectors(first: 0) { changesCursor }
  }
`;

const changed = graphql`
  subscription changesSubscription($after: String) {
    personalConnectorChanged(after: $after, filter: { type: [CUSTOM] }) {
      kind
      personalConnector { id name }
    }
  }
`;

const create = graphql`
  mutation changesCreateMutation($name: String!) {
    createCustomConnector(input: { name: $name, serverType: STDIO }) {
      personalConnector { id }
      userErrors { code field message }
    }
  }
`;

const main = async () => {
  // From where a list stood, no change is missed.
  const page = await fetchQuery<changesCursorQuery>(environment, cursor, {}).toPromise();
  const after = page?.personalConnectors.changesCursor;
  let subscription: Disposable | undefined;
  const heard = new Promise<changesSubscription['response'] | null | undefined>((onNext, onError) => {
    subscription = requestSubscription<changesSubscription>(environment, {
      subscription: changed,
      variables: { after },
      onNext,
      onError,
    });
  });
  commitMutation<changesCreateMutation>(environment, { mutation: create, variables: { name: 'Our notes' } });
  const { kind, personalConnector } = (await heard)!.personalConnectorChanged;
  assert.deepEqual({ kind, name: personalConnector?.name }, { kind: 'CREATED', name: 'Our notes' });
  subscription?.dispose();
};

main();
