/** The rules of wording, kept by every catalogue. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import en from '../src/locales/en.json';

const words: Record<string, string> = en;
const sentences = Object.entries(words);
const SOURCES = join(process.cwd(), 'src');

/** Text of every screen and every plain module of the client, but for the catalogues. */
function sources(): string {
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => /\.(svelte|ts)$/.test(file) && !/^(engine|protocol|locales)/.test(file))
    .map((file) => readFileSync(join(SOURCES, file), 'utf8'))
    .join('\n');
}

const offenders = (bad: (text: string) => boolean): string[] =>
  sentences.filter(([, text]) => bad(text)).map(([key, text]) => `${key}: ${text}`);

test('no sentence accuses, alarms or uses the language of engineers', () => {
  const banned =
    /\b(suspicious|danger(ous)?|unsafe|violations?|end-to-end|keys?|sessions?|franking|ciphers?|encrypt\w*|decrypt\w*|verified client|tokens?|credentials?|invalid|abort|illegal|should have)\b/i;
  assert.deepEqual(offenders((text) => banned.test(text)), []);
});

test('nothing shouts: no exclamation mark and no word in capitals', () => {
  assert.deepEqual(offenders((text) => /[!⚠🚨🛑]/u.test(text) || /\b[A-Z]{3,}\b/.test(text)), []);
});

test('every sentence is at most 25 words', () => {
  assert.deepEqual(offenders((text) => text.split(/\s+/).filter((word) => /[\p{L}\p{N}{]/u.test(word)).length > 25), []);
});

test('words stay short: about what a twelve-year-old reads with ease', () => {
  // Flesch-Kincaid grade over the whole catalogue; syllables are counted as groups of vowels.
  const prose = sentences.filter(([, text]) => /[.?]$/.test(text)).map(([, text]) => text.replace(/\{\w+\}/g, 'Sam'));
  const all = prose.join(' ');
  const count = (pattern: RegExp): number => all.match(pattern)?.length ?? 0;
  const wordCount = count(/\p{L}+/gu);
  const grade = 0.39 * (wordCount / count(/[.?]/g)) + 11.8 * (count(/[aeiouy]+/gi) / wordCount) - 15.59;
  assert.ok(grade < 6, `grade ${grade.toFixed(1)}`);
});

test('every button begins with a verb, but for Done and Back', () => {
  const verbs = new Set(
    ('accept add agree approve ban block cancel change close compare confirm continue copy create decline delete discard download enter find get hide ' +
      'invite join leave let lift load make mark open pause play print put read record remove reply report request save see send set show sign start stay stop ' +
      'edit forward react try turn unblock update use zoom done back ' +
      'archive mute pin restrict search take unmute unpin').split(' '),
  );
  const buttons = sentences.filter(([key]) => key.startsWith('do.'));
  assert.ok(buttons.length > 50);
  assert.deepEqual(buttons.filter(([, text]) => !verbs.has(text.split(' ')[0]!.toLowerCase())), []);
});

test('no button says only OK, Yes, No or Submit', () => {
  assert.deepEqual(offenders((text) => /^(ok|okay|yes|no|submit)$/i.test(text)), []);
});

test('the age question hints at no threshold', () => {
  const asked = sentences.filter(([key]) => key.startsWith('age.')).map(([, text]) => text).join(' ');
  assert.doesNotMatch(asked, /\d|old enough|too young|under|over|adult|child|teen|parent/i);
});

test('the sentences that must be said are said', () => {
  const all = Object.values(words).join('\n');
  for (const said of ['You never owe anyone a reply or a photo.', 'You can change this at any time.', "It's not your fault."]) {
    assert.ok(all.includes(said), said);
  }
});

test('every key in use exists, and every key that exists is in use', () => {
  const source = sources();
  const used = new Set([...source.matchAll(/'([a-z_]+(?:\.[a-z_0-9A-Z]+)+)'/g)].map(([, key]) => key!));
  const unused = Object.keys(words).filter((key) => !used.has(key) && !used.has(key.replace(/\.(one|other)$/, '')));
  assert.deepEqual(unused, []);
});

test('counted sentences have both branches, and the one for many says the count', () => {
  const counted = Object.keys(words).filter((key) => key.endsWith('.one')).map((key) => key.slice(0, -'.one'.length));
  assert.ok(counted.length > 5);
  for (const base of counted) assert.match(words[`${base}.other`] ?? '', /\{count\}/, base);
});

test('screens write no sentence of their own: words come from the catalogue', () => {
  const files = readdirSync(join(SOURCES, 'ui'), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.svelte'));
  for (const file of files) {
    const markup = readFileSync(join(SOURCES, 'ui', file), 'utf8').replace(/<script[\s\S]*?<\/script>|<style[\s\S]*?<\/style>|<!--[\s\S]*?-->/g, '');
    const text = markup.replace(/\{[^{}]*(\{[^{}]*(\{[^{}]*\}[^{}]*)*\}[^{}]*)*\}/g, '').replace(/<[^>]*>/g, '').replace(/Kith/g, '');
    assert.doesNotMatch(text, /\p{L}{3,}/u, file);
  }
});

test('no screen writes HTML, inline styles or unsafe links', () => {
  const source = sources();
  assert.doesNotMatch(source, /\{@html/);
  assert.doesNotMatch(source, /innerHTML|outerHTML|insertAdjacentHTML|document\.write/);
  assert.doesNotMatch(source, /\sstyle="/);
  for (const [link] of source.matchAll(/<a\b[^>]*target="_blank"[^>]*/g)) assert.match(link, /rel="noreferrer noopener"/);
});

test('styles lean on no side: logical properties only', () => {
  const css = [sources(), readFileSync(join(SOURCES, 'ui/base.css'), 'utf8'), readFileSync(join(SOURCES, 'tokens.css'), 'utf8')].join('\n');
  const physical = /^\s*(margin|padding|border|inset)?-?(left|right|top|bottom)\s*:|^\s*(width|height|min-width|max-width|min-height|max-height)\s*:|text-align:\s*(left|right)|float:/m;
  assert.doesNotMatch(css, physical);
});
