/** What a person does to a message that is there: edit, delete, react, pass on. Each waits in the outbox like a message. */
import { decodeContent } from '../protocol/content';
import { isOneEmoji } from '../protocol/emoji';
import { newestContent, isMessageId, rowAt } from './compose';
import { MANY_FORWARDS, MOST_CHATS, type Args, type Version } from './contract';
import { forwardsOf, shownOf } from './effects';
import { Problem } from './errors';
import { Folding, lineOf } from './folding';
import type { Home } from './home';
import { outboxKey, type MessageRecord, type OutboxRecord, type Thread, type WantedChange } from './records';
import type { Room } from './room';
import { mayChange } from './shown';
import { KEPT_MS, type Threads } from './threads';
import type { Vault } from './vault';

const MOST_CHARACTERS = 10_000;
const MOST_FORWARDED = 2 ** 32 - 1;
/** Rows read to find what the chat list shows once its line was deleted here. */
const SEARCHED = 200;

export interface WordsContext {
  home: Home;
  vault: Vault;
  threads: Threads;
  room(id: string): Room;
  /** An outbox record of now, behind all that waits. */
  outgoing(room: string, text: string): Promise<OutboxRecord>;
  /** Rooms that can be written to. */
  writable(): Promise<ReadonlySet<string>>;
  /** Something waits in this room. */
  queued(room: string): void;
  /** A message that waited will not be sent: its files go up no further. */
  dropped(record: OutboxRecord): void;
  /** What this room shows has changed. */
  changed(room: string): void;
}

const notHere = (): Problem => new Problem('not_found', 'This message is no longer here.');

/** Throws the sentence that says what is wrong with the words of a message. */
export function checkText(text: string, empty = false): void {
  if (!empty && text.trim() === '') throw new Problem('invalid', 'Write something first.');
  if (text.length > MOST_CHARACTERS) throw new Problem('too_large', 'That message is too long. Split it in two.');
}

export class Words {
  constructor(private readonly context: WordsContext) {}

  async edit({ room, id, text }: Args<'edit'>): Promise<null> {
    checkText(text);
    return this.#turn(room, async () => {
      const waiting = await this.#waiting(room, id);
      if (waiting?.sealed === null) return this.#put({ ...waiting, text, ...again(waiting) });
      if (!waiting) {
        const row = await this.#row(room, id);
        if (!mayChange(row, this.context.home.now()).edit) throw new Problem('too_late', 'You can edit your own messages for 24 hours, 10 times.');
        if (row.text === text) return this.#dropUnsent(room, id, 'edit');
      }
      await this.#want(room, { what: 'edit', target: id }, text);
    });
  }

  async react({ room, id, symbol }: Args<'react'>): Promise<null> {
    if (symbol !== null && !isOneEmoji(symbol)) throw new Problem('invalid', 'A reaction is one emoji.');
    return this.#turn(room, async () => {
      const row = await this.#row(room, id);
      if (row.kind !== 'text' && row.kind !== 'unsupported') throw notHere();
      await this.#want(room, { what: 'react', target: id, symbol }, symbol ?? '');
    });
  }

  delete({ room, id, everyone }: Args<'delete_message'>): Promise<null> {
    return this.#turn(room, async () => {
      const waiting = await this.#waiting(room, id);
      if (waiting && (waiting.sealed === null || waiting.change)) return this.#takeBack(waiting);
      if (!everyone && waiting) throw new Problem('conflict', 'This message is on its way already. Delete it for everyone, or wait a moment.');
      if (!everyone) return this.#hide(room, id);
      if (!waiting && !mayChange(await this.#row(room, id), this.context.home.now()).delete) {
        throw new Problem('too_late', 'You can delete your own messages for everyone for 24 hours. After that, only for you.');
      }
      for (const what of ['edit', 'react'] as const) await this.#dropUnsent(room, id, what);
      await this.#want(room, { what: 'delete', target: id }, '');
    });
  }

  versions({ room, id }: Args<'versions'>): Promise<Version[]> {
    return this.context.threads.versions(room, id);
  }

  async forward({ room, id, rooms }: Args<'forward'>): Promise<null> {
    const { vault } = this.context;
    const row = await this.#row(room, id);
    const content = row.kind === 'text' ? await newestContent(vault, room, row) : null;
    if (content === null) throw notHere();
    const opened = decodeContent(content);
    const before = forwardsOf(decodeContent(row.content ?? content));
    await this.#checkTargets(rooms, before);
    for (const to of new Set(rooms)) {
      await this.#turn(to, async () => {
        const record = await this.context.outgoing(to, shownOf(opened).text);
        await this.#put({ ...record, passedOn: { content, times: Math.min(before + 1, MOST_FORWARDED) } });
      });
    }
    return null;
  }

  async #checkTargets(rooms: readonly string[], before: number): Promise<void> {
    const many = before >= MANY_FORWARDS;
    if (rooms.length === 0) throw new Problem('invalid', 'Choose a chat first.');
    if (many && rooms.length > 1) throw new Problem('invalid', 'This was forwarded many times, so it goes to one chat at a time.');
    if (rooms.length > MOST_CHATS) throw new Problem('invalid', 'A message can be forwarded to 5 chats at once.');
    const writable = await this.context.writable();
    if (!rooms.every((one) => writable.has(one))) throw new Problem('not_found', 'One of these chats can’t be written to.');
  }

  /** In the room's turn, so that nothing is sealed or accepted meanwhile. */
  async #turn(room: string, work: () => Promise<void>): Promise<null> {
    await this.context.room(room).run(work);
    this.context.changed(room);
    this.context.queued(room);
    return null;
  }

  async #row(room: string, id: string): Promise<MessageRecord> {
    const row = await rowAt(this.context.vault, room, id);
    if (row === null || row.kind === 'effect') throw notHere();
    return row;
  }

  async #waiting(room: string, id: string): Promise<OutboxRecord | undefined> {
    return isMessageId(id) ? undefined : (await this.context.room(room).outbox()).find((one) => one.id === id);
  }

  /** Changes of this kind to this message that were not sealed yet. */
  async #unsent(room: string, target: string, what: WantedChange['what']): Promise<OutboxRecord[]> {
    const outbox = await this.context.room(room).outbox();
    return outbox.filter(({ change, sealed }) => change?.target === target && change.what === what && sealed === null);
  }

  /** The last wish counts: one that waits for the same is changed, and only else there is another. */
  async #want(room: string, change: WantedChange, text: string): Promise<void> {
    const [waiting] = await this.#unsent(room, change.target, change.what);
    const record = waiting ?? (await this.context.outgoing(room, text));
    await this.#put({ ...record, text, change, ...again(record) });
  }

  async #put(record: OutboxRecord): Promise<void> {
    await this.context.vault.save('outbox', outboxKey(record), record);
  }

  async #dropUnsent(room: string, target: string, what: WantedChange['what']): Promise<void> {
    const { vault } = this.context;
    await vault.write(...(await this.#unsent(room, target, what)).map((one) => vault.remove('outbox', outboxKey(one))));
  }

  /** What has not left: gone, with all that was to be done to it. A change on its way cannot be called back. */
  async #takeBack(waiting: OutboxRecord): Promise<void> {
    const { vault } = this.context;
    if (waiting.sealed !== null) throw new Problem('conflict', 'This change is on its way already.');
    const outbox = await this.context.room(waiting.room).outbox();
    const all = [waiting, ...outbox.filter(({ change }) => change?.target === waiting.id)];
    await vault.write(...all.map((one) => vault.remove('outbox', outboxKey(one))));
    this.context.dropped(waiting);
  }

  /** Deleted here only. It stays reportable like the messages of a deleted thread. */
  async #hide(room: string, id: string): Promise<void> {
    const { vault, threads, home } = this.context;
    const row = await this.#row(room, id);
    const key = (await vault.get<string>('meta', `mid/${id}`))!;
    const thread = await threads.thread(room);
    const folding = new Folding(vault, room, home.now(), thread);
    await folding.hide(key, row, KEPT_MS);
    const gone = thread.last !== null && (thread.last.id === id || thread.last.about === id);
    const last = gone ? await this.#newest(room, id) : thread.last;
    await vault.write(...(await folding.writes()), await vault.put('meta', `thread/${room}`, { ...thread, last } satisfies Thread));
  }

  async #newest(room: string, but: string): Promise<Thread['last']> {
    const rows = await this.context.vault.range<MessageRecord>('messages', { prefix: `${room}/`, reverse: true, limit: SEARCHED });
    const row = rows.find(({ value }) => value.id !== but && ['text', 'unsupported', 'deleted'].includes(value.kind))?.value;
    return row ? lineOf(row) : null;
  }
}

/** A failed one is tried again with what is wanted now. */
const again = (record: OutboxRecord): Pick<OutboxRecord, 'stage' | 'failure'> =>
  record.stage === 'failed' ? { stage: 'plain', failure: null } : { stage: record.stage, failure: record.failure };
