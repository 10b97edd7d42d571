import { useEffect, useRef, useState } from 'react';
import { useTexts } from '../texts/texts.tsx';

/** Milliseconds without a key before the list is searched. */
const PAUSE = 120;

/** The box keeps what is typed, so that a key renders nothing else. */
export function SearchBox({ q, onSearch }: { q: string; onSearch: (q: string) => void }) {
  const { browse } = useTexts();
  const [typed, setTyped] = useState(q);
  const asked = useRef(q);
  const timer = useRef<number | undefined>(undefined);

  // The address bar changed by something else: Back, a chip, or a link.
  useEffect(() => {
    if (q !== asked.current) {
      asked.current = q;
      setTyped(q);
    }
  }, [q]);
  useEffect(() => () => window.clearTimeout(timer.current), []);

  const ask = (text: string) => {
    window.clearTimeout(timer.current);
    asked.current = text.trim();
    onSearch(asked.current);
  };
  return (
    <form
      role="search"
      className="search"
      onSubmit={event => {
        event.preventDefault();
        ask(typed);
      }}
    >
      <input
        type="search"
        id="search"
        aria-label={browse.search}
        placeholder={browse.searchHint}
        maxLength={256}
        autoComplete="off"
        spellCheck={false}
        value={typed}
        onChange={({ target: { value } }) => {
          setTyped(value);
          window.clearTimeout(timer.current);
          timer.current = window.setTimeout(() => ask(value), PAUSE);
        }}
      />
    </form>
  );
}
