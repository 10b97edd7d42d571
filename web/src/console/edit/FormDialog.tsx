import type { CombinedError } from '@urql/core';
import type { ReactNode } from 'react';
import { Dialog } from '../parts/Dialog.tsx';
import { sentenceOf } from '../parts/Problem.tsx';
import { useTexts } from '../texts/texts.tsx';

interface Props {
  readonly title: string;
  /** What the button says that sends the form. */
  readonly submit: string;
  /** Whether what is sent destroys something. */
  readonly isDangerous?: boolean;
  readonly isBusy: boolean;
  /** Why there was no answer. Errors of fields are among the children. */
  readonly error: CombinedError | undefined;
  readonly onSubmit: () => void;
  readonly onClose: () => void;
  readonly children: ReactNode;
}

/** A form in a modal dialog, with the buttons that send it and leave it. */
export function FormDialog({ title, submit, isDangerous = false, isBusy, error, onSubmit, onClose, children }: Props) {
  const texts = useTexts();
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        className="form"
        onSubmit={event => {
          event.preventDefault();
          if (!isBusy) onSubmit();
        }}
      >
        {children}
        {error && <p className="error" role="alert">{sentenceOf(texts, error)}</p>}
        <p className="buttons">
          <button type="submit" className={isDangerous ? 'danger' : 'primary'} disabled={isBusy}>{submit}</button>
          <button type="button" onClick={onClose}>{texts.page.cancel}</button>
        </p>
      </form>
    </Dialog>
  );
}
