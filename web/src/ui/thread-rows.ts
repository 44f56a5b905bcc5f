/** A thread as rows: days, gaps and messages, with runs of one speaker marked so that they can be drawn together. */
import type { Message, Place } from '../engine/contract';

export type Row =
  | { kind: 'day'; id: string; ms: number }
  | { kind: 'gap'; id: string; count: number }
  | { kind: 'new'; id: string }
  | { kind: 'message'; id: string; message: Message; opens: boolean; closes: boolean };

/** Messages of one person within this time belong together; only the last of them shows its time. */
const RUN_MS = 5 * 60_000;

const sameDay = (a: number, b: number): boolean => new Date(a).toDateString() === new Date(b).toDateString();
const isInfo = (message: Message): boolean => message.kind === 'info';

/** Whether `b` continues the run of `a`. */
function continues(a: Message | undefined, b: Message | undefined): boolean {
  if (!a || !b || isInfo(a) || isInfo(b) || b.gap_before > 0) return false;
  return a.sender === b.sender && sameDay(a.at_ms, b.at_ms) && Math.abs(b.at_ms - a.at_ms) < RUN_MS;
}

/** The first message of somebody else at or after a place; -1 when it is not among these, or perhaps not the first. */
function firstNew(messages: readonly Message[], from: Place | null, older: boolean): number {
  if (from === null) return -1;
  const at = messages.findIndex(({ place, mine, kind }) => place !== null && place >= from && !mine && kind !== 'info');
  return at === 0 && older ? -1 : at;
}

/** `newFrom`: where the line "New messages" stands; `older`: there are older messages than these. */
export function rows(messages: readonly Message[], newFrom: Place | null = null, older = false): Row[] {
  const fresh = firstNew(messages, newFrom, older);
  return messages.flatMap((message, at) => {
    const before = messages[at - 1];
    const made: Row[] = [];
    if (!before || !sameDay(before.at_ms, message.at_ms)) made.push({ kind: 'day', id: `day ${message.id}`, ms: message.at_ms });
    if (message.gap_before > 0) made.push({ kind: 'gap', id: `gap ${message.id}`, count: message.gap_before });
    if (at === fresh) made.push({ kind: 'new', id: 'new' });
    const [opens, closes] = [at === fresh || !continues(before, message), at + 1 === fresh || !continues(message, messages[at + 1])];
    made.push({ kind: 'message', id: message.id, message, opens, closes });
    return made;
  });
}

const RECENT_MS = 14 * 24 * 60 * 60_000;

/**
 * Whether a chat is young enough that deleting it should first offer report and block.
 * With older messages left to load it is long-standing: asking there would be nagging.
 */
export function isRecent(messages: readonly Message[], more: boolean, now: number): boolean {
  const first = messages[0];
  return !more && (first === undefined || now - first.at_ms < RECENT_MS);
}
