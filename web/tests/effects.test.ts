/** What messages do to each other: the rules, the same end in any order of arrival, and the bytes that Python writes too. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { effectOf, forwardsOf, selected } from '../src/engine/effects';
import { DELETED_KEPT_MS, Folding, MOST_HELD } from '../src/engine/folding';
import { NodeDevice, NodeHome } from '../src/engine/home-node';
import { rowOf, type Genuine } from '../src/engine/receive';
import { messageKey, newThread, type HeldEffect, type KeptMessage, type MessageRecord, type Thread } from '../src/engine/records';
import { reactionsOf } from '../src/engine/shown';
import { rootKey, Vault } from '../src/engine/vault';
import { fromHex, toHex, type Bytes } from '../src/protocol/bytes';
import {
  contentOf, decodeContent, encodeContent, messageId, nullPart, reactionPart, textPart, withWords, type Content, type Head, type Part,
} from '../src/protocol/content';
import { isOneEmoji } from '../src/protocol/emoji';
import { accountUri, deviceUri, roomUri } from '../src/protocol/uris';
import { account, golden } from './shared';

const SERVER = 'h.example';
const ROOM = account(0xf1);
const [ME, THEM, THIRD] = [account(1), account(2), account(3)];
const HOUR = 3_600_000;
const START = 1_700_000_000_000;

/** A message as the hub accepted it: its row, and the id that others name. */
interface Said { row: MessageRecord; id: Bytes; key: string }

/** Writes the messages of one room without sending them anywhere. */
class Script {
  seq = 0;
  readonly said: Said[] = [];

  say(sender: string, part: Part, also: { replaces?: Bytes; inReplyTo?: Bytes; forwards?: number } = {}, atMs = START + this.seq * 1000): Said {
    const salt = crypto.getRandomValues(new Uint8Array(16));
    const head: Head = { salt, sender: accountUri(SERVER, sender), room: roomUri(SERVER, ROOM) };
    const content = contentOf(head, part, also);
    const bytes = encodeContent(content);
    const id = messageId(head.sender, head.room, bytes, salt);
    const frank: Genuine['frank'] = {
      acceptedTimestamp: atMs, epoch: 1, roomSeq: ++this.seq, hubKeyId: 1, serverFrank: new Uint8Array(32), suite: 1, proof: new Uint8Array(1),
      senderUri: head.sender, roomUri: head.room, senderDevice: deviceUri(SERVER, sender),
    };
    const said = { row: rowOf({ content, bytes, id, frank }, this.seq, ME), id, key: messageKey(ROOM, this.seq, this.seq) };
    this.said.push(said);
    return said;
  }

  text(sender: string, text: string): Said { return this.say(sender, textPart(text)); }
  edit(sender: string, of: Said, text: string, atMs?: number): Said { return this.say(sender, textPart(text), { replaces: of.id }, atMs); }
  withdraw(sender: string, of: Said, atMs?: number): Said { return this.say(sender, nullPart(), { replaces: of.id }, atMs); }
  react(sender: string, to: Said, symbol: string): Said { return this.say(sender, reactionPart(symbol), { inReplyTo: to.id }); }
  instead(sender: string, of: Said, symbol: string): Said { return this.say(sender, reactionPart(symbol), { replaces: of.id }); }
}

/** One device's store of the room. */
class Store {
  thread: Thread = newThread();
  foreign = 0;
  private constructor(readonly vault: Vault, readonly home: NodeHome) {}

  static async create(): Promise<Store> {
    const home = new NodeHome(new NodeDevice({ origin: 'http://h.example' }));
    return new Store(new Vault(home, await rootKey(await home.backend.localKey(), new Uint8Array(32), ME, account(11))), home);
  }

  async take(...arrivals: Said[]): Promise<void> {
    for (const { key, row } of arrivals) {
      const folding = new Folding(this.vault, ROOM, START, this.thread);
      await folding.add(key, row);
      this.foreign += folding.foreign.size;
      this.thread = folding.thread;
      await this.vault.write(...(await folding.writes()));
    }
  }

  async rows(): Promise<MessageRecord[]> {
    return (await this.vault.range<MessageRecord>('messages', { prefix: ROOM })).map(({ value }) => value);
  }

  /** What the thread shows, in its order. */
  async seen(): Promise<unknown[]> {
    const rows = (await this.rows()).filter(({ kind }) => kind !== 'effect');
    return Promise.all(rows.map(async (row) => {
      const reactions = await reactionsOf(row, ME, async (one) => one);
      const given = reactions.map(({ symbol, mine, names }) => `${symbol} ${mine} ${[...names].sort().join()}`).sort();
      return [row.kind, row.text, row.edited === true, row.edits?.map(({ id }) => id) ?? [], given];
    }));
  }

  async shown(): Promise<string[]> {
    return (await this.rows()).filter(({ kind }) => kind !== 'effect').map(({ kind, text }) => (kind === 'text' ? text : kind));
  }

  async reactions(at = 0): Promise<string[]> {
    const row = (await this.rows()).filter(({ kind }) => kind !== 'effect')[at]!;
    return (await reactionsOf(row, ME, async () => null)).map(({ symbol, count, mine }) => `${symbol}${count}${mine ? ' mine' : ''}`);
  }

  async kept(): Promise<KeptMessage[]> {
    return (await this.vault.range<KeptMessage>('reports', { prefix: ROOM })).map(({ value }) => value);
  }

  close(): void {
    this.home.close();
  }
}

async function after(play: (script: Script) => void): Promise<Store> {
  const [script, store] = [new Script(), await Store.create()];
  play(script);
  await store.take(...script.said);
  return store;
}

test('an edit shows its words and keeps the earlier ones; of several the newest counts', async () => {
  const store = await after((s) => {
    const first = s.text(THEM, 'at nine');
    const second = s.edit(THEM, first, 'at ten');
    s.edit(THEM, second, 'at eleven'); // naming the edit means the message
  });
  assert.deepEqual(await store.shown(), ['at eleven']);
  const [row] = await store.rows();
  assert.equal(row!.edits?.length, 2);
  assert.match(new TextDecoder().decode(row!.content!), /at nine/);
  store.close();
});

test('an edit after 24 hours counts for an hour more and no longer, and so does the eleventh', async () => {
  const late = async (ms: number): Promise<string[]> => {
    const store = await after((s) => {
      const first = s.text(THEM, 'first');
      s.edit(THEM, first, 'changed', first.row.atMs + ms);
    });
    store.close();
    return store.shown();
  };
  assert.deepEqual(await late(25 * HOUR), ['changed']);
  assert.deepEqual(await late(25 * HOUR + 1), ['first']);
  const often = await after((s) => {
    const first = s.text(THEM, 'v0');
    for (let n = 1; n <= 11; n++) s.edit(THEM, first, `v${n}`);
  });
  assert.deepEqual(await often.shown(), ['v10']);
  assert.deepEqual((await often.kept()).map(({ message }) => message.text), ['v11'], 'shown nowhere, and reportable for a while');
  often.close();
});

test('a delete leaves a placeholder; the message and its edits stay reportable for seven days and are nowhere else', async () => {
  const script = new Script();
  const store = await Store.create();
  const first = script.text(THEM, 'canary one');
  script.edit(THEM, first, 'canary two');
  script.withdraw(THEM, first);
  await store.take(...script.said);
  assert.deepEqual(await store.shown(), ['deleted']);
  for (const row of await store.rows()) assert.doesNotMatch(JSON.stringify(row) + new TextDecoder().decode(row.content ?? new Uint8Array()), /canary/);
  const kept = await store.kept();
  assert.deepEqual(kept.map(({ message, untilMs }) => [message.seq, untilMs]), [[1, START + DELETED_KEPT_MS], [2, START + DELETED_KEPT_MS]]);
  const late = script.edit(THEM, first, 'canary three'); // words for what is gone go where it went
  const spoof = script.react(THIRD, first, '👍');
  await store.take(late, spoof);
  assert.deepEqual(await store.shown(), ['deleted']);
  assert.deepEqual((await store.kept()).map(({ message }) => message.seq), [1, 2, 4]);
  store.close();
});

test('a delete that comes after 25 hours is not followed', async () => {
  const store = await after((s) => {
    const first = s.text(THEM, 'old');
    s.withdraw(THEM, first, first.row.atMs + 25 * HOUR + 1);
  });
  assert.deepEqual(await store.shown(), ['old']);
  store.close();
});

test('nobody edits, deletes or takes back what is somebody else’s, and the attempt is counted to be said', async () => {
  const store = await after((s) => {
    const mine = s.text(ME, 'mine');
    const liked = s.react(THEM, mine, '👍');
    s.edit(THEM, mine, 'not mine');
    s.withdraw(THEM, mine);
    s.withdraw(THIRD, liked);
    s.instead(THIRD, liked, '😢');
  });
  assert.deepEqual(await store.shown(), ['mine']);
  assert.deepEqual(await store.reactions(), ['👍1']);
  assert.equal(store.foreign, 4);
  store.close();
});

test('reactions count people, change and end; a string that is no emoji is an answer', async () => {
  const store = await after((s) => {
    const first = s.text(ME, 'good news');
    s.react(THEM, first, '👍');
    const mine = s.react(ME, first, '👍');
    const third = s.react(THIRD, first, '❤️');
    s.instead(ME, mine, '😂');
    s.withdraw(THIRD, third);
    s.say(THIRD, reactionPart('well done'), { inReplyTo: first.id });
    s.say(THIRD, { disposition: 0, language: '', kind: 'multi', semantics: 'processAll', parts: [reactionPart('😮'), reactionPart('🙏')] }, { inReplyTo: first.id });
  });
  assert.deepEqual(await store.reactions(), ['👍1', '😂1 mine', '😮1', '🙏1']);
  assert.deepEqual(await store.shown(), ['good news', 'well done']);
  assert.equal((await store.rows()).find(({ text }) => text === 'well done')?.replyTo?.length, 64);
  store.close();
});

test('one person cannot make a row heavy: of many reactions a few are kept', async () => {
  const store = await after((s) => {
    const first = s.text(ME, 'x');
    for (let n = 0; n < 40; n++) s.react(THEM, first, ['👍', '❤️', '😂'][n % 3]!);
  });
  assert.ok((await store.rows())[0]!.reactions!.length <= 12);
  store.close();
});

test('what names a message that is not here waits for it, so many and so long, and no more', async () => {
  const [script, store] = [new Script(), await Store.create()];
  const first = script.text(THEM, 'late');
  const edit = script.edit(THEM, first, 'late, changed');
  await store.take(edit);
  assert.deepEqual(await store.shown(), []);
  await store.take(first);
  assert.deepEqual(await store.shown(), ['late, changed']);
  const base = script.text(THEM, 'base');
  const chain = [script.edit(THEM, base, 'second')];
  for (const words of ['third', 'fourth']) chain.push(script.edit(THEM, chain.at(-1)!, words));
  await store.take(...chain, base);
  assert.deepEqual(await store.shown(), ['late, changed', 'fourth'], 'an edit of an edit of an edit waits for the message itself');
  const lost = script.text(THEM, 'lost');
  for (let n = 0; n < MOST_HELD + 20; n++) await store.take(script.react(THIRD, lost, '👍'));
  const held = await store.vault.range<HeldEffect>('meta', { prefix: 'held/' });
  assert.equal(held.length, MOST_HELD);
  const kept = script.text(THEM, 'kept'); // another one's flood takes nobody else's places
  await store.take(script.edit(THEM, kept, 'kept, changed'), kept);
  assert.equal((await store.shown()).at(-1), 'kept, changed');
  const folding = new Folding(store.vault, ROOM, held[0]!.value.untilMs + 1, store.thread);
  await folding.add(lost.key, lost.row); // it comes too late for those that waited
  await store.vault.write(...(await folding.writes()));
  assert.equal((await store.rows()).find(({ text }) => text === 'lost')?.reactions, undefined);
  assert.equal((await store.vault.range('meta', { prefix: 'held/' })).length, 0);
  store.close();
});

test('the chat list: a reaction is news only about a message of mine, is not unread, and leaves what was there before', async () => {
  const [script, store] = [new Script(), await Store.create()];
  const mine = script.text(ME, 'mine');
  const theirs = script.text(THEM, 'theirs');
  await store.take(mine, theirs);
  store.thread = { ...store.thread, unread: 1, readSeq: 1 };
  const line = (): unknown[] => [store.thread.last?.kind, store.thread.last?.text, store.thread.unread];
  await store.take(script.react(THIRD, theirs, '😂'));
  assert.deepEqual(line(), ['text', 'theirs', 1]);
  const liked = script.react(THEM, mine, '👍');
  await store.take(liked);
  assert.deepEqual(line(), ['reaction', '👍', 1]);
  await store.take(script.edit(THEM, theirs, 'theirs, changed'), script.instead(THEM, liked, '❤️'));
  assert.deepEqual(line(), ['reaction', '❤️', 1]);
  await store.take(script.withdraw(THEM, liked));
  assert.deepEqual(line(), ['text', 'theirs, changed', 1]);
  await store.take(script.withdraw(THEM, theirs));
  assert.deepEqual(line(), ['deleted', '', 0]);
  store.close();
});

/** A seeded stream of numbers below 1 (mulberry32). */
function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Thirty messages of three people that do everything to each other, also what they may not. */
function mischief(next: () => number): Script {
  const script = new Script();
  const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)]!;
  script.text(ME, 'm0');
  for (let n = 1; n < 30; n++) {
    const [who, target] = [pick([ME, THEM, THIRD]), pick(script.said)];
    switch (Math.floor(next() * 6)) {
      case 0: script.text(who, `m${n}`); break;
      case 1: script.edit(who, target, `e${n}`); break;
      case 2: if (next() < 0.4) script.withdraw(who, target); break;
      case 3: script.instead(who, target, pick(['😂', '🙏'])); break;
      default: script.react(who, target, pick(['👍', '❤️', '😢']));
    }
  }
  return script;
}

test('the same messages in any order of arrival end in the same thread', async () => {
  for (let seed = 1; seed <= 12; seed++) {
    const next = seeded(seed);
    const script = mischief(next);
    const ordered = await Store.create();
    await ordered.take(...script.said);
    const expected = await ordered.seen();
    for (let turn = 0; turn < 3; turn++) {
      const shuffled = [...script.said].map((said) => ({ said, at: next() })).sort((a, b) => a.at - b.at).map(({ said }) => said);
      const store = await Store.create();
      await store.take(...shuffled);
      assert.deepEqual(await store.seen(), expected, `seed ${seed}, turn ${turn}`);
      store.close();
    }
    ordered.close();
  }
});

test('a report holds the original with its edits, whichever is reported, and never more than its number', () => {
  const row = (seq: number, edits?: string): MessageRecord => ({
    kind: edits ? 'effect' : 'text', id: `m${seq}`, pos: seq, seq, atMs: seq, mine: false, sender: THEM, text: '', replyTo: null,
    content: new Uint8Array(1), frank: null, ...(edits ? { effect: { what: 'edit' as const, base: edits } } : {}),
  });
  const rows = [row(1), ...Array.from({ length: 20 }, (_, n) => row(n + 2)), row(22, 'm1'), row(23), row(24, 'm23'), row(25)];
  const ids = (message: string | undefined, most = 6): string[] => selected(rows, message, most).map(({ id }) => id);
  assert.deepEqual(ids('m23'), ['m1', 'm20', 'm21', 'm22', 'm23', 'm24']);
  assert.deepEqual(ids('m1'), ['m1', 'm22']);
  assert.deepEqual(ids('m21'), ['m16', 'm17', 'm18', 'm19', 'm20', 'm21']);
  assert.deepEqual(ids(undefined, 30).length, rows.length);
  for (const most of [1, 2, 3, 30]) for (const { id } of rows) {
    const found = ids(id, most);
    assert.ok(found.length <= most && found.length > 0, `${id} of ${most}`);
    assert.equal(found.length, new Set(found).size);
  }
});

test('new words leave the files of a message as they are', () => {
  const file: Part = {
    disposition: 4, language: '', kind: 'external', contentType: 'image/webp', url: 'mimi://h.example/b/x', expires: 0, size: 1n, encAlg: 2,
    key: new Uint8Array(32), nonce: new Uint8Array(12), aad: new Uint8Array(), hashAlg: 1, contentHash: new Uint8Array(32), description: '', filename: '',
  };
  const both: Part = { disposition: 1, language: '', kind: 'multi', semantics: 'processAll', parts: [textPart('old'), file] };
  assert.deepEqual(withWords(both, 'new'), { ...both, parts: [textPart('new'), file] });
  assert.deepEqual(withWords(both, ''), file);
  assert.deepEqual(withWords(file, 'new'), { ...both, disposition: file.disposition, parts: [textPart('new'), file] });
  assert.deepEqual(withWords(textPart('old'), 'new'), textPart('new'));
});

interface GoldenWords {
  emoji: { text: string; one: boolean }[];
  contents: { name: string; bytes: string; change: { what: string; target: string; symbols?: string[]; instead?: boolean } | null; forwarded: number }[];
}
const words = golden<GoldenWords>('words');

test('the golden words: one emoji is one emoji, and every message does what the other client says', { skip: words ? false : 'the golden file is not there' }, () => {
  for (const { text, one } of words!.emoji) assert.equal(isOneEmoji(text), one, JSON.stringify(text));
  for (const { name, bytes, change, forwarded } of words!.contents) {
    const content: Content = decodeContent(fromHex(bytes));
    assert.deepEqual(effectOf(content), change, name);
    assert.equal(forwardsOf(content), forwarded, name);
    assert.equal(toHex(encodeContent(content)), bytes, name);
  }
});
