import { useRef, useState } from 'react';
import { useTexts } from '../texts/texts.tsx';

/** A text, and a button that copies it. Pages without TLS may not write to the clipboard: there the text is selected. */
export function Copy({ name, text }: { name: string; text: string }) {
  const { connect: texts } = useTexts();
  const [state, setState] = useState<'idle' | 'copied' | 'selected'>('idle');
  const code = useRef<HTMLElement>(null);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setState('copied');
    } catch {
      if (code.current) window.getSelection()?.selectAllChildren(code.current);
      setState('selected');
    }
  };
  return (
    <div className="copy">
      <span className="muted">{name}</span>
      <code ref={code} dir="ltr">{text}</code>
      <button type="button" aria-label={texts.copyOf(text)} onClick={() => void copy()}>{texts.copy}</button>
      <span role="status" className="muted">{state !== 'idle' && texts[state]}</span>
    </div>
  );
}
