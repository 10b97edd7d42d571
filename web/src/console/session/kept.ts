// What is typed in forms, over the way to the issuer and back. It is in the storage of this tab only during that way.

import { useEffect, useRef } from 'react';
import { ofTab } from '../parts/storage.ts';

const KEPT = 'console:forms';
const held = new Map<string, unknown>();

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null;

/** What came back, and whose it is. */
const returned = (() => {
  const stored = ofTab?.getItem(KEPT);
  ofTab?.removeItem(KEPT);
  const value: unknown = JSON.parse(stored ?? 'null');
  return isRecord(value) && isRecord(value['forms']) ? { person: value['person'], forms: { ...value['forms'] } } : undefined;
})();

/** Stores what the forms of this page hold. Only the same person gets it back. */
export function keepForms(person: string | undefined) {
  if (held.size === 0 || person === undefined) return;
  ofTab?.setItem(KEPT, JSON.stringify({ person, forms: Object.fromEntries(held) }));
}

/** Returns what this form held before a sign-in at the issuer, once. */
export function useReturned(name: string, person: string): unknown {
  const taken = useRef<{ value: unknown } | null>(null);
  if (taken.current === null) {
    taken.current = { value: returned?.person === person ? returned.forms[name] : undefined };
  }
  useEffect(() => {
    if (returned) returned.forms[name] = undefined;
  }, [name]);
  return taken.current.value;
}

/** Names what a form holds, as long as it is shown. */
export function useHeld(name: string, value: unknown) {
  useEffect(() => {
    held.set(name, value);
  }, [name, value]);
  useEffect(() => () => void held.delete(name), [name]);
}
