/** Disappearing messages, read status and typing: what is believed of them, and what is left of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeDevice, NodeHome } from '../src/engine/home-node';
import { messageKey, newThread, type KeptMessage, type MessageRecord, type Thread } from '../src/engine/records';
import { readStretch } from '../src/engine/stretch';
import { counted, countRead, maySet, overdue, vanish } from '../src/engine/vanishing';
import { rootKey, Vault } from '../src/engine/vault';
import { utf8 } from '../src/protocol/bytes';
import { contentOf, decodeContent, encodeContent, textContent, type Part } from '../src/protocol/content';
import { misplaced, receiptsContent, signalOf, typingContent } from '../src/protocol/ephemeral';
import { lifeOf, timed, timerOf, timerPart, TIMES } from '../src/protocol/timer';

const head = { salt: new Uint8Array(16), sender: 'mimi://h/u/1', room: 'mimi://h/r/2' };
const id = new Uint8Array(32).fill(7);
const row = (seq: number, over: Partial<MessageRecord> = {}): MessageRecord => ({
  kind: 'text', id: `id${seq}`, pos: seq, seq, atMs: seq, mine: false, sender: 's', text: `said ${seq}`, replyTo: null, content: utf8(`c${seq}`),
  frank: { roomSeq: seq } as MessageRecord['frank'], ...over,
});

test('a timer is one of six times, is no message itself, and every later one carries it', () => {
  for (const seconds of TIMES) assert.equal(timerOf(decodeContent(encodeContent(contentOf(head, timerPart(seconds))))), seconds);
  for (const wrong of [1, 299, 3601, -1]) assert.equal(timerOf(contentOf(head, timerPart(wrong))), null);
  // Bytes that are no text must be no trouble either: a message that cannot be judged would stop everything behind it.
  for (const content of [Uint8Array.of(0xff, 0xfe), Uint8Array.of(0xef, 0xbb, 0xbf, 0x30)]) {
    assert.equal(timerOf(contentOf(head, { ...timerPart(0), content } as Part)), null);
  }
  const text = textContent({ ...head, text: 'x' });
  assert.equal(lifeOf(decodeContent(encodeContent(timed(text, 3600)))), 3600);
  assert.equal(lifeOf(timed(text, 0)), null);
  assert.equal(lifeOf({ ...text, expires: { relative: true, time: 7 } }), null);
  assert.equal(lifeOf({ ...text, expires: { relative: false, time: 3600 } }), null);
  assert.equal(timed(contentOf(head, timerPart(0)), 3600).expires, null);
  assert.equal(maySet({ accounts: [], roles: { a: 'member', b: 'admin' } }, 'a'), false);
  assert.equal(maySet({ accounts: [], roles: { a: 'member', b: 'admin' } }, 'b'), true);
  assert.equal(maySet({ accounts: ['a'] }, 'a'), true);
});

test('only receipts and typing are heard in the ephemeral class, and neither counts with a frank', () => {
  const receipts = decodeContent(encodeContent(receiptsContent(head, [id])));
  assert.deepEqual(signalOf(receipts), { what: 'receipts', read: [id] });
  assert.deepEqual(signalOf(decodeContent(encodeContent(typingContent(head)))), { what: 'typing' });
  assert.equal(signalOf(textContent({ ...head, text: 'an unreportable word' })), null);
  assert.equal(signalOf({ ...typingContent(head), replaces: id }), null);
  assert.equal(signalOf({ ...typingContent(head), expires: { relative: true, time: 300 } }), null);
  const typing = typingContent(head).part;
  if (typing.kind !== 'single') assert.fail();
  assert.equal(signalOf({ ...receipts, part: { ...typing, content: utf8('words') } }), null);
  assert.equal(signalOf({ ...receipts, part: { ...typing, contentType: 'application/mimi-message-status', content: utf8('junk') } }), null);
  assert.throws(() => receiptsContent(head, []));
  assert.throws(() => receiptsContent(head, Array.from({ length: 17 }, () => id)));
  assert.ok(misplaced(typing) && !misplaced(textContent({ ...head, text: 'x' }).part));
});

test('a message goes when its time after reading is over, not before, without a gap, and stays reportable for a week', async () => {
  let now = 1_000_000;
  const home = Object.assign(new NodeHome(new NodeDevice({ origin: 'http://h.example' })), { now: () => now });
  const vault = new Vault(home, await rootKey(await home.backend.localKey(), home.random(32), 'a', 'd'));
  const mine = await counted(vault, messageKey('r', 2, 2), row(2, { mine: true, expiresS: 300 }), now);
  await vault.write(
    await vault.put('messages', messageKey('r', 1, 1), row(1)), await vault.put('messages', messageKey('r', 2, 2), mine.row), ...mine.writes,
    await vault.put('messages', messageKey('r', 3, 3), row(3, { expiresS: 3600 })),
  );
  const thread: Thread = { ...newThread(), headSeq: 3, last: { id: 'id3', text: 'said 3', mine: false, atMs: 3, kind: 'text' } };
  const shown = async (): Promise<string[]> =>
    (await readStretch(vault, 'r', {}, () => true)).rows.filter(({ value }) => value.kind !== 'effect').map(({ value }) => value.text);
  const pass = async (): Promise<void> => {
    for (const [room, due] of await overdue(vault, now)) await vanish(home, vault, room, due, thread);
  };
  now += 299_000;
  await pass();
  assert.deepEqual(await shown(), ['said 1', 'said 2', 'said 3'], 'too early');
  now += 2_000;
  await pass();
  assert.deepEqual(await shown(), ['said 1', 'said 3']);
  now += 7_200_000;
  await pass();
  assert.deepEqual(await shown(), ['said 1', 'said 3'], 'what was not read does not count');
  await countRead(vault, 'r', '', now);
  await countRead(vault, 'r', '', now + 9_000_000);
  now += 3_601_000;
  await pass();
  assert.deepEqual(await shown(), ['said 1']);
  assert.deepEqual((await readStretch(vault, 'r', {}, () => true)).rows.map(({ value }) => value.seq), [1, 2, 3], 'no place is missing');
  assert.equal((await vault.get<Thread>('meta', 'thread/r'))?.last?.text, 'said 1');
  const kept = await vault.range<KeptMessage>('reports', { prefix: 'r/' });
  assert.deepEqual(kept.map(({ value }) => value.message.text), ['said 2', 'said 3']);
  assert.ok(kept.every(({ value }) => value.untilMs > now + 6 * 86_400_000 - 7_300_000));
  assert.deepEqual(await home.backend.range('meta', { prefix: 'expire/' }), []);
});
