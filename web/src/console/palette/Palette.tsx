import { useNavigate } from '@tanstack/react-router';
import { type KeyboardEvent, useDeferredValue, useEffect, useId, useRef, useState } from 'react';
import { useQuery } from 'urql';
import { BROKEN } from '../browse/search.ts';
import { outcomeOf } from '../parts/Badge.tsx';
import { Dialog } from '../parts/Dialog.tsx';
import { Name } from '../parts/Name.tsx';
import { isCatalogAdmin, useViewer } from '../session/session.tsx';
import { labelOf, useTexts } from '../texts/texts.tsx';
import { Found } from './queries.ts';

interface Item {
  readonly key: string;
  readonly label: string;
  readonly note?: string;
  readonly run: () => void;
}

/** Goes to a page or a connector by a few letters. */
export function Palette({ onClose }: { onClose: () => void }) {
  const { palette, page, edit, transfer, labels } = useTexts();
  const navigate = useNavigate();
  const id = useId();
  const [typed, setTyped] = useState('');
  const [active, setActive] = useState(0);
  const input = useRef<HTMLInputElement>(null);
  const search = useDeferredValue(typed.trim());
  const [{ data, error, operation }] = useQuery({ query: Found, variables: { search }, pause: search === '' });
  // The answer to earlier letters is not offered for these.
  const isAnswered = operation?.variables.search === typed.trim() && (data !== undefined || error !== undefined);
  // Enter was pressed before the answer came.
  const [isWaiting, setWaiting] = useState(false);
  useEffect(() => input.current?.focus(), []);

  const viewer = useViewer();
  const mayAdd = viewer?.canCreateCustomConnector === true && !viewer.readOnly;
  const mayImport = isCatalogAdmin(viewer) && viewer?.readOnly === false;
  const pages: readonly Item[] = [
    { key: 'list', label: page.toList, run: () => void navigate({ to: '/', search: {} }) },
    { key: 'broken', label: palette.broken, run: () => void navigate({ to: '/', search: BROKEN }) },
    ...(mayAdd ? [{ key: 'add', label: edit.add, run: () => void navigate({ to: '/connectors/new' }) }] : []),
    ...(mayImport ? [{ key: 'import', label: transfer.title, run: () => void navigate({ to: '/import' }) }] : []),
  ];
  const connectors = search === '' || !isAnswered ? [] : (data?.personalConnectors.nodes ?? []);
  const items: readonly Item[] = [
    ...pages.filter(({ label }) => label.toLowerCase().includes(search.toLowerCase())),
    ...connectors.map(node => ({
      key: node.id,
      label: node.name,
      note: labelOf(labels.outcome, outcomeOf(node) ?? 'none'),
      run: () => void navigate({ to: '/connectors/$id', params: { id: node.id } }),
    })),
  ];
  const index = Math.min(active, items.length - 1);
  const choose = (item: Item | undefined) => {
    if (!item) return;
    onClose();
    item.run();
  };
  const press = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      setActive((index + step + items.length) % Math.max(1, items.length));
    } else if (event.key === 'Enter' && !event.nativeEvent.isComposing) {
      event.preventDefault();
      if (items[index] || typed.trim() === '') choose(items[index]);
      else setWaiting(true);
    }
  };
  useEffect(() => {
    if (isWaiting && isAnswered) {
      setWaiting(false);
      choose(items[0]);
    }
  }, [isWaiting, isAnswered]);
  return (
    <Dialog title={palette.title} onClose={onClose}>
      <input
        ref={input}
        type="text"
        className="palette"
        role="combobox"
        aria-label={palette.title}
        aria-expanded={items.length > 0}
        aria-controls={`${id}-list`}
        aria-activedescendant={items.length > 0 ? `${id}-${index}` : undefined}
        aria-autocomplete="list"
        autoComplete="off"
        spellCheck={false}
        placeholder={palette.hint}
        value={typed}
        onChange={({ target }) => {
          setTyped(target.value);
          setActive(0);
          setWaiting(false);
        }}
        onKeyDown={press}
      />
      <ul id={`${id}-list`} role="listbox" aria-label={palette.title} className="plain options">
        {items.map(({ key, label, note }, at) => (
          <li key={key} id={`${id}-${at}`} role="option" aria-selected={at === index} onPointerMove={() => setActive(at)} onClick={() => choose(items[at])}>
            <Name>{label}</Name> <span className="muted">{note}</span>
          </li>
        ))}
      </ul>
      <p role="status" className="muted">{items.length === 0 && (isAnswered ? palette.nothing : page.loading)}</p>
    </Dialog>
  );
}
