/**
 * Finding words in what this device keeps. The store is sealed, so looking means opening row by row: a stretch at a time,
 * newest first, for a bounded time; nothing that was opened is written down, and nothing leaves the device.
 */
import type { Found, Place } from './contract';
import type { Home } from './home';
import type { MessageRecord } from './records';
import { placeOf } from './stretch';
import type { Vault } from './vault';

const CHUNK = 200;
const LONGEST_MS = 80;
/** Words shown around what was found. */
const BEFORE = 40;
const EXCERPT = 140;

/** What a letter is compared as: width, case and ways of writing it do not count. */
const folded = (letter: string): string => letter.normalize('NFKC').toUpperCase().toLowerCase().normalize('NFKC');

/** Folded text, and for each of its code units where it came from. */
function foldedWithPlaces(text: string): { text: string; from: number[] } {
  const from: number[] = [];
  let made = '';
  let at = 0;
  for (const letter of text) {
    const plain = folded(letter);
    for (let n = 0; n < plain.length; n++) from.push(at);
    made += plain;
    at += letter.length;
  }
  from.push(at);
  return { text: made, from };
}

export const wordsOf = (query: string): string[] => foldedWithPlaces(query.normalize('NFC')).text.split(/\s+/u).filter((word) => word !== '');

/** Where the first word stands in the text, when all words are somewhere in it. */
export function matching(said: string, words: readonly string[]): { text: string; start: number; end: number } | null {
  const text = said.normalize('NFC');
  const { text: plain, from } = foldedWithPlaces(text);
  if (words.length === 0 || !words.every((word) => plain.includes(word))) return null;
  const at = plain.indexOf(words[0]!);
  return excerpt(text, from[at]!, from[at + words[0]!.length]!);
}

/** What is shown of a text: some of it before and after, no letter halved. */
function excerpt(text: string, start: number, end: number): { text: string; start: number; end: number } {
  let first = Math.max(0, start - BEFORE);
  if (first > 0 && /[\udc00-\udfff]/.test(text[first]!)) first--;
  const shown = text.slice(first, first + EXCERPT).replace(/[\ud800-\udbff]$/, '');
  return { text: shown, start: start - first, end: Math.min(end - first, shown.length) };
}

type Match = Omit<Found, 'sender_name'>;

/** One bounded look into a chat; `before` of the answer is where to go on, null at its beginning. */
export async function look(
  home: Home, vault: Vault, room: string, query: string, before: Place | null, shown: (row: MessageRecord) => boolean,
): Promise<{ found: Match[]; looked: number; before: Place | null }> {
  const words = wordsOf(query);
  const found: Match[] = [];
  const until = home.now() + LONGEST_MS;
  let looked = 0;
  let next = before;
  do {
    const rows = await vault.range<MessageRecord>('messages', {
      prefix: `${room}/`, reverse: true, limit: CHUNK, ...(next === null ? {} : { before: `${room}/${next}` }),
    });
    for (const { key, value } of rows) {
      if (value.kind !== 'text' || !shown(value)) continue;
      const match = matching(value.text, words);
      if (match) found.push({ room, id: value.id, place: placeOf(key), at_ms: value.atMs, mine: value.mine, sender: value.sender, ...match });
    }
    looked += rows.length;
    next = rows.length < CHUNK ? null : placeOf(rows.at(-1)!.key);
  } while (next !== null && home.now() < until);
  return { found, looked, before: next };
}
