import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { utf8 } from '../src/protocol/bytes';
import { FileBackend, NodeDevice, NodeHome } from '../src/engine/home-node';
import { rootKey, Unsealable, Vault } from '../src/engine/vault';
import { gapsBefore } from '../src/engine/threads';

const share = new Uint8Array(32).fill(9);

async function vaultOn(home: NodeHome, withShare = share, device = 'd'): Promise<Vault> {
  return new Vault(home, await rootKey(await home.backend.localKey(), withShare, 'a', device));
}

test('a sealed record opens again, and its bytes say nothing of it', async () => {
  const home = new NodeHome(new NodeDevice({ origin: 'http://h.example' }));
  const vault = await vaultOn(home);
  await vault.save('meta', 'k', { words: 'a canary', bytes: utf8('b') });
  assert.deepEqual(await vault.get('meta', 'k'), { words: 'a canary', bytes: utf8('b') });
  const raw = (await home.backend.get('meta', 'k'))!;
  assert.ok(!Buffer.from(raw).includes('canary'));
});

test('another share, another device or another place opens nothing', async () => {
  const home = new NodeHome(new NodeDevice({ origin: 'http://h.example' }));
  const vault = await vaultOn(home);
  await vault.save('meta', 'k', 1);
  await assert.rejects((await vaultOn(home, new Uint8Array(32))).get('meta', 'k'), Unsealable);
  await assert.rejects((await vaultOn(home, share, 'other')).get('meta', 'k'), Unsealable);
  const sealed = await home.backend.get('meta', 'k');
  await home.backend.write([{ store: 'meta', key: 'other', value: sealed }, { store: 'outbox', key: 'k', value: sealed }]);
  await assert.rejects(vault.get('meta', 'other'), Unsealable);
  await assert.rejects(vault.get('outbox', 'k'), Unsealable);
});

test('a store on disk comes back after a restart, and a torn last transaction is dropped whole', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kith-store-'));
  const first = new FileBackend(folder, true);
  await first.write([{ store: 'meta', key: 'a', value: utf8('1') }, { store: 'meta', key: 'b', value: utf8('2') }]);
  await first.write([{ store: 'meta', key: 'a', value: null }]);
  appendFileSync(join(folder, 'journal'), Uint8Array.of(0, 0, 0, 50, 1, 2, 3));
  const second = new FileBackend(folder, true);
  assert.equal(await second.get('meta', 'a'), null);
  assert.deepEqual(await second.get('meta', 'b'), utf8('2'));
  await second.write([{ store: 'meta', key: 'c', value: utf8('3') }]);
  assert.deepEqual(await new FileBackend(folder, true).get('meta', 'c'), utf8('3'));
  assert.equal(statSync(join(folder, 'journal')).mode & 0o077, 0);
  await second.erase();
  assert.equal(await new FileBackend(folder, true).get('meta', 'b'), null);
  rmSync(folder, { recursive: true, force: true });
});

test('ranges come in order, in reverse, bounded and limited', async () => {
  const store = new FileBackend(null, false);
  await store.write(['r/2', 'r/1', 'r/3', 's/1'].map((key) => ({ store: 'messages', key, value: utf8(key) })));
  const keys = async (range: Parameters<FileBackend['range']>[1]): Promise<string[]> => (await store.range('messages', range)).map(({ key }) => key);
  assert.deepEqual(await keys({ prefix: 'r/' }), ['r/1', 'r/2', 'r/3']);
  assert.deepEqual(await keys({ prefix: 'r/', reverse: true, limit: 2 }), ['r/3', 'r/2']);
  assert.deepEqual(await keys({ prefix: 'r/', before: 'r/3', reverse: true }), ['r/2', 'r/1']);
});

test('gaps are counted before the row that shows them, and a tombstone stands for one of them', () => {
  const text = (seq: number): { seq: number; kind: 'text' } => ({ seq, kind: 'text' });
  const grave = { seq: null, kind: 'tombstone' } as const;
  const note = { seq: null, kind: 'info' } as const;
  const table: [Parameters<typeof gapsBefore>[0], number, number[]][] = [
    [[text(1), text(2)], 0, [0, 0]],
    [[text(1), text(4)], 0, [0, 2]],
    [[text(5)], 2, [2]],
    [[text(1), grave, text(3)], 0, [0, 0, 0]],
    [[text(1), grave, text(4)], 0, [0, 0, 1]],
    [[text(1), note, text(3)], 0, [0, 0, 1]],
    [[], 0, []],
  ];
  for (const [rows, before, gaps] of table) assert.deepEqual(gapsBefore(rows, before), gaps);
});
