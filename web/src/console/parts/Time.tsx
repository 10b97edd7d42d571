import { useLanguage } from '../texts/texts.tsx';

const UNITS = [
  ['year', 365 * 86_400],
  ['month', 30 * 86_400],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
] as const;

function relative(language: string, date: Date) {
  const seconds = (date.getTime() - Date.now()) / 1000;
  const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? (['second', 1] as const);
  return new Intl.RelativeTimeFormat(language, { numeric: 'auto' }).format(Math.trunc(seconds / length), unit);
}

/** A moment as distance from now, or as date and time. The whole date and time show on hover. */
export function Time({ at, isExact = false }: { at: string; isExact?: boolean }) {
  const { language } = useLanguage();
  const date = new Date(at);
  if (isExact) return <time dateTime={at}>{date.toLocaleString(language, { dateStyle: 'medium', timeStyle: 'short' })}</time>;
  return <time dateTime={at} title={date.toLocaleString(language)}>{relative(language, date)}</time>;
}
