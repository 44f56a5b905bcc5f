/** Edits, deletes, reactions and forwarding from the wish to the wire: the outbox, what is shown meanwhile, what is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Message } from '../src/engine/contract';
import { Problem } from '../src/engine/errors';
import { DELETED_KEPT_MS } from '../src/engine/folding';
import { outboxKey, type OutboxRecord } from '../src/engine/records';
import { KEPT_MS } from '../src/engine/threads';
import { Words } from '../src/engine/words';
import { withFiles } from '../src/protocol/attachments';
import { equal, toHex, type Bytes } from '../src/protocol/bytes';
import { contentOf, decodeContent, encodeContent, EXT_FORWARDS, MAX_CONTENT, nullPart, reactionPart, textContent, textPart, type Content } from '../src/protocol/content';
import type { Refused } from '../src/protocol/frames';
import { accountUri, roomUri } from '../src/protocol/uris';
import { ELSEWHERE, ME, ROOM, Scene, SERVER, THEM } from './evil-scene';

const DAY = 24 * 3_600_000;
const also = (part: Content['part'], more: Partial<Content> = {}): Partial<Content> => ({ part, ...more });

/** A chat, and a person who does things to its messages. */
class Desk {
  #n = 0;
  private constructor(readonly scene: Scene, readonly words: Words) {}

  static async open(): Promise<Desk> {
    const scene = await Scene.create(true, 'direct');
    const desk: Desk = new Desk(scene, new Words({
      home: scene.home, vault: scene.vault, threads: scene.threads, room: () => scene.room,
      outgoing: async (room, text) => desk.#outgoing(room, text), writable: async () => new Set([ROOM]),
      queued: () => scene.room.pump(), dropped: () => undefined, changed: () => undefined,
    }));
    return desk;
  }

  #outgoing(room: string, text: string): OutboxRecord {
    const createdMs = this.scene.home.now() + ++this.#n;
    return { id: (this.#n + 0xabc0).toString(16).padStart(32, '0'), room, createdMs, text, replyTo: null, stage: 'plain', sealed: null, failure: null };
  }

  /** Says something; the server has not answered. */
  async says(text: string, more: Partial<OutboxRecord> = {}): Promise<string> {
    const record = { ...this.#outgoing(ROOM, text), ...more };
    await this.scene.vault.save('outbox', outboxKey(record), record);
    this.scene.room.pump();
    await this.scene.settled();
    return record.id;
  }

  /** The server takes everything that goes out, one after the other; what went out. */
  async flush(): Promise<Content[]> {
    const out: Content[] = [];
    await this.scene.settled();
    for (;;) {
      const submit = this.scene.submits().at(-1);
      if (!submit || !this.scene.room.awaits(submit.key as Bytes)) return out;
      const answer = await this.scene.answer(submit);
      out.push(answer.content);
      await this.scene.hears(answer);
    }
  }

  async sent(text: string): Promise<Message> {
    await this.says(text);
    await this.flush();
    return (await this.scene.rows()).findLast((message) => message.text === text)!;
  }

  async hears(text: string, more: Partial<Content> = {}): Promise<{ id: Bytes; message: Message }> {
    const said = await this.scene.says(text, {}, more);
    await this.scene.message(said);
    return { id: said.id, message: (await this.scene.rows()).find(({ id }) => id === toHex(said.id))! };
  }

  async row(id: string): Promise<Message> {
    return (await this.scene.rows()).find((message) => message.id === id)!;
  }

  threads(): Scene['threads'] {
    return this.scene.threads;
  }

  /** What the peer's contents commit to. */
  extensions(): Content['extensions'] {
    return new Map<number | bigint | string, unknown>([[1, accountUri(SERVER, THEM)], [2, roomUri(SERVER, ROOM)]]);
  }

  outbox(): Promise<OutboxRecord[]> {
    return this.scene.room.outbox();
  }

  close(): void {
    this.scene.room.stop();
    this.scene.home.close();
  }
}

const refusal = (wire: { key: Uint8Array }, code: string): Refused => ({ kind: 'refused', key: wire.key as Bytes, code, details: '', retryAfterMs: null });

test('an edit shows at once, goes out once, and is sent again byte for byte after a lost connection', async () => {
  const desk = await Desk.open();
  const { id } = await desk.sent('at nine');
  await desk.words.edit({ room: ROOM, id, text: 'at ten' });
  await desk.scene.settled();
  const shown = await desk.row(id);
  assert.deepEqual([shown.text, shown.edited, shown.change?.what, shown.change?.failed], ['at ten', true, 'edit', false]);
  const first = desk.scene.submits().at(-1)!;
  desk.scene.room.disconnected();
  desk.scene.room.pump();
  await desk.scene.settled();
  const again = desk.scene.submits().at(-1)!;
  assert.notEqual(again, first);
  assert.ok(equal(again.message as Bytes, first.message as Bytes) && equal(again.key as Bytes, first.key as Bytes));
  const [content] = await desk.flush();
  assert.equal(toHex(content!.replaces!), id);
  const stands = await desk.row(id);
  assert.deepEqual([stands.text, stands.edited, stands.change], ['at ten', true, null]);
  assert.deepEqual((await desk.words.versions({ room: ROOM, id })).map(({ text }) => text), ['at nine']);
  assert.deepEqual(await desk.outbox(), []);
  desk.close();
});

test('what has not left is edited where it waits; what is on its way is edited after it', async () => {
  const desk = await Desk.open();
  const [first, second] = [await desk.says('one'), await desk.says('two')]; // one is sealed and out, two waits
  await desk.words.edit({ room: ROOM, id: second, text: 'two, changed' });
  await desk.words.edit({ room: ROOM, id: first, text: 'one, changed' });
  await desk.words.edit({ room: ROOM, id: first, text: 'one, changed again' });
  assert.deepEqual((await desk.scene.rows()).map(({ text }) => text), ['one, changed again', 'two, changed']);
  const contents = await desk.flush();
  assert.deepEqual(contents.map(({ replaces }) => replaces !== null), [false, false, true]);
  assert.deepEqual((await desk.scene.rows()).map(({ text, edited }) => [text, edited]), [['one, changed again', true], ['two, changed', false]]);
  desk.close();
});

test('a refused change says so, leaves the message as it is, and can be tried again or dropped', async () => {
  const desk = await Desk.open();
  const { id } = await desk.sent('words');
  await desk.words.edit({ room: ROOM, id, text: 'other words' });
  await desk.scene.settled();
  await desk.scene.hears(refusal(desk.scene.submits().at(-1)!, 'not_allowed'));
  const failed = await desk.row(id);
  assert.deepEqual([failed.text, failed.edited, failed.change?.failed], ['words', false, true]);
  await desk.words.edit({ room: ROOM, id, text: 'third words' });
  await desk.flush();
  assert.equal((await desk.row(id)).text, 'third words');
  await desk.words.delete({ room: ROOM, id, everyone: true });
  await desk.scene.settled();
  await desk.scene.hears(refusal(desk.scene.submits().at(-1)!, 'not_allowed'));
  const { change } = await desk.row(id);
  await desk.words.delete({ room: ROOM, id: change!.id, everyone: false });
  assert.deepEqual([(await desk.row(id)).change, await desk.outbox()], [null, []]);
  desk.close();
});

test('a timer that the server refuses is no silence: it stands at the end of the chat, to be tried again or dropped', async () => {
  const desk = await Desk.open();
  await desk.sent('words');
  const timer = async (seconds: number): Promise<void> => {
    await desk.says('', { timer: seconds });
  };
  const line = async (): Promise<unknown[]> => {
    const { kind, text, change, place } = (await desk.scene.rows()).at(-1)!;
    return [kind, text, change?.what, change?.failed, place];
  };
  await timer(3600);
  assert.deepEqual(await line(), ['info', 'You set messages to disappear 1 hour after they are read.', 'timer', false, null]);
  await desk.scene.hears(refusal(desk.scene.submits().at(-1)!, 'not_allowed'));
  assert.deepEqual((await line()).slice(2), ['timer', true, null]);
  await desk.words.delete({ room: ROOM, id: (await desk.outbox())[0]!.id, everyone: false });
  assert.deepEqual([(await desk.scene.rows()).at(-1)!.text, await desk.outbox()], ['words', []]);
  desk.close();
});

test('a failed change to what is not on the page is named at the end of the chat, one that is beside its message is not', async () => {
  const desk = await Desk.open();
  const { id } = await desk.sent('long ago');
  await desk.words.edit({ room: ROOM, id, text: 'other words' });
  await desk.scene.settled();
  await desk.scene.hears(refusal(desk.scene.submits().at(-1)!, 'not_allowed'));
  for (const text of ['one', 'two', 'three']) await desk.sent(text);
  const changes = async (limit: number): Promise<unknown[]> =>
    (await desk.threads().page(ROOM, { limit })).messages.map(({ kind, text, change }) => [kind, text, change?.what ?? null]);
  assert.deepEqual(await changes(2), [['text', 'two', null], ['text', 'three', null], ['info', '', 'edit']]);
  assert.deepEqual(await changes(9), [['text', 'long ago', 'edit'], ['text', 'one', null], ['text', 'two', null], ['text', 'three', null]]);
  desk.close();
});

test('deleting for everyone: gone at once, the words of unsent edits never leave, and the other side is told of the first version', async () => {
  const desk = await Desk.open();
  const { id } = await desk.sent('a secret');
  await desk.words.edit({ room: ROOM, id, text: 'a secret, edited' });
  await desk.flush();
  await desk.says('in the way'); // out and unanswered: what follows waits
  await desk.words.edit({ room: ROOM, id, text: 'never said' });
  await desk.words.delete({ room: ROOM, id, everyone: true });
  assert.deepEqual([(await desk.row(id)).kind, (await desk.row(id)).text], ['deleted', '']);
  const contents = await desk.flush();
  assert.deepEqual(contents.map(({ part }) => part.kind), ['single', 'null']);
  assert.equal(toHex(contents[1]!.replaces!), id);
  assert.equal((await desk.row(id)).kind, 'deleted');
  assert.ok((await desk.threads().preview(THEM, ROOM)).rows.some(({ text }) => text === 'a secret, edited'));
  desk.close();
});

test('an unsent message is simply gone; one on its way is deleted after it arrived', async () => {
  const desk = await Desk.open();
  const [first, second] = [await desk.says('on its way'), await desk.says('still here')];
  await desk.words.delete({ room: ROOM, id: second, everyone: true });
  await assert.rejects(desk.words.delete({ room: ROOM, id: first, everyone: false }), { code: 'conflict' });
  await desk.words.delete({ room: ROOM, id: first, everyone: true });
  assert.deepEqual((await desk.scene.rows()).map(({ kind }) => kind), ['deleted']);
  assert.deepEqual((await desk.flush()).map(({ part }) => part.kind), ['single', 'null']);
  assert.deepEqual((await desk.scene.rows()).map(({ kind }) => kind), ['deleted']);
  desk.close();
});

test('my one reaction: another in its place, none, and only the last wish is sent', async () => {
  const desk = await Desk.open();
  const { message } = await desk.hears('good news');
  const react = (symbol: string | null): Promise<null> => desk.words.react({ room: ROOM, id: message.id, symbol });
  const seen = async (): Promise<string[]> => (await desk.row(message.id)).reactions.map(({ symbol, count, mine }) => `${symbol}${count}${mine}`);
  await react('👍');
  assert.deepEqual(await seen(), ['👍1true']);
  assert.equal((await desk.flush()).length, 1);
  assert.deepEqual([await seen(), await desk.outbox()], [['👍1true'], []]);
  await react('❤️');
  await desk.scene.settled();
  await react('😂'); // the heart is on its way
  const contents = await desk.flush();
  assert.deepEqual(contents.map(({ replaces }) => replaces !== null), [true, true]);
  assert.deepEqual(await seen(), ['😂1true']);
  await react('😂');
  await desk.scene.settled();
  assert.deepEqual([await desk.flush(), await desk.outbox()], [[], []], 'what is so already is not sent');
  await react(null);
  const [gone] = await desk.flush();
  assert.equal(gone!.part.kind, 'null');
  assert.deepEqual([await seen(), await desk.outbox()], [[], []]);
  await assert.rejects(react('two words'), { code: 'invalid' });
  desk.close();
});

test('two of my devices reacted at once: the next wish leaves one', async () => {
  const desk = await Desk.open();
  const { id, message } = await desk.hears('hello');
  await desk.words.react({ room: ROOM, id: message.id, symbol: '👍' });
  await desk.flush();
  const key = (await desk.scene.vault.get<string>('meta', `mid/${message.id}`))!;
  const row = (await desk.scene.vault.get<{ reactions: object[] }>('messages', key))!;
  const other = { id: 'ab'.repeat(32), sender: ME, symbols: ['😮'], seq: 1 };
  await desk.scene.vault.save('messages', key, { ...row, reactions: [...row.reactions, other] });
  await desk.words.react({ room: ROOM, id: toHex(id), symbol: null });
  await desk.scene.settled();
  const first = await desk.scene.answer(desk.scene.submits().at(-1)!);
  await desk.scene.hears(first);
  assert.equal(first.content.part.kind, 'null');
  assert.equal((await desk.outbox()).length, 1, 'the wish stays until none is left');
  desk.close();
});

test('limits of the sender: 24 hours, ten times, own messages only', async () => {
  const desk = await Desk.open();
  const { id } = await desk.sent('v0');
  for (let n = 1; n <= 10; n++) {
    await desk.words.edit({ room: ROOM, id, text: `v${n}` });
    await desk.flush();
  }
  assert.deepEqual((await desk.row(id)).may, { edit: false, delete: true });
  await assert.rejects(desk.words.edit({ room: ROOM, id, text: 'v11' }), { code: 'too_late' });
  await desk.scene.later(DAY);
  assert.deepEqual((await desk.row(id)).may, { edit: false, delete: false });
  await assert.rejects(desk.words.delete({ room: ROOM, id, everyone: true }), { code: 'too_late' });
  const { message } = await desk.hears('theirs');
  await assert.rejects(desk.words.edit({ room: ROOM, id: message.id, text: 'mine now' }), { code: 'too_late' });
  await assert.rejects(desk.words.delete({ room: ROOM, id: message.id, everyone: true }), { code: 'too_late' });
  await assert.rejects(desk.words.edit({ room: ROOM, id, text: '  ' }), { code: 'invalid' });
  await assert.rejects(desk.words.react({ room: ROOM, id: '00'.repeat(32), symbol: '👍' }), { code: 'not_found' });
  desk.close();
});

test('what its sender deleted can be reported for seven days, what I deleted for thirty, and then it is gone', async () => {
  const desk = await Desk.open();
  const theirs = await desk.hears('canary of theirs');
  const mine = await desk.hears('canary that I delete');
  await desk.hears('', also(nullPart(), { replaces: theirs.id }));
  await desk.words.delete({ room: ROOM, id: mine.message.id, everyone: false });
  assert.doesNotMatch(JSON.stringify(await desk.scene.rows()), /canary/);
  const reportable = async (): Promise<string[]> => (await desk.threads().preview(THEM, ROOM)).rows.map(({ text }) => text).filter((text) => /canary/.test(text));
  assert.deepEqual(await reportable(), ['canary of theirs', 'canary that I delete']);
  assert.equal((await desk.threads().preview(THEM, ROOM, theirs.message.id)).rows.at(-1)?.text, 'canary of theirs');
  assert.ok((await desk.scene.rows()).every(({ gap_before }) => gap_before === 0), 'no gap opens');
  await desk.scene.later(DELETED_KEPT_MS + 1);
  await desk.threads().dropExpired();
  assert.deepEqual(await reportable(), ['canary that I delete']);
  await desk.scene.later(KEPT_MS);
  await desk.threads().dropExpired();
  assert.deepEqual(await reportable(), []);
  desk.close();
});

test('the chat list after a message was deleted here shows the one before it', async () => {
  const desk = await Desk.open();
  await desk.hears('before');
  const { message } = await desk.hears('last');
  await desk.words.delete({ room: ROOM, id: message.id, everyone: false });
  assert.equal((await desk.threads().thread(ROOM)).last?.text, 'before');
  desk.close();
});

test('an answer to a deleted message shows nothing of it, and one to an edited message its words of now', async () => {
  const desk = await Desk.open();
  const first = await desk.hears('canary');
  const second = await desk.hears('old words');
  const edit = await desk.scene.says('new words', {}, { replaces: second.id });
  await desk.scene.message(edit);
  await desk.hears('', also(nullPart(), { replaces: first.id }));
  const toDeleted = await desk.hears('you said?', { inReplyTo: first.id });
  const toEdit = await desk.hears('I see', { inReplyTo: edit.id });
  assert.deepEqual([toDeleted.message.reply_to?.text, toDeleted.message.reply_to?.deleted], ['', true]);
  assert.deepEqual([toEdit.message.reply_to?.text, toEdit.message.reply_to?.id], ['new words', second.message.id]);
  assert.notEqual(toEdit.message.reply_to?.place, null);
  desk.close();
});

test('forwarding counts once more, takes the newest words, and keeps to its chats', async () => {
  const desk = await Desk.open();
  const head = { salt: new Uint8Array(16), sender: '', room: '' };
  const counted = (times: number): Partial<Content> => {
    const forwards = contentOf(head, nullPart(), { forwards: times }).extensions.get(EXT_FORWARDS);
    return { extensions: new Map([...desk.extensions(), [EXT_FORWARDS, forwards]]) };
  };
  const often = await desk.hears('passed on and on', counted(5));
  const once = await desk.hears('first words', counted(1));
  await desk.scene.message(await desk.scene.says('better words', {}, { replaces: once.id }));
  assert.deepEqual([often.message.forwarded, once.message.forwarded], [5, 1]);
  const forward = (id: string, ...rooms: string[]): Promise<null> => desk.words.forward({ room: ROOM, id, rooms });
  await assert.rejects(forward(often.message.id, ROOM, ELSEWHERE), { code: 'invalid' });
  await assert.rejects(forward(once.message.id, ...Array.from({ length: 6 }, () => ROOM)), { code: 'invalid' });
  await assert.rejects(forward(once.message.id, ELSEWHERE), { code: 'not_found' });
  await assert.rejects(forward(once.message.id), { code: 'invalid' });
  await forward(once.message.id, ROOM);
  const [content] = await desk.flush();
  assert.equal(content!.extensions.get(EXT_FORWARDS), 2);
  assert.equal(content!.replaces, null);
  const passedOn = (await desk.scene.rows()).at(-1)!;
  assert.deepEqual([passedOn.text, passedOn.mine, passedOn.forwarded, passedOn.reply_to], ['better words', true, 2, null]);
  desk.close();
});

test('what is too long to be passed on fails by itself, and what is behind it is sent', async () => {
  const desk = await Desk.open();
  const whole = (text: string): Content => textContent({ salt: new Uint8Array(16), sender: accountUri(SERVER, THEM), room: roomUri(SERVER, ROOM), text });
  const around = encodeContent(whole('x'.repeat(60_000))).length - 60_000;
  const { message } = await desk.hears('x'.repeat(MAX_CONTENT - around));
  await desk.words.forward({ room: ROOM, id: message.id, rooms: [ROOM] });
  await desk.scene.settled();
  await desk.sent('behind it');
  assert.deepEqual((await desk.outbox()).map(({ stage, failure }) => [stage, failure]), [['failed', 'too_large']]);
  desk.close();
});

test('a file that an edit brings is shown with its words, and only so is it passed on', async () => {
  const desk = await Desk.open();
  const file = { blob: 'B'.repeat(22), expires: 0, size: 64, key: new Uint8Array(32), nonce: new Uint8Array(12), hash: new Uint8Array(32) };
  const media = { length: 40, width: null, height: null, thumbhash: null, durationMs: null, waveform: null, chunks: null, voice: false };
  const sent = { file, contentType: 'image/png', inline: true, name: '', description: '', media, poster: null };
  const { id, message } = await desk.hears('harmless');
  const words = textContent({ salt: new Uint8Array(16), sender: accountUri(SERVER, THEM), room: roomUri(SERVER, ROOM), text: 'harmless still' });
  const { part, extensions } = withFiles(words, 'harmless still', [sent]);
  await desk.scene.message(await desk.scene.says('', {}, { replaces: id, part, extensions }));
  const shown = await desk.row(message.id);
  assert.deepEqual([shown.text, shown.edited, shown.files.map(({ kind }) => kind)], ['harmless still', true, ['photo']]);
  await desk.words.forward({ room: ROOM, id: message.id, rooms: [ROOM] });
  const [waits] = await desk.outbox();
  assert.deepEqual(decodeContent(waits!.passedOn!.content).part, part);
  await desk.scene.message(await desk.scene.says('', {}, { replaces: id, part: textPart('words alone') }));
  const after = await desk.row(message.id);
  assert.deepEqual([after.text, after.files], ['words alone', []], 'what an edit takes away is not shown any more');
  desk.close();
});

test('script, markup and long strings in edits, answers and reactions stay what they are: words', async () => {
  const desk = await Desk.open();
  const corpus = ['<img src=x onerror=alert(1)>', '"><svg/onload=alert(1)>', 'javascript:alert(1)', '\u202Egnp.exe', '{{constructor}}', '\u0000', 'x'.repeat(60_000)];
  const { id, message } = await desk.hears('first');
  for (const text of corpus.slice(0, 6)) {
    await desk.scene.message(await desk.scene.says(text, {}, { replaces: id }));
    assert.equal((await desk.row(message.id)).text, text);
  }
  for (const text of corpus) {
    const answer = await desk.hears('', also(reactionPart(text), { inReplyTo: id }));
    assert.deepEqual([answer.message.kind, answer.message.text], ['text', text]);
    const quoted = await desk.hears('see above', also(textPart('see above'), { inReplyTo: answer.id }));
    assert.equal(quoted.message.reply_to?.text, text.slice(0, 140));
  }
  assert.deepEqual((await desk.row(message.id)).reactions, []);
  desk.close();
});

test('a final no while mail is read is asked again, and fails nothing that waits to be sent', async () => {
  const desk = await Desk.open();
  await desk.says('on its way');
  const second = await desk.says('waits behind it');
  const { directory } = desk.scene;
  const real = directory.hubKey.bind(directory);
  directory.hubKey = async () => { throw new Problem('forbidden', 'No.'); };
  await desk.scene.message(await desk.scene.says('heard in the end'));
  const waiting = async (): Promise<string | undefined> => (await desk.outbox()).find(({ id }) => id === second)?.stage;
  assert.deepEqual([await waiting(), (await desk.scene.texts()).includes('heard in the end')], ['plain', false]);
  directory.hubKey = real;
  await desk.scene.later(31_000);
  assert.deepEqual([await waiting(), (await desk.scene.texts()).includes('heard in the end')], ['plain', true]);
  desk.close();
});
