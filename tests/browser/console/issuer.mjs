// An issuer of tokens (oidc-provider): it shows its own form, and its access tokens are JWTs of a resource.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';

export const RESOURCE = 'https://connectors.example.com';

export async function startIssuer(port, redirectUri) {
  // It speaks of its runtime when it is imported.
  const { default: Provider } = await import('oidc-provider');
  const issuer = `http://127.0.0.1:${port}`;
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'console',
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code'],
        response_types: ['code'],
        redirect_uris: [redirectUri],
      },
    ],
    clientBasedCORS: () => true,
    cookies: { keys: ['a key of the tests'] },
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'tests', use: 'sig', alg: 'RS256' }] },
    extraTokenClaims: () => ({ org: 'acme' }),
    features: {
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope: 'connectors:write',
          audience: RESOURCE,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
    findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  });
  const server = createServer(provider.callback());
  await new Promise(resolve => server.listen(port, '127.0.0.1', resolve));
  return { issuer, stop: () => server.close().closeAllConnections() };
}
