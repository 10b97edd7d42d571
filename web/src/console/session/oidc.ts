// OpenID Connect: the authorization code flow with PKCE (RFC 7636), as a public client. The token is only in memory, so a
// reload signs in again, without a question if the issuer still knows its user (`prompt=none`).

import { base, type SignIn } from '../settings.ts';

/** What must survive the way to the issuer and back, in this tab. No token is among it. */
interface Pending {
  readonly state: string;
  readonly verifier: string;
  /** The page to return to. */
  readonly from: string;
}

const PENDING = 'console:pending';
const SIGNED_IN = 'console:signed-in';
const REDIRECT = new URL('signed-in', base).href;

const texts = (value: unknown, ...names: string[]): string[] | undefined => {
  if (typeof value !== 'object' || value === null) return undefined;
  const found = names.map((name): unknown => Reflect.get(value, name));
  return found.every(text => typeof text === 'string') ? found : undefined;
};

const asBase64Url = (bytes: Uint8Array) =>
  btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const random = () => asBase64Url(crypto.getRandomValues(new Uint8Array(32)));

async function discover({ issuer }: SignIn) {
  const response = await fetch(`${issuer}/.well-known/openid-configuration`);
  const found = texts(await response.json(), 'issuer', 'authorization_endpoint', 'token_endpoint');
  if (!found) throw new Error('The issuer does not describe itself.');
  const [name = '', authorization = '', token = ''] = found;
  return { name, authorization, token };
}

/** Leaves the page for the issuer. A silent request shows nothing: it fails if the user would be asked. */
export async function leave(signIn: SignIn, { isSilent }: { isSilent: boolean }) {
  const { authorization } = await discover(signIn);
  const pending: Pending = { state: random(), verifier: random(), from: location.href };
  sessionStorage.setItem(PENDING, JSON.stringify(pending));
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(pending.verifier));
  const url = new URL(authorization);
  const parameters = {
    response_type: 'code',
    client_id: signIn.clientId,
    redirect_uri: REDIRECT,
    scope: signIn.scope,
    state: pending.state,
    code_challenge: asBase64Url(new Uint8Array(digest)),
    code_challenge_method: 'S256',
    ...(signIn.resource && { resource: signIn.resource }),
    ...(isSilent && { prompt: 'none' }),
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  location.assign(url);
}

function takePending(): Pending | undefined {
  const stored = sessionStorage.getItem(PENDING);
  sessionStorage.removeItem(PENDING);
  const found = texts(JSON.parse(stored ?? 'null'), 'state', 'verifier', 'from');
  if (!found) return undefined;
  const [state = '', verifier = '', from = ''] = found;
  return { state, verifier, from };
}

/** Exchanges the code in the address for a token. */
async function exchange(signIn: SignIn, { state, verifier }: Pending): Promise<string | null> {
  const given = new URL(location.href).searchParams;
  const code = given.get('code');
  if (given.get('state') !== state || !code) return null;
  const { name, token } = await discover(signIn);
  // An answer of another issuer is not for this one (RFC 9207).
  if (given.has('iss') && given.get('iss') !== name) return null;
  const body = new URLSearchParams({
    grant_type: 'authorization_code',
    code,
    redirect_uri: REDIRECT,
    client_id: signIn.clientId,
    code_verifier: verifier,
    ...(signIn.resource && { resource: signIn.resource }),
  });
  const response = await fetch(token, { method: 'POST', body });
  return texts(await response.json(), 'access_token')?.[0] ?? null;
}

/**
 * The token of a page that begins: of the way back from the issuer, or none. A tab that was signed in before leaves for the
 * issuer again, and then the answer never comes.
 */
export async function resume(signIn: SignIn): Promise<string | null> {
  const pending = location.href.startsWith(REDIRECT) ? takePending() : undefined;
  if (pending) {
    const token = await exchange(signIn, pending).catch(() => null);
    history.replaceState(null, '', pending.from);
    if (token) sessionStorage.setItem(SIGNED_IN, 'true');
    else sessionStorage.removeItem(SIGNED_IN);
    return token;
  }
  if (location.href.startsWith(REDIRECT)) history.replaceState(null, '', base);
  if (!sessionStorage.getItem(SIGNED_IN)) return null;
  const hasLeft = await leave(signIn, { isSilent: true }).then(() => true, () => false);
  return hasLeft ? new Promise(() => undefined) : null;
}

/** A reload no longer signs in. */
export const forget = () => sessionStorage.removeItem(SIGNED_IN);
