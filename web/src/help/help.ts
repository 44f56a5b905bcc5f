/** Who can help, by country. Shipped with the client: no list is fetched, no choice is sent. */
import { formats } from '../i18n';
import resources from './resources.json';

export interface HelpLine {
  name: string;
  about: string;
  phone?: string;
  text?: { number: string; say?: string };
  web?: string;
}
export interface Country { emergency: string; lines: HelpLine[] }

const COUNTRIES: Readonly<Record<string, Country>> = resources.countries;
export const WORLDWIDE: readonly HelpLine[] = resources.worldwide;

/** Codes with their names in the person's language, in that language's order. */
export function countries(): { code: string; name: string }[] {
  const names = new Intl.DisplayNames(formats(), { type: 'region' });
  return Object.keys(COUNTRIES)
    .map((code) => ({ code, name: names.of(code) ?? code }))
    .toSorted((a, b) => a.name.localeCompare(b.name, formats()));
}

/** The first country that the browser's languages name ("en-GB"); '' where none of them is listed. */
export function guess(languages: readonly string[]): string {
  return languages.map((tag) => tag.split('-').at(-1) ?? '').find((region) => Object.hasOwn(COUNTRIES, region)) ?? '';
}

export const resourcesFor = (code: string): Country | null => (Object.hasOwn(COUNTRIES, code) ? COUNTRIES[code] : undefined) ?? null;
