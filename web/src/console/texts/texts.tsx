import { createContext, type ReactNode, use, useEffect, useState } from 'react';
import { shared } from '../parts/storage.ts';
import { de } from './de.ts';
import { en, type Texts } from './en.ts';

const LANGUAGES = { en, de } satisfies Record<string, Texts>;
export type Language = keyof typeof LANGUAGES;
export const languages: readonly Language[] = ['en', 'de'];

const STORED = 'console:language';
const known = (name: string | null | undefined) => languages.find(language => name?.split('-')[0] === language);

/** The chosen language, or the first of the browser's that there is. */
const preferred = (): Language =>
  known(shared?.getItem(STORED)) ?? navigator.languages.map(known).find(name => name !== undefined) ?? 'en';

interface Chosen {
  readonly language: Language;
  readonly choose: (language: Language) => void;
}

const TextsContext = createContext<Texts>(en);
const LanguageContext = createContext<Chosen>({ language: 'en', choose: () => undefined });

export const useTexts = () => use(TextsContext);
export const useLanguage = () => use(LanguageContext);
export const textsOf = (language: Language): Texts => LANGUAGES[language];

export function TextsProvider({ children }: { children: ReactNode }) {
  const [language, setLanguage] = useState(preferred);
  useEffect(() => {
    document.documentElement.lang = language;
    document.documentElement.dir = LANGUAGES[language].direction;
  }, [language]);
  const choose = (next: Language) => {
    shared?.setItem(STORED, next);
    setLanguage(next);
  };
  return (
    <LanguageContext value={{ language, choose }}>
      <TextsContext value={LANGUAGES[language]}>{children}</TextsContext>
    </LanguageContext>
  );
}

/** Returns the label of a value of an open enum; a value that is newer than this page is its own label. */
export const labelOf = (labels: Readonly<Record<string, string>>, value: string) => labels[value] ?? value;
