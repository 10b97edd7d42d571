// The texts of the console in each language, from its sources.

import { build } from 'esbuild';

const folder = new URL('../../../../web/src/console/texts/', import.meta.url).pathname;

export async function textsOf(language) {
  const { outputFiles } = await build({ entryPoints: [`${folder}${language}.ts`], bundle: true, format: 'esm', write: false });
  const module = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
  return module[language];
}

/** What stands for a parameter of a text. A number, because most parameters are counts. */
const PARAMETER = 7;

/** The sentences of a tree of texts, by their paths: of functions, with numbers for their parameters. */
export function sentences(texts, path = []) {
  if (typeof texts === 'string') return [[path.join('.'), texts]];
  if (typeof texts === 'function') {
    const given = count => texts(...Array.from({ length: texts.length }, () => count));
    return [PARAMETER, 1].map(count => [`${path.join('.')}(${count})`, String(given(count))]);
  }
  return Object.entries(texts).flatMap(([name, part]) => sentences(part, [...path, name]));
}

/** A sentence without its numbers: `7 connectors` and `12 connectors` are the same. */
export const shape = sentence => sentence.replace(/\d[\d.,’]*/g, '#').trim();
