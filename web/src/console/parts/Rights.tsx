import { Link } from '@tanstack/react-router';
import type { DenialReason } from '../api/graphql.ts';
import { useSession } from '../session/session.tsx';
import type { Texts } from '../texts/en.ts';
import { labelOf, useTexts } from '../texts/texts.tsx';

/** The scope that a right needs. */
export type Scope = 'connectors:write' | 'connectors:admin' | 'catalog:admin';

/** Why something is refused, in words. */
export const reasonsOf = ({ labels, rights }: Texts, reasons: readonly DenialReason[], scope: Scope) =>
  reasons.map(reason => (reason === 'SCOPE_REQUIRED' ? rights.scope(scope) : labelOf(labels.denied, reason))).join('; ');

/** Why a page is not offered, and what to do. */
export function Denied({ reasons, scope }: { reasons: readonly DenialReason[]; scope: Scope }) {
  const texts = useTexts();
  const { ask } = useSession();
  const needsSignIn = reasons.includes('LOGIN_REQUIRED');
  return (
    <div className="form">
      <p>{needsSignIn ? texts.rights.signInFirst : `${texts.rights.denied} ${reasonsOf(texts, reasons, scope)}.`}</p>
      <p className="buttons">
        {needsSignIn && <button type="button" className="primary" onClick={() => ask(true)}>{texts.session.signIn}</button>}
        <Link to="/" className="button">{texts.page.toList}</Link>
      </p>
    </div>
  );
}

/** Says that the service takes no changes now. */
export function ReadOnly() {
  const { session, page } = useTexts();
  return (
    <div className="form">
      <p>{session.readOnly}</p>
      <p className="buttons"><Link to="/" className="button">{page.toList}</Link></p>
    </div>
  );
}

/** An action that is not offered: its name, and why. */
export type DeniedAction = readonly [action: string, why: string];

/** The reasons for what is not offered, where people look for it. */
export function WhyNot({ actions }: { actions: readonly DeniedAction[] }) {
  const { rights } = useTexts();
  if (actions.length === 0) return null;
  return (
    <details className="why">
      <summary>{rights.whyNot}</summary>
      <dl className="facts">
        {actions.map(([action, why]) => (
          <div key={action} className="row">
            <dt>{action}</dt>
            <dd>{why}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
