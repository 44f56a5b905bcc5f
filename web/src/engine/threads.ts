/** Threads as screens show them, and what of them can be reported. Reads the store; sends nothing. */
import { shownOf } from '../protocol/attachments';
import { toBase64, type Bytes } from '../protocol/bytes';
import { decodeContent, disposition, type Content } from '../protocol/content';
import { encodeReportItem, verifyFrank } from '../protocol/franking';
import { cut, viewOf } from './attachments/kinds';
import { isMessageId, rowAt, storedAt } from './compose';
import type { Message, Place, ReportPreview, ReportRow, Result, Stretch, Version } from './contract';
import type { Files } from './attachments/files';
import type { Directory } from './directory';
import { baseOf, selected } from './effects';
import { DELETED_KEPT_MS } from './folding';
import type { Home } from './home';
import type { Hushes } from './hushes';
import { frankOf } from './receive';
import {
  newThread, padded, type KeptMessage, type MessageRecord, type OutboxRecord, type ReadByOthers, type Thread,
} from './records';
import { mayChange, reactionsOf, withChanges } from './shown';
import { look } from './search';
import { placeAfter, placeOf, readStretch, type Where } from './stretch';
import { isOver } from './over';
import { countRead, said } from './vanishing';
import type { Vault } from './vault';

export const REPORT_ITEMS = 30;
/** How long messages of a deleted thread stay reportable, and nothing else. */
export const KEPT_MS = 30 * 24 * 3600 * 1000;
const QUOTE_CHARACTERS = 140;

export class Threads {
  readonly #names = new Map<string, Promise<string | null>>();

  constructor(
    private readonly home: Home,
    private readonly vault: Vault,
    private readonly directory: Directory,
    private readonly account: string,
    private readonly files: Files,
    /** What others have read is shown to those who tell it themselves. */
    private readonly showsReads: () => boolean,
    private readonly hushes: Hushes,
  ) {}

  async thread(room: string): Promise<Thread> {
    return (await this.vault.get<Thread>('meta', `thread/${room}`)) ?? newThread();
  }

  /** Newest last. A stretch that reaches the end has the unsent messages after it. */
  async page(room: string, where: Where = {}): Promise<Stretch> {
    if (where.before !== undefined) return this.#changed(room, await this.#stored(room, where));
    for (;;) {
      const waiting = await this.#unsent(room);
      const stretch = await this.#stored(room, where);
      if (stretch.newer) return this.#changed(room, stretch);
      const still = await this.#unsent(room, stretch.messages);
      // One that was accepted between the reads is in neither of them, and would vanish for a moment: read again.
      if (waiting.every(({ id }) => still.some((one) => one.id === id))) return this.#changed(room, { ...stretch, messages: [...stretch.messages, ...still] });
    }
  }

  /** With the changes of mine that the server has not accepted yet. */
  async #changed<T extends { messages: Message[] }>(room: string, page: T): Promise<T> {
    return { ...page, messages: withChanges(page.messages, await this.#outbox(room)) };
  }

  async #stored(room: string, where: Where): Promise<Stretch> {
    const thread = await this.thread(room);
    this.#names.clear();
    const reads = this.showsReads() ? ((await this.vault.get<ReadByOthers>('meta', `reads/${room}`)) ?? {}) : {};
    const { rows, above, newer } = await readStretch(this.vault, room, where, (row) => this.#here(row));
    const gaps = gapsBefore(rows.map(({ value }) => value), above ? reached(above) : thread.baseSeq - 1);
    const shown = rows.map((row, i) => ({ ...row, gap: gaps[i]! })).filter(({ value }) => this.#here(value));
    const messages = await Promise.all(shown.map(({ key, value, gap }) => this.#message(room, value, placeOf(key), gap, thread, reads)));
    const [begins, ends] = [rows[0], rows.at(-1)].map((row) => (row ? placeOf(row.key) : null)) as [Place | null, Place | null];
    return { messages, more: above !== null, newer, begins, ends };
  }

  /** Shown, and its time is not over. */
  #here(row: MessageRecord): boolean {
    return isShown(row) && !isOver(row, this.home.now());
  }

  async search(room: string, text: string, before: Place | null): Promise<Result<'search'>> {
    const { found, ...rest } = await look(this.home, this.vault, room, text, before, (row) => this.#here(row));
    const named = await Promise.all(found.map(async (one) => ({ ...one, sender_name: await this.#nameOf(one) })));
    return { found: named, ...rest };
  }

  async #message(room: string, row: MessageRecord, place: Place, gap: number, thread: Thread, reads: ReadByOthers): Promise<Message> {
    const read_by = row.mine && row.seq !== null ? Object.values(reads).filter((seq) => seq >= row.seq!).length : 0;
    return {
      id: row.id, room, at_ms: row.atMs, seq: row.seq, place, mine: row.mine, sender: row.sender,
      sender_name: await this.#nameOf(row),
      kind: row.kind === 'effect' ? 'info' : row.kind, text: row.kind === 'tombstone' ? '' : row.text, files: await this.files.ofMessage(room, row),
      reply_to: await this.#quote(room, row.replyTo),
      delivery: row.mine ? (read_by > 0 ? 'read' : row.pos <= thread.deliveredPos ? 'delivered' : 'sent') : null, read_by,
      expires: row.expiresS === undefined ? null : { after_s: row.expiresS, at_ms: row.expiresMs ?? null },
      gap_before: gap, edited: row.edited === true, reactions: await reactionsOf(row, this.account, (one) => this.#named(one)),
      forwarded: row.forwarded ?? 0, may: mayChange(row, this.home.now()), change: null,
    };
  }

  /** Looked up once for a page: a group's reactions name the same people again and again. */
  #named(account: string): Promise<string | null> {
    const name = this.#names.get(account) ?? this.directory.nameOf(account);
    this.#names.set(account, name);
    return name;
  }

  /** The name under which a message of a group is shown; in a chat of two nobody needs one. */
  async #nameOf(row: Pick<MessageRecord, 'mine' | 'sender'> | null): Promise<string> {
    return row === null || row.mine || row.sender === '' ? '' : ((await this.#named(row.sender)) ?? '');
  }

  /** What is answered, as far as it was said in this chat: words of another one are never shown here. */
  async #quote(room: string, id: string | null): Promise<Message['reply_to']> {
    if (id === null) return null;
    const named = await storedAt(this.vault, room, id);
    const base = named && baseOf(named.row);
    const found = named === null || base === null || base === named.row.id ? named : await storedAt(this.vault, room, base);
    const row = found && found.row.kind !== 'effect' && found.row.kind !== 'info' ? found.row : null;
    return {
      id: row?.id ?? id, text: row?.kind === 'text' ? cut(row.text, QUOTE_CHARACTERS) : '', mine: row?.mine ?? false,
      name: await this.#nameOf(row), place: row && placeOf(found!.key), deleted: row?.kind === 'deleted', ...(row?.files ? { files: row.files } : {}),
    };
  }

  async #outbox(room: string): Promise<OutboxRecord[]> {
    return (await this.vault.range<OutboxRecord>('outbox', { prefix: `${room}/` })).map(({ value }) => value);
  }

  /** And failed changes to what is not `beside` them: or nobody would know of them. */
  async #unsent(room: string, beside?: readonly Message[]): Promise<Message[]> {
    const outbox = await this.#outbox(room);
    const here = new Set([...(beside ?? []), ...outbox].map(({ id }) => id));
    const waiting = outbox.filter(({ change, stage }) => !change || (beside && stage === 'failed' && !here.has(change.target)));
    return Promise.all(waiting.map((record) => this.unsent(record)));
  }

  /** What an edited message said before, oldest first. */
  async versions(room: string, id: string): Promise<Version[]> {
    const row = await rowAt(this.vault, room, id);
    if (row === null || row.kind !== 'text' || row.content === null) return [];
    const edits = await Promise.all((row.edits ?? []).slice(0, -1).map((edit) => rowAt(this.vault, room, edit.id)));
    return [row, ...edits].flatMap((one) => (one?.content ? [{ text: wordsOf(one.content), at_ms: one.atMs }] : []));
  }

  /** What was written here and is not accepted yet. */
  async unsent(record: OutboxRecord): Promise<Message> {
    const { id, timer } = record;
    const what = record.change?.what ?? (timer === undefined ? null : 'timer');
    const says: Pick<Message, 'kind' | 'text' | 'change'> = what === null ? { kind: 'text', text: record.text, change: null }
      : { kind: 'info', text: timer === undefined ? '' : said('You', timer), change: { id, what, failed: record.stage === 'failed' } };
    return {
      id, room: record.room, at_ms: record.createdMs, seq: null, place: null, mine: true, sender: this.account, sender_name: '', ...says,
      files: await this.files.ofOutbox(record), reply_to: await this.#quote(record.room, record.replyTo),
      read_by: 0, expires: null, delivery: record.stage === 'failed' ? 'failed' : 'waiting', gap_before: 0, ...(record.stage === 'failed' && record.sentence ? { failure: record.sentence } : {}),
      edited: false, reactions: [], forwarded: record.passedOn?.times ?? 0, may: { edit: !record.passedOn, delete: true },
    };
  }

  /** Every franked message of a room that is still on this device, deleted threads included, oldest first. */
  async #franked(room: string): Promise<MessageRecord[]> {
    const kept = await this.vault.range<KeptMessage>('reports', { prefix: `${room}/` });
    const here = await this.vault.range<MessageRecord>('messages', { prefix: `${room}/` });
    const all = [...kept.map(({ value }) => value.message), ...here.map(({ value }) => value)];
    return all.filter((row) => row.frank !== null && row.content !== null).sort((a, b) => a.seq! - b.seq!);
  }

  /** What a report about somebody would carry: her franked messages and one's own, at most 30, ending with `message`. */
  async selection(room: string, account: string, message?: string): Promise<MessageRecord[]> {
    const all = (await this.#franked(room)).filter((row) => row.mine || row.sender === account);
    return selected(all, message, REPORT_ITEMS);
  }

  async preview(account: string, room: string | null, message?: string): Promise<ReportPreview> {
    if (room === null) return { room, account, rows: [], omitted_tail: 0 };
    const rows = await this.selection(room, account, message);
    const thread = await this.thread(room);
    const last = rows.at(-1)?.seq ?? thread.headSeq;
    const shown = await Promise.all(rows.map((row, i) => this.#reportRow(row, rows[i - 1] ?? null)));
    return { room, account, rows: shown, omitted_tail: Math.max(0, thread.headSeq - last) };
  }

  async #reportRow(row: MessageRecord, before: MessageRecord | null): Promise<ReportRow> {
    const gap = before === null ? 0 : row.seq! - before.seq! - 1;
    const content = decodeContent(row.content!);
    return {
      seq: row.seq!, mine: row.mine, at_ms: row.atMs, text: shownOf(content).text ?? '', verified: await this.#verified(row), gap_before: gap,
      what: whatOf(content),
      files: shownOf(content).files.map((one) => viewOf(one, 'remote')).map(({ kind, name, size }) => ({ kind, name, size })),
    };
  }

  async #verified(row: MessageRecord): Promise<boolean> {
    const key = await this.directory.hubKey(row.frank!.hubKeyId);
    return key !== null && verifyFrank(key, frankOf(row.frank!));
  }

  /**
   * Deletes a thread here. Its last 30 franked messages stay reportable for 30 days; what was taken back or disappears
   * no longer than it would have, and nothing longer for being deleted again.
   */
  async deleteThread(room: string): Promise<void> {
    const latest = this.home.now() + KEPT_MS;
    const kept = await this.vault.range<KeptMessage>('reports', { prefix: `${room}/` });
    const ends = new Map(kept.map(({ value }) => [value.message.seq, value.untilMs]));
    const untilOf = ({ seq, expiresMs }: MessageRecord): number => Math.min(latest, ends.get(seq) ?? latest, (expiresMs ?? latest) + DELETED_KEPT_MS);
    const keep = (await this.#franked(room)).slice(-REPORT_ITEMS);
    const thread = await this.thread(room);
    const writes = await Promise.all(keep.map((message) =>
      this.vault.put('reports', `${room}/${padded(message.seq!)}`, { message, untilMs: untilOf(message) } satisfies KeptMessage)));
    const rows = await this.vault.range<MessageRecord>('messages', { prefix: `${room}/` });
    const held = (await Promise.all(['held', 'holds', 'foreign'].map((what) => this.vault.range('meta', { prefix: `${what}/${room}/` })))).flat();
    const removals = rows.flatMap(({ key, value }) => [
      this.vault.remove('messages', key), ...(isMessageId(value.id) ? [this.vault.remove('meta', `mid/${value.id}`)] : []),
    ]);
    const cleared: Thread = {
      ...thread, baseSeq: thread.headSeq + 1, readSeq: thread.headSeq, unread: 0, quiet: 0, last: null, deleted: true,
    };
    await this.vault.write(...writes, ...removals, ...held.map(({ key }) => this.vault.remove('meta', key)), await this.vault.put('meta', `thread/${room}`, cleared));
  }

  async dropExpired(): Promise<void> {
    const kept = await this.vault.range<KeptMessage>('reports', { prefix: '' });
    const over = kept.filter(({ value }) => value.untilMs < this.home.now());
    await this.vault.write(...over.map(({ key }) => this.vault.remove('reports', key)));
  }

  /** null: there was nothing unread. `counting`: for some of it, the time until it disappears has begun. */
  async markRead(room: string): Promise<{ counting: boolean } | null> {
    const thread = await this.thread(room);
    if (thread.unread === 0) return null;
    const { counting } = await countRead(this.vault, room, placeAfter(thread.readSeq), this.home.now());
    await this.vault.write(await this.vault.put('meta', `thread/${room}`, {
      ...thread, unread: 0, quiet: 0, readSeq: thread.headSeq,
      // What is read while somebody is restricted is not made up for afterwards.
      ...(thread.theirs && (await this.hushes.open(room)) ? { seen: thread.theirs } : {}),
    } satisfies Thread));
    return { counting };
  }
}

/** Edits, reactions and the like change other rows and are none themselves. */
const isShown = (row: MessageRecord): boolean => row.kind !== 'effect';

/**
 * How many messages are missing before each row. `before` is the sequence number of the row just above the page.
 * A tombstone stands for one missing message, so it takes one off the next gap.
 */
export function gapsBefore(rows: readonly Pick<MessageRecord, 'seq' | 'kind'>[], before: number): number[] {
  let last = before;
  let buried = 0;
  return rows.map((row) => {
    if (row.seq === null) {
      if (row.kind === 'tombstone') buried++;
      return 0;
    }
    const gap = Math.max(0, row.seq - last - 1 - buried);
    last = Math.max(last, row.seq);
    buried = 0;
    return gap;
  });
}

/** Up to which message the thread had come at a row: its key says so, also for a line of the engine; a tombstone stands for one. */
function reached({ key, value }: { key: string; value: Pick<MessageRecord, 'seq' | 'kind'> }): number {
  return value.seq ?? Number(key.split('/')[1]) + (value.kind === 'tombstone' ? 1 : 0);
}

/** A message in a report: exactly the stored bytes and their proof. */
export const reportItem = (row: MessageRecord): string => toBase64(encodeReportItem({ content: row.content!, ...frankOf(row.frank!) }));

/** The words of a message as the report shows them: from the exact bytes, not from what the thread made of them. */
function wordsOf(content: Bytes): string {
  return shownOf(decodeContent(content)).text ?? '';
}

/** What a message does, for the person who is about to report it. */
function whatOf({ replaces, part }: Content): ReportRow['what'] {
  if (replaces !== null) return part.kind === 'null' ? 'deletion' : 'edit';
  return part.disposition === disposition('reaction') ? 'reaction' : 'message';
}
