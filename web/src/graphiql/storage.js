// Local storage, but for headers: the history would keep them, tokens and all, whatever `shouldPersistHeaders` says.

import { StorageAPI } from '@graphiql/toolkit';

const history = /^graphiql:(queries|favorites)$/;
const withoutHeaders = (name, value) => (name === 'headers' ? undefined : value);

export const storage = {
  __proto__: new StorageAPI().storage,
  setItem: (key, value) =>
    localStorage.setItem(key, history.test(key) ? JSON.stringify(JSON.parse(value), withoutHeaders) : value),
};
