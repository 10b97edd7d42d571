/** The settings that the service writes into the page. */
export interface Settings {
  /** Whether icons of connectors are loaded from other hosts. */
  readonly icons: boolean;
}

function read(): Settings {
  const element = document.querySelector('meta[name=settings]');
  const given: unknown = JSON.parse(element?.getAttribute('content') ?? '{}');
  const has = (key: string) => typeof given === 'object' && given !== null && Reflect.get(given, key) === true;
  return { icons: has('icons') };
}

export const settings = read();

/** The address of the console, with a slash at its end. A proxy may serve it under a prefix. */
export const base = new URL(document.baseURI);
