/** The issuer that users sign in with, and the parameters of its authorization request. */
export interface SignIn {
  readonly issuer: string;
  readonly clientId: string;
  readonly scope: string;
  readonly resource: string | null;
}

/** The settings that the service writes into the page. */
export interface Settings {
  /** Whether icons of connectors are loaded from other hosts. */
  readonly icons: boolean;
  /** Null where users paste a token. */
  readonly signIn: SignIn | null;
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null;
const text = (value: unknown) => (typeof value === 'string' ? value : null);

function signInOf(given: unknown): SignIn | null {
  if (!isRecord(given)) return null;
  const { issuer, clientId, scope, resource } = given;
  if (typeof issuer !== 'string' || typeof clientId !== 'string') return null;
  return { issuer, clientId, scope: text(scope) ?? 'openid', resource: text(resource) };
}

function read(): Settings {
  const element = document.querySelector('meta[name=settings]');
  const given: unknown = JSON.parse(element?.getAttribute('content') ?? '{}');
  if (!isRecord(given)) return { icons: false, signIn: null };
  return { icons: given['icons'] === true, signIn: signInOf(given['signIn']) };
}

export const settings = read();

/** The address of the console, with a slash at its end. A proxy may serve it under a prefix. */
export const base = new URL(document.baseURI);
