/** What the screens decide, apart from how they look. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Measure, Message, Notice } from '../src/engine/contract';
import { countries, guess, resourcesFor, WORLDWIDE } from '../src/help/help';
import { choose, isolated, LANGUAGES, plural, regional, speak, t } from '../src/i18n';
import en from '../src/locales/en.json';
import { birthMonth, isRefused, REFUSAL_MS, rememberRefusal } from '../src/ui/age';
import { deviceName } from '../src/ui/device-name';
import { patience, sentence } from '../src/ui/errors';
import { pieces, registrable, warning } from '../src/ui/links';
import { lettersLeft, MESSAGE_LENGTH } from '../src/ui/message-size';
import { called, hue, initial } from '../src/ui/names';
import { noticeAbout } from '../src/ui/notices';
import { ASKED_GROUP, groups, typedBack } from '../src/ui/recovery-code';
import { address, parse, SETTINGS_PAGES, view, type Route } from '../src/ui/routes';
import { appealState, limiting, stillWorks, what } from '../src/ui/standing';
import { ruleName } from '../src/ui/rule-name';
import { isRecent, rows } from '../src/ui/thread-rows';
import { ago, brief, day, joined } from '../src/ui/time';

const NOW = new Date(2027, 4, 20, 12, 0).getTime();
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

// ---- addresses ----
const ROUTES: Route[] = [
  { screen: 'home' }, { screen: 'welcome' }, { screen: 'sign-up' }, { screen: 'sign-in' }, { screen: 'recover' }, { screen: 'add' },
  { screen: 'requests' }, { screen: 'settings' }, { screen: 'terms' }, { screen: 'help' },
  { screen: 'thread', room: 'a b/ü#?' }, { screen: 'thread', room: 'r', at: '0001/0002-x' }, { screen: 'search', room: null }, { screen: 'search', room: 'r' }, { screen: 'request', request: '0-1' }, { screen: 'invite', token: 'k_-9' },
  ...SETTINGS_PAGES.map((page): Route => ({ screen: 'setting', page })),
];
test('every screen has an address that leads back to it', () => {
  for (const route of ROUTES) assert.deepEqual(parse(address(route)), route);
});
test('a broken or foreign address is an unknown screen, never an error', () => {
  for (const hash of ['#/c/%E0%A4%A', '#/settings/nothing', '#/c/a/b', '#/welcome/x', '#/__proto__', '#/constructor']) {
    assert.equal(parse(hash).screen, 'unknown', hash);
  }
});
test('help opens in every state, and nothing else opens while the device is locked', () => {
  for (const phase of ['starting', 'signed-out', 'needs-identity', 'needs-recovery', 'ready', 'locked', 'unsupported'] as const) {
    assert.equal(view(phase, { screen: 'help' }), 'help');
  }
  for (const route of ROUTES.filter(({ screen }) => screen !== 'help')) assert.equal(view('locked', route), 'locked');
});
test('a signed-out person sees no chat, and a signed-in one no sign-in', () => {
  assert.equal(view('signed-out', { screen: 'thread', room: 'x' }), 'welcome');
  assert.equal(view('ready', { screen: 'sign-in' }), 'home');
});

// ---- links ----
const link = (text: string) => {
  const found = pieces(text).find((piece) => piece.kind === 'link');
  assert.ok(found?.kind === 'link', text);
  return found;
};
test('the domain that somebody had to register is told apart', () => {
  for (const [host, domain] of [
    ['www.example.com', 'example.com'], ['a.b.example.co.uk', 'example.co.uk'], ['me.github.io', 'me.github.io'],
    ['192.0.2.7', '192.0.2.7'], ['[2001:db8::1]', '[2001:db8::1]'], ['localhost', 'localhost'],
  ] as const) assert.equal(registrable(host), domain);
  const deceiving = link('see https://example.com.login.attacker.test/x');
  assert.deepEqual([deceiving.before, deceiving.domain, deceiving.after], ['https://example.com.login.', 'attacker.test', '/x']);
});
test('a text is cut without losing a letter, and keeps its punctuation', () => {
  for (const text of ['(see https://example.com/a_(b)).', 'www.example.com, or HTTP://EXAMPLE.ORG!', 'no link: example.com', 'https://']) {
    const joined = pieces(text).map((piece) => (piece.kind === 'text' ? piece.text : '\u0000')).join('');
    let rest = text;
    for (const plain of joined.split('\u0000')) {
      assert.ok(rest.includes(plain));
      rest = rest.slice(rest.indexOf(plain) + plain.length);
    }
  }
  assert.equal(link('(https://example.com/a_(b)).').href, 'https://example.com/a_(b)');
  assert.deepEqual(pieces('plain words'), [{ kind: 'text', text: 'plain words' }]);
});
test('addresses that pretend or carry a program stay plain text', () => {
  for (const text of [
    'https://bank.example@attacker.test/', 'javascript:alert(1)', 'data:text/html,x', 'https://user:pass@example.com',
    'file:///etc/hosts', 'https://localhost/x', 'vbscript:x', 'https://[::1',
  ]) assert.ok(pieces(text).every((piece) => piece.kind === 'text'), text);
});
test('look-alike letters are pointed out, honest ones are not', () => {
  assert.equal(link('https://p\u0430ypal.example.com').warning, 'mixed-script'); // Cyrillic a
  assert.equal(link('https://bücher.example').warning, 'punycode');
  assert.equal(link('https://xn--bcher-kva.example').warning, 'punycode');
  assert.equal(link('https://books.example').warning, null);
  assert.equal(warning('пример.example', 'xn--e1afmkfd.example'), 'punycode');
});
test('a link shows the address that really opens, with nothing hidden by direction marks', () => {
  const shown = link('https://example.com/\u202egpj.exe');
  assert.equal(shown.href, 'https://example.com/');
  const odd = link('HTTPS://Example.COM:8443/A?b#c');
  assert.equal(odd.before + odd.domain + odd.after, 'https://example.com:8443/A?b#c');
});
test('a hundred thousand letters of almost-links are cut in well under a second', () => {
  const start = performance.now();
  pieces('https://'.repeat(12_000) + 'www.'.repeat(12_000));
  assert.ok(performance.now() - start < 1000);
});

// ---- threads ----
const message = (over: Partial<Message>): Message => ({
  id: 'm', room: 'r', at_ms: NOW, seq: 1, place: '1', mine: false, sender: 'a', sender_name: '', kind: 'text', text: 'x', files: [], reply_to: null, delivery: null, gap_before: 0,
  read_by: 0, expires: null, edited: false, reactions: [], forwarded: 0, may: { edit: false, delete: false }, change: null, ...over,
});
test('a thread has a heading for each day, a line for each gap, and runs of one speaker', () => {
  const made = rows([
    message({ id: '1', at_ms: NOW - DAY }), message({ id: '2', at_ms: NOW - DAY + MINUTE }),
    message({ id: '3', at_ms: NOW - DAY + 2 * MINUTE, gap_before: 4 }), message({ id: '4', mine: true, sender: 'b' }),
  ]);
  assert.deepEqual(made.map((row) => row.kind), ['day', 'message', 'message', 'gap', 'message', 'day', 'message']);
  const runs = made.flatMap((row) => (row.kind === 'message' ? [[row.opens, row.closes]] : []));
  assert.deepEqual(runs, [[true, false], [false, true], [true, true], [true, true]]);
  assert.equal(new Set(made.map((row) => row.id)).size, made.length);
});
test('an empty thread has no rows', () => assert.deepEqual(rows([]), []));
test('deleting a young chat offers report and block first; a long-standing one does not', () => {
  assert.equal(isRecent([message({ at_ms: NOW - 3 * DAY })], false, NOW), true);
  assert.equal(isRecent([message({ at_ms: NOW - 30 * DAY })], false, NOW), false);
  assert.equal(isRecent([message({ at_ms: NOW - 3 * DAY })], true, NOW), false);
  assert.equal(isRecent([], false, NOW), true);
});
test('a message may be long, and says so only near the end of its room', () => {
  assert.equal(lettersLeft('x'.repeat(4000)), null);
  assert.equal(lettersLeft('x'.repeat(MESSAGE_LENGTH)), 0);
  assert.equal(lettersLeft('x'.repeat(MESSAGE_LENGTH + 1)), -1);
});

// ---- time ----
test('days are named as people name them', () => {
  assert.equal(day(NOW - HOUR, NOW), 'Today');
  assert.equal(day(NOW - 20 * HOUR, NOW), 'Yesterday');
  assert.equal(day(new Date(2027, 4, 16, 9).getTime(), NOW), 'Sunday');
  assert.match(day(new Date(2027, 0, 5).getTime(), NOW), /January/);
  assert.match(day(new Date(2025, 0, 5).getTime(), NOW), /2025/);
});
test('how long ago is said roughly, and a clock that runs ahead is no future', () => {
  assert.equal(ago(NOW - 5000, NOW), 'just now');
  assert.equal(ago(NOW + HOUR, NOW), 'just now');
  assert.equal(ago(NOW - 5 * MINUTE, NOW), '5 minutes ago');
  assert.equal(ago(NOW - 3 * HOUR, NOW), '3 hours ago');
  assert.equal(ago(NOW - 25 * HOUR, NOW), 'yesterday');
  assert.match(ago(NOW - 40 * DAY, NOW), /2027/);
});
test('when somebody joined is told to the month', () => {
  assert.equal(joined(new Date(2027, 4, 1).getTime(), NOW), 'This month');
  assert.equal(joined(new Date(2027, 3, 30).getTime(), NOW), 'Last month');
  assert.equal(joined(new Date(2024, 2, 9).getTime(), NOW), 'March 2024');
});
test('a list shows the clock today and the weekday this week', () => {
  assert.match(brief(NOW - HOUR, NOW), /11:00/);
  assert.equal(brief(NOW - 3 * DAY, NOW), 'Mon');
});

// ---- people ----
test('an avatar shows one letter as a person sees it', () => {
  assert.equal(initial('maya'), 'M');
  assert.equal(initial('👩‍👩‍👧 family'), '👩‍👩‍👧');
  assert.equal(initial('  '), '?');
  assert.equal(called({ display_name: ' ', handle: 'sam' }), 'sam');
});
test('an account has one hue, and all six are used', () => {
  assert.equal(hue('abc'), hue('abc'));
  assert.equal(new Set(Array.from({ length: 200 }, (_, n) => hue(`account ${n}`))).size, 6);
});
test('a device is named by its browser and system', () => {
  const join = (browser: string, system: string): string => `${browser} on ${system}`;
  const android = 'Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36';
  assert.equal(deviceName(android, join), 'Chrome on Android');
  assert.equal(deviceName('Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1', join), 'Safari on iPhone');
  assert.equal(deviceName('something else', join), 'Web');
});

// ---- age ----
function memory(): { getItem(name: string): string | null; setItem(name: string, value: string): void } {
  const kept = new Map<string, string>();
  return { getItem: (name) => kept.get(name) ?? null, setItem: (name, value) => void kept.set(name, value) };
}
test('the age fields read a month of a plausible year and nothing else', () => {
  const now = new Date(2027, 4, 20);
  assert.deepEqual(birthMonth('2010', '4', now), { year: 2010, month: 4 });
  for (const [year, month] of [['', ''], ['10', '4'], ['2010', ''], ['2010', '13'], ['2010', '0'], ['2028', '1'], ['2027', '6'], ['1890', '1'], ['20x0', '1']]) {
    assert.equal(birthMonth(year!, month!, now), null);
  }
});
test('a refusal is remembered for a day, holds only a time, and a set-back clock does not prolong it', () => {
  const kept = memory();
  assert.equal(isRefused(kept, NOW), false);
  rememberRefusal(kept, NOW);
  assert.equal(isRefused(kept, NOW + REFUSAL_MS - 1), true);
  assert.equal(isRefused(kept, NOW + REFUSAL_MS), false);
  assert.equal(isRefused(kept, NOW - DAY), false);
});

// ---- recovery code ----
const CODE = 'K7QF-2M9X-TD4W-8HRZ-PA3N-V6EB-51YC-GJ0S-7P';
test('one group of the code is typed back, in any case, with letters that look like digits', () => {
  assert.equal(groups(CODE)[ASKED_GROUP - 1], 'TD4W');
  for (const typed of ['TD4W', 'td4w', ' t d4w ', 'td-4w']) assert.equal(typedBack(CODE, typed), true, typed);
  for (const typed of ['', 'TD4', 'K7QF', CODE]) assert.equal(typedBack(CODE, typed), false, typed);
  assert.equal(typedBack('AAAA BBBB 10C0', 'ioCo'.replace('C', 'c')), true);
});

// ---- standing ----
const measure = (over: Partial<Measure>): Measure => ({
  id: 'x', what: 'warning', rule: 'r', because: 'b', since_ms: NOW, until_ms: null, limit: null, appeal: null, appeal_until_ms: null, reversed_ms: null, ...over,
});
test('the banner shows the gravest limit in force; a warning and a reversed measure limit nothing', () => {
  const measures = [measure({}), measure({ what: 'daily_limit', limit: 1 }), measure({ what: 'suspended' }), measure({ what: 'no_new_conversations' })];
  const standing = { can_start_conversations: false, can_send: false, history: [], measures };
  assert.equal(limiting(standing)?.what, 'suspended');
  assert.equal(limiting({ ...standing, measures: [measure({})] }), null);
  assert.equal(limiting({ ...standing, measures: [measure({ what: 'suspended', reversed_ms: NOW })] }), null);
});
test('every measure says what it is and what still works', () => {
  for (const kind of ['warning', 'daily_limit', 'no_new_conversations', 'suspended'] as const) {
    assert.ok(what(measure({ what: kind })).length > 5);
    assert.ok(stillWorks(measure({ what: kind })).length > 5);
  }
  assert.equal(what(measure({ what: 'daily_limit', limit: 1 })), 'You can start 1 new chat a day');
});
test('a review is possible once, and while its time lasts', () => {
  assert.equal(appealState(measure({ appeal_until_ms: NOW + 1 }), NOW), 'possible');
  assert.equal(appealState(measure({ appeal_until_ms: NOW - 1 }), NOW), 'too-late');
  assert.equal(appealState(measure({ appeal: 'open', appeal_until_ms: NOW - 1 }), NOW), 'open');
});
test('one notice is shown: the newest about that person', () => {
  const notice = (id: string, about: string | null, since_ms: number): Notice => ({ id, rule: 'r', about, text: 't', since_ms });
  const all = [notice('1', 'a', 1), notice('2', 'a', 3), notice('3', 'b', 9), notice('4', null, 9)];
  assert.equal(noticeAbout(all, 'a')?.id, '2');
  assert.equal(noticeAbout(all, null)?.id, '4');
  assert.equal(noticeAbout(all, 'c'), null);
});

// ---- errors ----
test('an error is a sentence, and waiting is told in minutes or hours', () => {
  assert.equal(sentence({ code: 'limited', message: 'Enough for now.', retry_after_ms: 5 * HOUR }), 'Enough for now. Try again in about 5 hours.');
  assert.equal(patience(61 * 1000), 'Try again in about 2 minutes.');
  assert.equal(patience(2000), 'Try again in a moment.');
  assert.equal(sentence(new TypeError('x is not a function')), t('problem.unknown'));
  assert.equal(sentence({ code: 'offline', message: 'fetch failed' }), t('problem.offline'));
});

// ---- languages ----
test('a language is chosen by tag, then by its first part, else English', () => {
  assert.equal(choose(['fr', 'en-GB']).tag, 'en');
  assert.equal(choose(['ar-XB']).tag, 'ar-XB');
  assert.equal(choose(['ar']).tag, 'en');
  assert.equal(choose([]).tag, 'en');
  assert.equal(regional(choose(['en-GB']), ['en-GB']).formats, 'en-GB');
});
test('plurals take the branch of the language, and holes are filled', () => {
  assert.equal(plural('thread.gap', 1), '1 message is missing here');
  assert.equal(plural('thread.gap', 1200), '1,200 messages are missing here');
  assert.equal(t('do.block_name', { name: 'Marco' }), 'Block Marco');
});
test('a name of the other direction is isolated, and one of the same is left alone', () => {
  assert.equal(isolated('Marco'), 'Marco');
  assert.equal(isolated('\u05d3\u05e0\u05d4'), '\u2068\u05d3\u05e0\u05d4\u2069');
});
test('a name full of dollar signs and braces is shown as it is', () => {
  assert.equal(t('do.block_name', { name: '$& {name} $1' }), 'Block $& {name} $1');
});
test('every language has every key, with the same holes', () => {
  const holes = (text: string): string[] => [...text.matchAll(/\{\w+\}/g)].map(([hole]) => hole).sort();
  for (const language of LANGUAGES) {
    const catalogue: Record<string, string> = language.catalogue();
    assert.deepEqual(Object.keys(catalogue).sort(), Object.keys(en).sort());
    for (const [key, text] of Object.entries(en)) assert.deepEqual(holes(catalogue[key]!), holes(text), `${language.tag} ${key}`);
  }
});
test('the mirrored language isolates every name and mirrors every word', () => {
  speak(LANGUAGES.find(({ tag }) => tag === 'ar-XB')!);
  assert.match(t('do.block_name', { name: 'Marco' }), /^\u202eBlock\u202c \u2068Marco\u2069$/);
  speak(choose(['en']));
});

// ---- help ----
test('every country has an emergency number and somebody to talk to, each reachable by a tap', () => {
  assert.ok(countries().length >= 15);
  for (const { code } of countries()) {
    const country = resourcesFor(code)!;
    assert.match(country.emergency, /^\d{3}$/);
    for (const line of [...country.lines, ...WORLDWIDE]) {
      assert.ok(line.phone ?? line.text ?? line.web, line.name);
      if (line.web) assert.equal(new URL(line.web).protocol, 'https:');
      if (line.phone) assert.match(line.phone, /^[\d -]+$/);
    }
  }
});
test('the country is guessed from the browser, and no guess is made where none is listed', () => {
  assert.equal(guess(['en-GB', 'en']), 'GB');
  assert.equal(guess(['en', 'de-AT']), 'AT');
  assert.equal(guess(['en', 'constructor']), '');
});

// ---- rules ----
test('a rule is named by the standard it enforces, and never crashes on an unknown one', () => {
  const standards = [{ id: 'spam', title: 'Spam', text: 'x' }];
  assert.equal(ruleName('spam', standards), 'Spam');
  assert.equal(ruleName('first-contacts-unanswered', undefined), 'Many requests that nobody answered');
  assert.equal(ruleName('constructor', standards), 'constructor');
});
