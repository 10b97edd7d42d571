import { useSession } from '../session/session.tsx';
import { useTexts } from '../texts/texts.tsx';

/** Says to signed-out users, where nothing is found, that there may be more. */
export function SignInHint() {
  const { connector, session } = useTexts();
  const { isSignedIn, ask } = useSession();
  if (isSignedIn) return null;
  return <p>{connector.maySignIn} <button type="button" className="link" onClick={() => ask(true)}>{session.signIn}</button></p>;
}
