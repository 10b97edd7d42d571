import { type ReactNode, useState } from 'react';
import { useTexts } from '../texts/texts.tsx';

/** Letters of a text, and lines of a value, that are shown at first. */
const MOST_LETTERS = 400;
const MOST_LINES = 12;

/** A JSON value in lines of names and values, nested as the value is. A long one is shown in part, until it is asked for. */
export function Json({ value }: { value: unknown }) {
  const isLong = linesOf(value) > MOST_LINES;
  return isLong ? <Folded><Value value={value} /></Folded> : <Value value={value} />;
}

/** Counts the lines of a value, as far as it matters. */
function linesOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  let lines = 0;
  for (const part of Object.values(value)) {
    lines += linesOf(part);
    if (lines > MOST_LINES) break;
  }
  return lines;
}

function Folded({ children }: { children: ReactNode }) {
  const { page } = useTexts();
  return <details><summary>{page.showAll}</summary>{children}</details>;
}

function Value({ value }: { value: unknown }) {
  if (Array.isArray(value)) {
    return <ol className="json">{value.map((item: unknown, index) => <li key={index}><Value value={item} /></li>)}</ol>;
  }
  if (isObject(value)) {
    return (
      <dl className="json">
        {Object.entries(value).map(([name, part]) => (
          <div key={name}>
            <dt><bdi>{name}</bdi></dt>
            <dd><Value value={part} /></dd>
          </div>
        ))}
      </dl>
    );
  }
  return typeof value === 'string' ? <Text text={value} /> : <span>{isRounded(value) && '≈ '}{JSON.stringify(value)}</span>;
}

/** Whether a whole number is beyond those that the browser keeps exactly. */
const isRounded = (value: unknown) => Number.isInteger(value) && !Number.isSafeInteger(value);

function Text({ text }: { text: string }) {
  const { page } = useTexts();
  const [isWhole, setWhole] = useState(text.length <= MOST_LETTERS);
  if (!isWhole) {
    return (
      <bdi>
        {text.slice(0, MOST_LETTERS)}… <button type="button" className="link" onClick={() => setWhole(true)}>{page.showAll}</button>
      </bdi>
    );
  }
  return isPlainAddress(text) ? <a href={text} rel="noreferrer noopener" target="_blank"><bdi>{text}</bdi></a> : <bdi>{text}</bdi>;
}

/** Characters that change the direction of what follows: an address with one can look like another. */
const DIRECTIONS = /[\u200E\u200F\u202A-\u202E\u2066-\u2069]/;

/** Whether a text is an address that goes where it seems to go: without a user's name in front of its host. */
function isPlainAddress(text: string) {
  if (!/^https?:\/\/\S+$/.test(text) || DIRECTIONS.test(text) || !URL.canParse(text)) return false;
  const { username, password } = new URL(text);
  return username === '' && password === '';
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
