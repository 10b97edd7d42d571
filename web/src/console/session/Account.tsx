import { type SubmitEvent, useState } from 'react';
import { base, settings, type SignIn } from '../settings.ts';
import { Dialog } from '../parts/Dialog.tsx';
import { languages, textsOf, useLanguage, useTexts } from '../texts/texts.tsx';
import { useSession, useViewer } from './session.tsx';

/** Who is signed in, the language, and the way in and out. */
export function Account() {
  const { session: texts, page } = useTexts();
  const { language, choose } = useLanguage();
  const session = useSession();
  const viewer = useViewer();
  const [isOpen, setOpen] = useState(false);
  const signOut = async () => {
    const { forget } = await import('./oidc.ts');
    forget();
    session.signOut();
  };
  const name = viewer?.user?.name ?? viewer?.userId;
  return (
    <>
      <button type="button" id="account" onClick={() => setOpen(true)}>{session.isSignedIn ? (name ?? '…') : texts.signIn}</button>
      {isOpen && (
        <Dialog title={session.isSignedIn ? texts.signedInAs(name ?? '…') : texts.signIn} onClose={() => setOpen(false)}>
          {!session.isSignedIn && <p>{session.isExpired ? texts.expired : texts.anonymous}</p>}
          {session.isSignedIn ? (
            <>
              <dl className="facts">
                <dt>{texts.organization}</dt>
                <dd>{viewer?.organizationId ?? '–'}</dd>
                <dt>{texts.scopes}</dt>
                <dd>{viewer?.scopes.join(', ') || '–'}</dd>
              </dl>
              <p><button type="button" onClick={() => void signOut()}>{texts.signOut}</button></p>
            </>
          ) : (
            <>
              {settings.signIn && <AtIssuer signIn={settings.signIn} />}
              <Pasted isOther={settings.signIn !== null} onDone={() => setOpen(false)} />
            </>
          )}
          <hr />
          <label>
            {page.languages}{' '}
            <select value={language} onChange={({ target: { value } }) => choose(languages.find(name => name === value) ?? language)}>
              {languages.map(name => <option key={name} value={name} lang={name}>{textsOf(name).language}</option>)}
            </select>
          </label>
          <p><a href={new URL('graphiql', base).href}>{page.api}</a></p>
        </Dialog>
      )}
    </>
  );
}

/** The characters of a bearer token (RFC 6750, section 2.1). */
const TOKEN = /^[\w.~+/-]+=*$/;

/** Signs in at the issuer, which brings the user back to this page. */
function AtIssuer({ signIn }: { signIn: SignIn }) {
  const { session: texts } = useTexts();
  const [state, setState] = useState<'idle' | 'leaving' | 'failed'>('idle');
  const go = async () => {
    setState('leaving');
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
function Pasted({ isOther, onDone }: { isOther: boolean; onDone: () => void }) {
  const { session: texts } = useTexts();
  const { signIn } = useSession();
  const [isWrong, setWrong] = useState(false);
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget).get('token');
    const token = typeof given === 'string' ? given.trim().replace(/^bearer\s+/i, '') : '';
    setWrong(!TOKEN.test(token));
    if (!TOKEN.test(token)) return;
    signIn(token);
    onDone();
  };
  const form = (
    <form onSubmit={submit} className="form">
      <div className="field">
        <label htmlFor="token">{texts.token}</label>
        <textarea id="token" name="token" rows={3} autoComplete="off" spellCheck={false} required aria-describedby="token-hint" aria-invalid={isWrong} />
        <p id="token-hint" className={isWrong ? 'error' : 'muted'}>{isWrong ? texts.wrongToken : texts.tokenHint}</p>
      </div>
      <p className="muted">{texts.tokenMake} <code>personal-connectors token --user you --organization yours --scope connectors:write</code></p>
      <p><button type="submit" className="primary">{texts.useToken}</button></p>
    </form>
  );
  return isOther ? <details><summary>{texts.pasted}</summary>{form}</details> : form;
}
