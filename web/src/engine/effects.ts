/**
 * What a message does to an earlier one (content-and-consent section 4), folded into that one's row when it arrives, so
 * that reading a page reads rows and nothing else. Pure; the same effects in any order of arrival end in the same row.
 */
import { shownOf as partsShown } from '../protocol/attachments';
import { disposition, EXT_FORWARDS, type Content, type Part } from '../protocol/content';
import { fromUtf8, Malformed, toHex } from '../protocol/bytes';
import { isOneEmoji } from '../protocol/emoji';
import type { MessageRecord, ReactionRecord, Thread } from './records';

const HOUR_MS = 3600 * 1000;
/** How long, and how often, an own message may be changed; receivers allow an hour more, by accepted times. */
export const EDIT_MS = 24 * HOUR_MS;
export const DELETE_MS = 24 * HOUR_MS;
const TOLERANCE_MS = HOUR_MS;
export const MOST_EDITS = 10;
/** Reactions kept with one message, taken-back ones counted, and of one person: nobody makes a row heavy to read. */
const MOST_REACTIONS = 300;
const MOST_OF_ONE = 12;
const MOST_SYMBOLS = 6;

/** `target`: the message, the edit or the reaction that is named. */
export type Effect =
  | { what: 'edit'; target: string }
  | { what: 'withdraw'; target: string }
  | { what: 'react'; target: string; symbols: string[]; instead: boolean };

/** The symbols of a reaction, each a part of its own; null when it is anything else. */
export function symbolsOf(part: Part): string[] | null {
  const parts = part.kind === 'multi' && part.semantics === 'processAll' ? part.parts : [part];
  const symbols = parts.map((one) => (one.kind === 'single' && one.disposition === disposition('reaction') ? read(one.content) : ''));
  return symbols.length <= MOST_SYMBOLS && symbols.every(isOneEmoji) ? [...new Set(symbols)] : null;
}

function read(bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes);
  } catch (error) {
    if (error instanceof Malformed) return '';
    throw error;
  }
}

/** null: a message of its own. A reaction with a string that is no symbol is one, an answer. */
export function effectOf(content: Content): Effect | null {
  const { replaces, inReplyTo, part } = content;
  if (part.kind === 'null') return replaces && { what: 'withdraw', target: toHex(replaces) };
  const symbols = symbolsOf(part);
  const target = replaces ?? inReplyTo;
  if (symbols && target) return { what: 'react', target: toHex(target), symbols, instead: replaces !== null };
  return replaces && { what: 'edit', target: toHex(replaces) };
}

export const forwardsOf = (content: Content): number => (content.extensions.get(EXT_FORWARDS) as number | undefined) ?? 0;

/** What a message of its own, or its newest version, shows. */
export function shownOf(content: Content): Pick<MessageRecord, 'text'> & { kind: 'text' | 'unsupported' } {
  const { text, files } = partsShown(content);
  return { kind: text === null && files.length === 0 ? 'unsupported' : 'text', text: text ?? '' };
}

/** The row that an effect changes is the one it names, or the message that the named edit or reaction belongs to. */
export const baseOf = (via: Pick<MessageRecord, 'kind' | 'id' | 'effect'>): string | null =>
  via.kind !== 'effect' ? via.id : via.effect?.what === 'edit' || via.effect?.what === 'react' ? via.effect.base : null;

export type Outcome =
  /** somebody else's: dropped, and said once in a while */
  | { verdict: 'foreign' }
  /** too late, too often, or of no meaning here: dropped */
  | { verdict: 'nothing' }
  /** an edit of what is deleted, or one more than count: it is shown nowhere and stays reportable for a while */
  | { verdict: 'buried' }
  /** stale: a newer word about this reaction was here first */
  | { verdict: 'done'; what: 'delete' | 'react' | 'unlike' | 'stale'; base: MessageRecord }
  /** `over`: edits that counted until this older one came in */
  | { verdict: 'done'; what: 'edit'; base: MessageRecord; over: string[] };

const NOTHING: Outcome = { verdict: 'nothing' };

/**
 * What `row`, a message with an effect, makes of `base`, both of one room. `via` is the row that it names: `base`
 * itself, an edit of it or a reaction to it. After an edit the row still says what it said before.
 */
export function fold(row: MessageRecord, effect: Effect, via: MessageRecord, base: MessageRecord): Outcome {
  const reaction = via.effect?.what === 'react';
  if (base.kind === 'effect') return NOTHING; // deleted on this device
  const fresh = effect.what === 'react' && !effect.instead;
  if (!fresh && via.sender !== row.sender) return via.sender === '' || via.kind === 'info' ? NOTHING : { verdict: 'foreign' };
  if (base.kind === 'deleted') return effect.what === 'edit' ? { verdict: 'buried' } : NOTHING;
  if (base.kind !== 'text' && base.kind !== 'unsupported') return NOTHING;
  if (effect.what === 'react') return reaction === effect.instead ? reacted(base, row, effect.symbols, via) : NOTHING;
  if (reaction) return effect.what === 'withdraw' ? reacted(base, row, [], via) : NOTHING;
  const age = row.atMs - base.atMs;
  if (effect.what === 'withdraw') return age > DELETE_MS + TOLERANCE_MS ? NOTHING : { verdict: 'done', what: 'delete', base: emptied(base) };
  return age > EDIT_MS + TOLERANCE_MS ? NOTHING : editedBy(base, row);
}

/** The first ones count, by their numbers: on every device the same. */
function editedBy(base: MessageRecord, row: MessageRecord): Outcome {
  const before = base.edits ?? [];
  if (before.some(({ id }) => id === row.id)) return NOTHING;
  const all = [...before, { id: row.id, seq: row.seq! }].sort((a, b) => a.seq - b.seq);
  const over = all.slice(MOST_EDITS).map(({ id }) => id);
  if (over.includes(row.id)) return { verdict: 'buried' };
  return { verdict: 'done', what: 'edit', over, base: { ...base, edited: true, edits: all.slice(0, MOST_EDITS) } };
}

/** A reaction, another symbol for one (`via`), or its end (no symbols). The newest word about each counts. */
function reacted(base: MessageRecord, row: MessageRecord, symbols: string[], via: MessageRecord): Outcome {
  const all = base.reactions ?? [];
  const id = via.effect?.what === 'react' ? via.effect.first : row.id;
  const before = all.find((one) => one.id === id);
  if (before && before.seq >= row.seq!) return { verdict: 'done', what: 'stale', base };
  if (!before && via.effect?.what === 'react') return NOTHING; // about one that there was no room for
  const now: ReactionRecord = { id, sender: row.sender, symbols, seq: row.seq!, since: before ? sinceOf(before) : row.seq! };
  const reactions = before ? all.map((one) => (one === before ? now : one)) : roomFor([...all, now], row.sender);
  if (!reactions.includes(now)) return NOTHING;
  return { verdict: 'done', what: symbols.length === 0 ? 'unlike' : 'react', base: { ...base, reactions } };
}

const sinceOf = ({ since, seq }: ReactionRecord): number => since ?? seq;

/** The earliest ones, of one person and in all: the same ones stay on every device. */
function roomFor(all: readonly ReactionRecord[], sender: string): ReactionRecord[] {
  const ordered = [...all].sort((a, b) => sinceOf(a) - sinceOf(b));
  const over = new Set(ordered.filter((one) => one.sender === sender).slice(MOST_OF_ONE));
  return ordered.filter((one) => !over.has(one)).slice(0, MOST_REACTIONS);
}

/** What stays of a deleted message: that somebody wrote one here, then. Its proof stays too, and says nothing of it. */
function emptied({ id, pos, seq, atMs, mine, sender, frank }: MessageRecord): MessageRecord {
  return { kind: 'deleted', id, pos, seq, atMs, mine, sender, text: '', replyTo: null, content: null, frank };
}

/** Deleted on this device only: it keeps its place, so that no gap opens, and is not shown. */
export const hidden = (row: MessageRecord): MessageRecord => ({
  ...emptied(row), kind: 'effect', ...(row.effect ? { effect: row.effect } : {}),
});

/** The reactions of one person that stand. */
export const standing = (row: Pick<MessageRecord, 'reactions'>, sender: string): ReactionRecord[] =>
  (row.reactions ?? []).filter((one) => one.sender === sender && one.symbols.length > 0);

type Last = NonNullable<Thread['last']>;

/**
 * The chat list after an effect. A reaction is news only when it is to a message of mine, and is never an unread
 * message; taken back, it leaves what stood there before it. What was deleted unread is not there to be read.
 */
export function threadAfter(thread: Thread, row: MessageRecord, outcome: Extract<Outcome, { verdict: 'done' }>): Thread {
  const { base, what } = outcome;
  const last = thread.last;
  const under = last?.about === undefined ? last : (last.under ?? null);
  switch (what) {
    case 'edit':
      return { ...thread, last: relined(last, base) };
    case 'delete': {
      const unread = !base.mine && base.seq! > thread.readSeq ? Math.max(0, thread.unread - 1) : thread.unread;
      const counted = unread < thread.unread && base.quiet ? { quiet: Math.max(0, (thread.quiet ?? 0) - 1) } : {};
      return { ...thread, unread, ...counted, last: relined(last?.about === base.id ? under : last, base) };
    }
    case 'unlike':
      return last?.about === base.id && last.by === row.sender ? { ...thread, last: under } : thread;
    case 'react': {
      const text = standing(base, row.sender).at(-1)?.symbols[0];
      if (!base.mine || row.mine || text === undefined) return thread;
      return { ...thread, last: { kind: 'reaction', text, mine: false, atMs: row.atMs, id: row.id, about: base.id, by: row.sender, under } };
    }
    case 'stale':
      return thread;
    default:
      return what satisfies never;
  }
}

/** The line of the chat list when the message that it shows, above or under a reaction, has changed. */
function relined(last: Last | null, base: MessageRecord): Last | null {
  if (last === null) return null;
  if (last.under) return { ...last, under: relined(last.under, base) };
  if (last.id !== base.id || last.about !== undefined) return last;
  const { files: _before, ...line } = last;
  return { ...line, kind: base.kind as Last['kind'], text: base.text, ...(base.files ? { files: base.files } : {}) };
}

/**
 * What a report shows: the newest `most` up to the reported one, with the edits of that one, which are newer, and the
 * originals of edits that are older. `rows`: franked, by sequence number. Without `message`, the newest.
 */
export function selected(rows: readonly MessageRecord[], message: string | undefined, most: number): MessageRecord[] {
  const end = message === undefined ? rows.length - 1 : rows.findIndex((row) => row.id === message);
  const later = rows.slice(end + 1).filter((row) => row.effect?.what === 'edit' && row.effect.base === message);
  const before = rows.slice(0, end + 1);
  const room = most - later.length;
  const near = before.slice(-room);
  const wanted = new Set([...near, ...later].flatMap((row) => (row.effect?.what === 'edit' ? [row.effect.base] : [])));
  const originals = before.slice(0, -room).filter((row) => wanted.has(row.id));
  const kept = [...originals, ...near.slice(Math.min(originals.length, near.length - 1)), ...later];
  return kept.slice(-most);
}
