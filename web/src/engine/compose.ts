/** What leaves the outbox: the content of a message, of a change to an earlier one, or of one that is passed on. */
import { fromHex, type Bytes } from '../protocol/bytes';
import { withFiles } from '../protocol/attachments';
import { contentOf, decodeContent, nullPart, reactionPart, textContent, withWords, type Content, type Head } from '../protocol/content';
import { timerPart } from '../protocol/timer';
import { standing } from './effects';
import type { Write } from './home';
import { outboxKey, type MessageRecord, type OutboxRecord, type WantedChange } from './records';
import type { Vault } from './vault';

/** Outbox ids are shorter than message ids. */
export const isMessageId = (id: string): boolean => /^[0-9a-f]{64}$/.test(id);

/** A message that is to be changed, and what it says now. */
export interface Changing { row: MessageRecord; content: Content | null }

/** A message of a room by its id; those of other rooms are out of reach. */
export async function storedAt(vault: Vault, room: string, id: string): Promise<{ key: string; row: MessageRecord } | null> {
  const key = isMessageId(id) ? await vault.get<string>('meta', `mid/${id}`) : null;
  const row = key !== null && key.startsWith(`${room}/`) ? await vault.get<MessageRecord>('messages', key) : null;
  return row && { key: key!, row };
}

export const rowAt = async (vault: Vault, room: string, id: string): Promise<MessageRecord | null> => (await storedAt(vault, room, id))?.row ?? null;

/** The newest version of a message, as content; null when nothing of it is here. */
export async function newestContent(vault: Vault, room: string, row: MessageRecord): Promise<Bytes | null> {
  const edit = row.edits?.at(-1);
  return edit ? ((await rowAt(vault, room, edit.id))?.content ?? null) : row.content;
}

export async function changing(vault: Vault, room: string, change: WantedChange | undefined): Promise<Changing | null> {
  const row = change ? await rowAt(vault, room, change.target) : null;
  if (row === null) return null;
  const content = await newestContent(vault, room, row);
  return { row, content: content && decodeContent(content) };
}

/** The content to send; null when nothing is left to be done. */
export function compose(waiting: OutboxRecord, head: Head, target: Changing | null, self: string): Content | null {
  const { change, passedOn, text, replyTo } = waiting;
  if (waiting.timer !== undefined) return contentOf(head, timerPart(waiting.timer));
  if (passedOn) return passedOnContent(passedOn, head);
  if (!change) {
    const words = textContent({ ...head, text, ...(replyTo ? { inReplyTo: fromHex(replyTo) } : {}) });
    return waiting.files ? withFiles(words, text, waiting.files.map(({ sent }) => sent)) : words;
  }
  if (target === null || (target.row.kind !== 'text' && target.row.kind !== 'unsupported')) return null;
  const replaces = fromHex(target.row.id);
  switch (change.what) {
    case 'edit': {
      if (target.content === null || target.row.text === text) return null;
      return contentOf(head, withWords(target.content.part, text), { replaces, carries: target.content });
    }
    case 'delete': return contentOf(head, nullPart(), { replaces });
    case 'react': return reaction(head, change.symbol, target.row, self);
    default: return change satisfies never;
  }
}

/** One step towards the one reaction that is wanted: a new one, another symbol for it, or one of several taken back. */
function reaction(head: Head, wanted: string | null, row: MessageRecord, self: string): Content | null {
  const [mine, second] = standing(row, self);
  if (!mine) return wanted === null ? null : contentOf(head, reactionPart(wanted), { inReplyTo: fromHex(row.id) });
  if (wanted === null) return contentOf(head, nullPart(), { replaces: fromHex(mine.id) });
  if (second) return contentOf(head, nullPart(), { replaces: fromHex(second.id) });
  if (mine.symbols.length === 1 && mine.symbols[0] === wanted) return null;
  return contentOf(head, reactionPart(wanted), { replaces: fromHex(mine.id), inReplyTo: fromHex(row.id) });
}

/** The same parts under a new salt, in another room, counted once more. */
function passedOnContent({ content, times }: NonNullable<OutboxRecord['passedOn']>, head: Head): Content {
  const carries = decodeContent(content);
  return contentOf(head, carries.part, { forwards: times, carries });
}

/** The outbox after a message of it was accepted: changes that were made to it meanwhile now name it. */
export async function sentWrites(vault: Vault, record: OutboxRecord, id: string, outbox: readonly OutboxRecord[]): Promise<Write[]> {
  const named = outbox.filter((one) => one.change?.target === record.id).map((one) => ({ ...one, change: { ...one.change!, target: id } }));
  const writes = await Promise.all(named.map((one) => vault.put('outbox', outboxKey(one), one)));
  if (record.change?.what !== 'react') return [...writes, vault.remove('outbox', outboxKey(record))];
  // A goal stays until there is nothing left to send for it.
  const goal: OutboxRecord = { ...record, stage: 'plain', sealed: null };
  return [...writes, await vault.put('outbox', outboxKey(record), goal)];
}

/** The outbox when a change needs no sending: done already, of something gone, or of a message that never left. */
export async function settledLocally(vault: Vault, waiting: OutboxRecord, outbox: readonly OutboxRecord[]): Promise<Write[]> {
  const gone = vault.remove('outbox', outboxKey(waiting));
  const original = outbox.find((one) => one.id === waiting.change?.target);
  if (!original || original.sealed !== null) return [gone];
  if (waiting.change!.what === 'delete') return [gone, vault.remove('outbox', outboxKey(original))];
  return [gone, await vault.put('outbox', outboxKey(original), { ...original, text: waiting.text } satisfies OutboxRecord)];
}
