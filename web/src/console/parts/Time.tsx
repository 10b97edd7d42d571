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

/** A moment as distance from now. The whole date and time show on hover. */
export function Time({ at }: { at: string }) {
  const { language } = useLanguage();
  const date = new Date(at);
  return <time dateTime={at} title={date.toLocaleString(language)}>{relative(language, date)}</time>;
}
