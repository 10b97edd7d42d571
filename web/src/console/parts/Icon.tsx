import { useState } from 'react';
import { settings } from '../settings.ts';

/** The first letters of the first two words. */
function initials(name: string) {
  const words = name.match(/[\p{L}\p{N}]+/gu) ?? [name];
  return words.slice(0, 2).map(word => [...word][0]?.toUpperCase() ?? '').join('');
}

/** One of six hues, always the same for a name. */
const hue = (name: string) => [...name].reduce((sum, letter) => (sum * 31 + (letter.codePointAt(0) ?? 0)) % 6, 0);

/** The initials of a connector, or its icon if the operator lets pages load icons from other hosts. */
export function Icon({ name, url }: { name: string; url: string | null }) {
  const [failed, setFailed] = useState<string | null>(null);
  if (settings.icons && url && failed !== url) {
    const fail = () => setFailed(url);
    return <img className="icon" src={url} alt="" loading="lazy" referrerPolicy="no-referrer" width="32" height="32" onError={fail} />;
  }
  return <span className={`icon hue${hue(name)}`} aria-hidden="true">{initials(name)}</span>;
}
