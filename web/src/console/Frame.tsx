import { Link, Outlet } from '@tanstack/react-router';
import { useCallback, useEffect, useState } from 'react';
import { useConnection } from './api/changes.ts';
import { lazily } from './parts/lazily.tsx';
import { useShortcut } from './palette/shortcut.ts';
import { Account, Expired } from './session/Account.tsx';
import { isCatalogAdmin, useSession, useViewer } from './session/session.tsx';
import { base } from './settings.ts';
import { languages, textsOf, useLanguage, useTexts } from './texts/texts.tsx';

const Palette = lazily(async () => (await import('./palette/Palette.tsx')).Palette);

/** The header, and the page below it. */
export function Frame() {
  const { page, edit, transfer, palette, session } = useTexts();
  const { language, choose } = useLanguage();
  const { isExpired, problem } = useSession();
  const viewer = useViewer();
  const [isPaletteOpen, setPaletteOpen] = useState(false);
  useShortcut(useCallback(() => setPaletteOpen(true), []));
  return (
    <>
      <a className="skip" href="#main" onClick={toMain}>{page.skip}</a>
      <header className="frame">
        <Link to="/" className="brand">{page.title}</Link>
        <nav aria-label={page.menu}>
          <button type="button" onClick={() => setPaletteOpen(true)} aria-keyshortcuts="Control+K Meta+K">
            {palette.title} <kbd>Ctrl K</kbd>
          </button>
          {isCatalogAdmin(viewer) && !viewer?.readOnly && <Link to="/import" className="button">{transfer.title}</Link>}
          {!viewer?.readOnly && <Link to="/connectors/new" className="button">{edit.add}</Link>}
          <Account />
        </nav>
      </header>
      <ConnectionNote />
      {isExpired && <Expired />}
      {problem !== null && <p className="bar-note" role="alert">{session.signInFailed(problem)}</p>}
      {viewer?.readOnly && <p className="bar-note">{session.readOnly}</p>}
      {isPaletteOpen && <Palette onClose={() => setPaletteOpen(false)} />}
      <main id="main" tabIndex={-1}><Outlet /></main>
      <footer>
        <label>
          {page.languages}{' '}
          <select value={language} onChange={({ target: { value } }) => choose(languages.find(name => name === value) ?? language)}>
            {languages.map(name => <option key={name} value={name} lang={name}>{textsOf(name).language}</option>)}
          </select>
        </label>
        <a href={new URL('graphiql', base).href} target="_blank" rel="noopener">{page.api}</a>
      </footer>
    </>
  );
}

/** A link to a fragment would leave the page, because `base` is another address. */
function toMain(event: { preventDefault(): void }) {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

const SECONDS = 1000;

/** Says that the connection is lost, and for some seconds that it is back. */
function ConnectionNote() {
  const { connection: texts } = useTexts();
  const connection = useConnection();
  const [note, setNote] = useState<'lost' | 'resumed' | null>(null);
  useEffect(() => {
    if (connection === 'lost') setNote('lost');
    if (connection === 'live') setNote(before => (before === 'lost' ? 'resumed' : null));
  }, [connection]);
  useEffect(() => {
    if (note !== 'resumed') return;
    const timer = window.setTimeout(() => setNote(null), 4 * SECONDS);
    return () => window.clearTimeout(timer);
  }, [note]);
  return <div role="status" className="connection">{note && <p className={note}>{texts[note]}</p>}</div>;
}
