/**
 * Words in people's languages: one flat JSON per locale, plain text with named holes, nothing but `Intl` beneath.
 *
 * A locale is chosen once, when the page opens (`?lang=`, then the browser's wishes, then English).
 * `Key` is made from the English catalogue, so a missing or misspelt key does not compile.
 */
import en from './locales/en.json';
import { pseudo } from './locales/pseudo';

export type Catalogue = typeof en;
export type Key = keyof Catalogue;
/** `'gap'` when the catalogue has `gap.one` and `gap.other`. */
export type PluralKey = Key extends infer K ? (K extends `${infer Base}.other` ? Base : never) : never;
export type Holes = Readonly<Record<string, string | number>>;

interface Language {
  readonly tag: string;
  readonly direction: 'ltr' | 'rtl';
  readonly catalogue: () => Catalogue;
  /** What `Intl` formats with; a made-up locale borrows a real one. */
  readonly formats: string;
}

/** Languages that are offered; the pseudo-locale is only reached by `?lang=ar-XB`. */
export const LANGUAGES: readonly Language[] = [
  { tag: 'en', direction: 'ltr', catalogue: () => en, formats: 'en' },
  { tag: 'ar-XB', direction: 'rtl', catalogue: () => pseudo(en), formats: 'en' },
];
const ENGLISH = LANGUAGES[0]!;

let language = ENGLISH;
let words: Catalogue = en;
let plurals = new Intl.PluralRules('en');
let numbers = new Intl.NumberFormat('en');

/** The first language of `wishes` that Kith speaks, by tag or by its first part; English when there is none. */
export function choose(wishes: readonly string[]): Language {
  for (const wish of wishes) {
    const found =
      LANGUAGES.find(({ tag }) => tag.toLowerCase() === wish.toLowerCase()) ??
      LANGUAGES.find(({ tag }) => tag === wish.split('-')[0]);
    if (found) return found;
  }
  return ENGLISH;
}

/** Dates and numbers as the person's region writes them ("en-GB"), where the browser names one for this language. */
export function regional(next: Language, wishes: readonly string[]): Language {
  const wish = wishes.find((tag) => tag.startsWith(`${next.tag}-`) && Intl.DateTimeFormat.supportedLocalesOf(tag).length > 0);
  return wish ? { ...next, formats: wish } : next;
}

/** Makes every later `t` and `plural` speak `next`. */
export function speak(next: Language): void {
  language = next;
  words = next.catalogue();
  plurals = new Intl.PluralRules(next.formats);
  numbers = new Intl.NumberFormat(next.formats);
}

export const direction = (): 'ltr' | 'rtl' => language.direction;
export const formats = (): string => language.formats;
export const languageTag = (): string => language.tag;

const RIGHT_TO_LEFT = /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;

/**
 * A name inside a sentence must not drag the punctuation around it to the other side, so it is wrapped in
 * first-strong isolates wherever its direction may differ from the sentence's (the text form of `<bdi>`).
 */
export function isolated(value: string): string {
  return direction() === 'rtl' || RIGHT_TO_LEFT.test(value) ? `\u2068${value}\u2069` : value;
}

function fill(text: string, holes: Holes): string {
  return text.replace(/\{(\w+)\}/g, (hole, name: string) => {
    const value = holes[name];
    if (value === undefined) return hole;
    return typeof value === 'number' ? numbers.format(value) : isolated(value);
  });
}

/** The sentence for `key`, its holes filled. */
export function t(key: Key, holes: Holes = {}): string {
  return fill(words[key], holes);
}

/** The branch of a counted sentence that the language wants for `count`; `{count}` is filled too. */
export function plural(key: PluralKey, count: number, holes: Holes = {}): string {
  const branch = `${key}.${plurals.select(count)}`;
  const text = branch in words ? words[branch as Key] : words[`${key}.other` as Key];
  return fill(text, { ...holes, count });
}
