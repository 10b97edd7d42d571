import { type SubmitEvent, useState } from 'react';
import { Dialog } from '../parts/Dialog.tsx';
import { settings, type SignIn } from '../settings.ts';
import { useTexts } from '../texts/texts.tsx';
import { keepForms } from './kept.ts';
import { personOf, useSession, useViewer } from './session.tsx';

/** Who is signed in, and the way in and out. */
export function Account() {
  const { session: texts } = useTexts();
  const { isSignedIn, isExpired, isAsking, ask, signOut } = useSession();
  const viewer = useViewer();
  const leave = async () => {
    const { forget } = await import('./oidc.ts');
    forget();
    signOut();
  };
  const name = viewer?.user?.name ?? viewer?.userId;
  return (
    <>
      <button type="button" id="account" onClick={() => ask(true)}>{isSignedIn ? (name ?? '…') : texts.signIn}</button>
      {isAsking && (
        <Dialog title={isSignedIn ? texts.signedInAs(name ?? '…') : texts.signIn} onClose={() => ask(false)}>
          {!isSignedIn && <p>{isExpired ? texts.expired : texts.anonymous}</p>}
          {isSignedIn ? (
            <>
              <dl className="facts">
                <dt>{texts.organization}</dt>
                <dd>{viewer?.organizationId ?? '–'}</dd>
                <dt>{texts.scopes}</dt>
                <dd>{viewer?.scopes.join(', ') || '–'}</dd>
              </dl>
              <p><button type="button" onClick={() => void leave()}>{texts.signOut}</button></p>
            </>
          ) : (
            <>
              {settings.signIn && <AtIssuer signIn={settings.signIn} />}
              <Pasted isOther={settings.signIn !== null} />
            </>
          )}
        </Dialog>
      )}
    </>
  );
}

/** Says that the sign-in has expired. Nothing on the page changes until its user chooses. */
export function Expired() {
  const { session: texts } = useTexts();
  const { ask, signOut } = useSession();
  return (
    <div className="bar-note" role="alert">
      <p>{texts.expired}</p>
      <button type="button" className="primary" onClick={() => ask(true)}>{texts.signInAgain}</button>
      <button type="button" onClick={signOut}>{texts.goOn}</button>
    </div>
  );
}

/** The characters of a bearer token (RFC 6750, section 2.1). */
const TOKEN = /^[\w.~+/-]+=*$/;

/** Signs in at the issuer, which brings the user back to this page. */
function AtIssuer({ signIn }: { signIn: SignIn }) {
  const { session: texts } = useTexts();
  const { viewer, isExpired } = useSession();
  const [state, setState] = useState<'idle' | 'leaving' | 'failed'>('idle');
  const go = async () => {
    setState('leaving');
    if (viewer && isExpired) keepForms(personOf(viewer));
    const { leave } = await import('./oidc.ts');
    await leave(signIn, { isSilent: false }).catch(() => setState('failed'));
  };
  return (
    <>
      <p><button type="button" className="primary" disabled={state === 'leaving'} onClick={() => void go()}>{texts.atIssuer(new URL(signIn.issuer).host)}</button></p>
      <p role="alert" className="error">{state === 'failed' && texts.issuerFails}</p>
    </>
  );
}

/** Takes a token that was made elsewhere. */
function Pasted({ isOther }: { isOther: boolean }) {
  const { session: texts } = useTexts();
  const { signIn } = useSession();
  const [state, setState] = useState<'idle' | 'busy' | 'wrong' | 'refused'>('idle');
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget).get('token');
    const token = typeof given === 'string' ? given.trim().replace(/^bearer\s+/i, '') : '';
    if (!TOKEN.test(token)) return setState('wrong');
    setState('busy');
    void signIn(token).then(isAccepted => setState(isAccepted ? 'idle' : 'refused'));
  };
  const isWrong = state === 'wrong' || state === 'refused';
  const form = (
    <form onSubmit={submit} className="form">
      <div className="field">
        <label htmlFor="token">{texts.token}</label>
        <textarea id="token" name="token" rows={3} autoComplete="off" spellCheck={false} required aria-describedby="token-hint" aria-invalid={isWrong} />
        <p id="token-hint" role="status" className={isWrong ? 'error' : 'muted'}>
          {state === 'wrong' ? texts.wrongToken : state === 'refused' ? texts.refusedToken : texts.tokenHint}
        </p>
      </div>
      <p className="muted">{texts.tokenMake} <code>personal-connectors token --user you --organization yours --scope connectors:write</code></p>
      <p><button type="submit" className="primary" disabled={state === 'busy'}>{texts.useToken}</button></p>
    </form>
  );
  return isOther ? <details><summary>{texts.pasted}</summary>{form}</details> : form;
}
