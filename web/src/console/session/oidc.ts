// OpenID Connect: the authorization code flow with PKCE (RFC 7636), as a public client. The token is only in memory, so a
// reload signs in again, without a question if the issuer still knows its user (`prompt=none`).

import { ofTab, shared } from '../parts/storage.ts';
import { base, type SignIn } from '../settings.ts';

/** What must survive the way to the issuer and back, in this tab. No token is among it. */
interface Pending {
  readonly state: string;
  readonly verifier: string;
  /** The page to return to. */
  readonly from: string;
  readonly isSilent: boolean;
}

/** How a page begins: signed in or not, and what went wrong at the issuer. */
export interface Begin {
  readonly token: string | null;
  readonly problem: string | null;
}

const PENDING = 'console:pending';
/** In all tabs: a new one signs in without a question too. */
const SIGNED_IN = 'console:signed-in';
const SIGNED_OUT = 'console:signed-out';
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
  const described: unknown = await response.json();
  const found = texts(described, 'issuer', 'authorization_endpoint', 'token_endpoint');
  if (!found) throw new Error('The issuer does not describe itself.');
  const [name = '', authorization = '', token = ''] = found;
  // OpenID Connect Discovery 1.0, section 4.3.
  if (name.replace(/\/+$/, '') !== issuer) throw new Error(`The issuer names itself ${name}.`);
  const givesIssuer = typeof described === 'object' && described !== null
    && Reflect.get(described, 'authorization_response_iss_parameter_supported') === true;
  return { name, authorization, token, givesIssuer };
}

/** Leaves the page for the issuer. A silent request shows nothing: it fails if the user would be asked. */
export async function leave(signIn: SignIn, { isSilent }: { isSilent: boolean }) {
  const { authorization } = await discover(signIn);
  const pending: Pending = { state: random(), verifier: random(), from: location.href, isSilent };
  ofTab?.setItem(PENDING, JSON.stringify(pending));
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
    // After a sign-out the issuer asks, so that another user can sign in.
    ...(isSilent ? { prompt: 'none' } : ofTab?.getItem(SIGNED_OUT) && { prompt: 'login' }),
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  location.assign(url);
}

function takePending(): Pending | undefined {
  const stored = ofTab?.getItem(PENDING) ?? null;
  ofTab?.removeItem(PENDING);
  const found = texts(JSON.parse(stored ?? 'null'), 'state', 'verifier', 'from');
  if (!found) return undefined;
  const [state = '', verifier = '', from = ''] = found;
  return { state, verifier, from, isSilent: Reflect.get(JSON.parse(stored ?? '{}'), 'isSilent') === true };
}

/** Exchanges the code in the address for a token. The error says what is wrong. */
async function exchange(signIn: SignIn, { state, verifier }: Pending): Promise<string> {
  const given = new URL(location.href).searchParams;
  const code = given.get('code');
  if (given.get('state') !== state) throw new Error('the answer is of another sign-in');
  if (!code) throw new Error([given.get('error') ?? 'no code', given.get('error_description')].filter(Boolean).join(': '));
  const { name, token, givesIssuer } = await discover(signIn);
  // An answer of another issuer is not for this one (RFC 9207).
  if ((givesIssuer || given.has('iss')) && given.get('iss') !== name) throw new Error('the answer is of another issuer');
  const body = new URLSearchParams({
    grant_type: 'authorization_code',
    code,
    redirect_uri: REDIRECT,
    client_id: signIn.clientId,
    code_verifier: verifier,
    ...(signIn.resource && { resource: signIn.resource }),
  });
  const answer: unknown = await (await fetch(token, { method: 'POST', body })).json();
  const accessToken = texts(answer, 'access_token')?.[0];
  if (!accessToken) throw new Error(texts(answer, 'error')?.[0] ?? 'no token');
  return accessToken;
}

/** Returns to a page of the console; an address of another origin is none. */
function show(address: string) {
  const isOwn = URL.canParse(address) && new URL(address).origin === location.origin;
  history.replaceState(null, '', isOwn ? address : base);
}

/**
 * The token of a page that begins: of the way back from the issuer, or none. A tab that was signed in before leaves for the
 * issuer again, and then the answer never comes.
 */
export async function resume(signIn: SignIn): Promise<Begin> {
  const pending = location.href.startsWith(REDIRECT) ? takePending() : undefined;
  if (pending) {
    try {
      const token = await exchange(signIn, pending);
      shared?.setItem(SIGNED_IN, 'true');
      ofTab?.removeItem(SIGNED_OUT);
      return { token, problem: null };
    } catch (error) {
      shared?.removeItem(SIGNED_IN);
      // Without a question, an issuer that no longer knows its user refuses: that is no failure.
      return { token: null, problem: pending.isSilent ? null : error instanceof Error ? error.message : String(error) };
    } finally {
      show(pending.from);
    }
  }
  if (location.href.startsWith(REDIRECT)) show(base.href);
  if (!shared?.getItem(SIGNED_IN)) return { token: null, problem: null };
  const hasLeft = await leave(signIn, { isSilent: true }).then(() => true, () => false);
  return hasLeft ? new Promise(() => undefined) : { token: null, problem: null };
}

/** A reload no longer signs in, and the next sign-in asks who it is. */
export function forget() {
  if (shared?.getItem(SIGNED_IN)) ofTab?.setItem(SIGNED_OUT, 'true');
  shared?.removeItem(SIGNED_IN);
}
