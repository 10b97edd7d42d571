import type { CombinedError } from '@urql/core';
import { Link } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';
import { useSession } from '../session/session.tsx';
import { useTexts } from '../texts/texts.tsx';
import type { Texts } from '../texts/en.ts';

/** The code of the first error; undefined if there was no response. */
export const codeOf = (error: CombinedError) => {
  const code = error.graphQLErrors[0]?.extensions['code'];
  return typeof code === 'string' ? code : undefined;
};

/** A sentence that says what happened, and what to do. */
export function sentenceOf({ errors }: Texts, error: CombinedError) {
  switch (codeOf(error)) {
    case 'UNAUTHENTICATED':
      return errors.signIn;
    case 'CURSOR_INVALID':
    case 'CURSOR_EXPIRED':
      return errors.cursor;
    case 'UNAVAILABLE':
    case 'TIMEOUT':
      return errors.busy;
    case 'RATE_LIMITED':
      return errors.limited;
    case undefined:
      return errors.network;
    default:
      return errors.other(error.graphQLErrors[0]?.message ?? error.message);
  }
}

/** An error in place of what could not be read, with a way on. */
export function Problem({ error, retry }: { error: CombinedError; retry: () => void }) {
  const texts = useTexts();
  const { isSignedIn, renewals, ask } = useSession();
  const isCursor = codeOf(error)?.startsWith('CURSOR_');
  const isRefused = codeOf(error) === 'UNAUTHENTICATED';
  // What did not answer is tried again by itself, more and more seldom.
  const attempts = useRef(0);
  const isAway = codeOf(error) === undefined || codeOf(error) === 'UNAVAILABLE';
  useEffect(() => {
    if (!isAway) return;
    attempts.current += 1;
    const timer = window.setTimeout(retry, Math.min(60, 5 * attempts.current) * 1000);
    return () => window.clearTimeout(timer);
  }, [isAway, error]);
  // What an expired token could not read is read with the new one.
  const renewed = useRef(renewals);
  useEffect(() => {
    if (renewals !== renewed.current && isRefused) retry();
    renewed.current = renewals;
  }, [renewals, isRefused, retry]);
  return (
    <div className="problem" role="alert">
      <p>{sentenceOf(texts, error)}</p>
      {isCursor ? (
        <Link to="/" search={({ after: _after, before: _before, ...search }) => search} className="button">{texts.errors.firstPage}</Link>
      ) : isRefused && !isSignedIn ? (
        <button type="button" className="primary" onClick={() => ask(true)}>{texts.session.signIn}</button>
      ) : (
        <button type="button" onClick={retry}>{texts.page.retry}</button>
      )}
    </div>
  );
}
