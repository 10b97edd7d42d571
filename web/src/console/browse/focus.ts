import { useEffect, useRef } from 'react';

/** The id of the element that had the focus, by the address of the page. */
const focused = new Map<string, string>();

document.addEventListener('focusin', ({ target }) => {
  if (target instanceof HTMLElement && target.id) focused.set(location.href, target.id);
});

/** Gives the focus back to the element that had it when the page at this address was left, once it is shown again. */
export function useFocusMemory(isShown: boolean) {
  const isDone = useRef(false);
  useEffect(() => {
    if (!isShown || isDone.current) return;
    isDone.current = true;
    const id = focused.get(location.href);
    const isFree = document.activeElement === document.body || document.activeElement === null;
    if (id && isFree) document.getElementById(id)?.focus({ preventScroll: true });
  }, [isShown]);
}
