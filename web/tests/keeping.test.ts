/** How a chat is kept on this device: pinned, muted, archived, half written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeDevice, NodeHome } from '../src/engine/home-node';
import { DELETED_KEPT_MS } from '../src/engine/folding';
import { isArchived, Keeping, MOST_PINNED } from '../src/engine/keeping';
import { messageKey, newThread, padded, type KeptMessage, type MessageRecord, type Thread } from '../src/engine/records';
import { KEPT_MS, Threads } from '../src/engine/threads';
import { rootKey, Vault } from '../src/engine/vault';
import { titled, waiting } from '../src/ui/badge';

async function scene(): Promise<{ home: NodeHome; vault: Vault; keeping: Keeping }> {
  const home = new NodeHome(new NodeDevice({ origin: 'http://h.example' }));
  const vault = new Vault(home, await rootKey(await home.backend.localKey(), home.random(32), 'a', 'd'));
  return { home, vault, keeping: new Keeping(home, vault) };
}
const spoken = (atMs: number): Thread => ({ ...newThread(), last: { text: 'x', mine: false, atMs, kind: 'text' } });

test('an archived chat comes back with the next message, and a muted one stays away', async () => {
  const { keeping } = await scene();
  await keeping.set('r', spoken(100), { archived: true });
  assert.equal((await keeping.shown('r', spoken(100))).archived, true);
  assert.equal((await keeping.shown('r', spoken(101))).archived, false);
  await keeping.set('r', spoken(101), { archived: true, muted: true });
  assert.equal((await keeping.shown('r', spoken(102))).archived, true);
  assert.equal(isArchived({ pinnedMs: null, muted: true, archivedAtMs: null }, spoken(1)), false);
});

test('five chats are pinned and a sixth is refused, also when two taps race; one that is put away is not pinned any more', async () => {
  const { keeping } = await scene();
  const pins = await Promise.allSettled(Array.from({ length: 7 }, (_, n) => keeping.set(`r${n}`, newThread(), { pinned: true })));
  assert.equal(pins.filter(({ status }) => status === 'fulfilled').length, MOST_PINNED);
  await keeping.set('r0', newThread(), { pinned: true });
  await keeping.set('r0', newThread(), { archived: true });
  assert.deepEqual(await keeping.shown('r0', newThread()), { pinned: false, muted: false, archived: true, draft: '' });
  await keeping.set('r6', newThread(), { pinned: true });
  assert.equal((await keeping.shown('r6', newThread())).pinned, true);
});

test('a draft is sealed: its words are nowhere in what is stored', async () => {
  const { home, keeping } = await scene();
  assert.equal(await keeping.setDraft('r', 'nightingale'), true);
  assert.equal(await keeping.setDraft('r', 'nightingale'), false);
  assert.equal((await keeping.shown('r', newThread())).draft, 'nightingale');
  const stored = await home.backend.range('meta', { prefix: '' });
  assert.ok(stored.length > 0);
  for (const { key, value } of stored) assert.ok(!key.includes('nightingale') && !Buffer.from(value).includes('nightingale'));
  await keeping.setDraft('r', '');
  assert.deepEqual(await home.backend.range('meta', { prefix: 'draft/' }), []);
});

test('the number on the window counts what may be counted', () => {
  const chat = { unread: 2, kind: 'direct', blocked: false, muted: false, archived: false, deleted: false, restricted: [] } as const;
  assert.equal(waiting([chat, { ...chat, restricted: ['them'] }, { ...chat, muted: true }, { ...chat, archived: true }, { ...chat, deleted: true }, { ...chat, unread: 1 }]), 3);
  assert.deepEqual([titled('Chats', 3), titled('Chats', 0)], ['(3) Chats', 'Chats']);
});

test('deleting a chat keeps its messages for a report, and nothing longer than it would have stayed', async () => {
  const { home, vault } = await scene();
  const never = null as never;
  const threads = new Threads(home, vault, never, 'me', never, () => false, never);
  const now = home.now();
  const row = (seq: number, over: Partial<MessageRecord> = {}): MessageRecord => ({
    kind: 'text', id: `id${seq}`, pos: seq, seq, atMs: seq, mine: false, sender: 's', text: 'x', replyTo: null, content: Uint8Array.of(seq),
    frank: { roomSeq: seq } as MessageRecord['frank'], ...over,
  });
  const takenBack: KeptMessage = { message: row(1), untilMs: now + 1000 };
  await vault.write(
    await vault.put('reports', `r/${padded(1)}`, takenBack),
    await vault.put('messages', messageKey('r', 2, 2), row(2, { expiresS: 1, expiresMs: now + 2000 })),
    await vault.put('messages', messageKey('r', 3, 3), row(3)),
    await vault.put('meta', 'thread/r', { ...newThread(), headSeq: 3 } satisfies Thread),
  );
  for (let again = 0; again < 2; again++) {
    await threads.deleteThread('r');
    assert.deepEqual(await vault.range('messages', { prefix: 'r/' }), []);
    const ends = (await vault.range<KeptMessage>('reports', { prefix: 'r/' })).map(({ value }) => value.untilMs);
    assert.deepEqual(ends.slice(0, 2), [now + 1000, now + 2000 + DELETED_KEPT_MS]);
    assert.ok(ends[2]! >= now + KEPT_MS && ends[2]! < now + KEPT_MS + 60_000, 'the control: an ordinary message stays a month');
  }
});
