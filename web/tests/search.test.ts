/** Searching what this device keeps: over a real sealed store of ten thousand messages. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeDevice, NodeHome } from '../src/engine/home-node';
import { messageKey, type MessageRecord } from '../src/engine/records';
import { look, matching, wordsOf } from '../src/engine/search';
import { MOST_READ, placeOf, readStretch } from '../src/engine/stretch';
import { rootKey, Vault } from '../src/engine/vault';

const MANY = 10_000;
const shown = (): boolean => true;
const row = (seq: number, text: string): MessageRecord => ({
  kind: 'text', id: `id${seq}`, pos: seq, seq, atMs: seq, mine: seq % 2 === 0, sender: 's', text, replyTo: null, content: null, frank: null,
});

async function filled(): Promise<{ home: NodeHome; vault: Vault }> {
  const home = new NodeHome(new NodeDevice({ origin: 'http://h.example' }));
  const vault = new Vault(home, await rootKey(await home.backend.localKey(), home.random(32), 'a', 'd'));
  const words = (seq: number): string => (seq % 1000 === 0 ? `The Łódź ferry no. ${seq}` : `Nothing much ${seq}`);
  const writes = await Promise.all(Array.from({ length: MANY }, (_, n) =>
    vault.put('messages', messageKey('r', n + 1, n + 1), row(n + 1, words(n + 1)))));
  await vault.write(...writes);
  return { home, vault };
}

test('words are found in ten thousand sealed messages, newest first, in bounded steps, and nothing is written', async (t) => {
  const { home, vault } = await filled();
  const before = JSON.stringify((await home.backend.range('meta', { prefix: '' })).length);
  const found: string[] = [];
  let looked = 0;
  let steps = 0;
  let next: string | null = null;
  const from = performance.now();
  do {
    const part = await look(home, vault, 'r', 'łÓDŹ ferry', next, shown);
    found.push(...part.found.map(({ text }) => text));
    looked += part.looked;
    steps++;
    next = part.before;
  } while (next !== null);
  t.diagnostic(`${looked} messages in ${Math.round(performance.now() - from)} ms, ${steps} steps`);
  assert.equal(looked, MANY);
  assert.deepEqual(found.map((text) => Number(text.split(' ').at(-1))), [10_000, 9000, 8000, 7000, 6000, 5000, 4000, 3000, 2000, 1000]);
  assert.equal(JSON.stringify((await home.backend.range('meta', { prefix: '' })).length), before);
});

test('a look ends when its time is over, and the next one goes on there', async () => {
  const { home, vault } = await filled();
  let clock = 0;
  const slow = Object.assign(Object.create(home) as NodeHome, { now: () => (clock += 60) });
  const first = await look(slow, vault, 'r', 'nothing', null, shown);
  assert.ok(first.looked < MANY && first.before !== null);
  const second = await look(slow, vault, 'r', 'nothing', first.before, shown);
  assert.ok(second.found[0]!.place < first.found.at(-1)!.place);
});

test('case, width and ways of writing a letter do not count; every word must be there', () => {
  const hit = (said: string, query: string): string | undefined => {
    const match = matching(said, wordsOf(query));
    return match?.text.slice(match.start, match.end);
  };
  assert.equal(hit('Wir gehen in die Straße', 'STRASSE'), 'Straße');
  assert.equal(hit('Cafe\u0301 um acht', 'café'), 'Café');
  assert.equal(hit('ＫＩＴＨ', 'kith'), 'ＫＩＴＨ');
  assert.equal(hit('Ὀδυσσεύς', 'ὀδυσσεύσ'), 'Ὀδυσσεύς');
  assert.equal(hit('שלום לך', 'לך'), 'לך');
  assert.equal(hit('one two three', 'three one'), 'three');
  assert.equal(hit('one two', 'one four'), undefined);
  assert.equal(hit('anything', '   '), undefined);
  assert.equal(hit('a.b', 'a*b'), undefined);
});

test('an excerpt halves no letter, wherever it is cut', () => {
  for (let n = 0; n < 8; n++) {
    const match = matching(`${'x'.repeat(n)}${'😀'.repeat(60)}needle${'😀'.repeat(90)}`, ['needle'])!;
    assert.equal(match.text.slice(match.start, match.end), 'needle');
    assert.doesNotMatch(match.text, /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/);
  }
});

test('a page of ten thousand sealed messages opens a page and no more', async () => {
  const { home, vault } = await filled();
  let opened = 0;
  const range = home.backend.range.bind(home.backend);
  home.backend.range = async (store, where) => {
    const rows = await range(store, where);
    opened += rows.length;
    return rows;
  };
  const newest = await readStretch(vault, 'r', {}, shown);
  assert.deepEqual([newest.rows.length, newest.above?.value.seq, newest.newer], [50, MANY - 50, false]);
  const middle = await readStretch(vault, 'r', { from: placeOf(messageKey('r', 5000, 0)), limit: 200 }, shown);
  assert.deepEqual([middle.rows[0]!.value.seq, middle.rows.length, middle.above?.value.seq, middle.newer], [5000, 200, 4999, true]);
  assert.ok(opened <= 51 + 202, `${opened} rows were opened`);
});

test('thousands of changes in a row are passed over some at a time, and what is before and after them is reached', async () => {
  const { vault } = await filled();
  const hidden = async (seq: number): Promise<Parameters<Vault['write']>[0]> =>
    vault.put('messages', messageKey('r', seq, seq), { ...row(seq, ''), kind: 'effect', content: new Uint8Array(2000) });
  await vault.write(...(await Promise.all(Array.from({ length: 3500 }, (_, n) => hidden(6001 + n)))));
  const seen = (one: MessageRecord): boolean => one.kind !== 'effect';
  const steps: number[] = [];
  const found: number[] = [];
  for (let before: string | null = placeOf(messageKey('r', 9501, 9501)); found.length === 0;) {
    const part = await readStretch(vault, 'r', { before }, seen);
    steps.push(part.rows.length);
    found.push(...part.rows.filter(({ value }) => seen(value)).map(({ value }) => value.seq!));
    assert.ok(part.rows.every(({ value }) => value.content === null), 'what they say is not kept in memory');
    assert.ok(part.above !== null && part.rows.length <= MOST_READ);
    before = placeOf(part.rows[0]!.key);
  }
  assert.deepEqual([found.at(-1), found.length], [6000, 50]);
  assert.equal(steps.length, 4);
  const on = await readStretch(vault, 'r', { from: placeOf(messageKey('r', 6001, 6001)) }, seen);
  assert.deepEqual([on.rows.length, on.newer, on.above?.value.seq], [MOST_READ, true, 6000]);
});
