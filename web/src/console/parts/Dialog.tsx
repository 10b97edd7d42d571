import { type ReactNode, useEffect, useId, useRef } from 'react';
import { useTexts } from '../texts/texts.tsx';

/** A modal dialog, as long as it is rendered. The browser keeps the focus inside, and gives it back. */
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) {
  const { page } = useTexts();
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const element = dialog.current;
    element?.showModal();
    // A browser would give the focus to the button that closes it.
    element?.querySelector<HTMLElement>('header ~ * :is(input, select, textarea, button, a), header ~ :is(input, button)')?.focus();
    return () => element?.close();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onClose}>
      <header>
        <h2 id={id}>{title}</h2>
        <button type="button" className="quiet" aria-label={page.close} onClick={() => dialog.current?.close()}>✕</button>
      </header>
      {children}
    </dialog>
  );
}
