/** Characters that turn the direction of what follows, so that a name could look like another. */
const DIRECTIONS = /[\u202A-\u202E\u2066-\u2069]/g;

/** A text of others with such characters as marks. */
export const plain = (text: string) => text.replace(DIRECTIONS, '\uFFFD');

/** A name that others gave. Its direction changes nothing around it. */
export function Name({ children }: { children: string }) {
  return <bdi>{plain(children)}</bdi>;
}
