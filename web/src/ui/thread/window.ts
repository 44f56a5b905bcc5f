/**
 * The stretch of a chat that is on the page. It moves with the reader and stays small however long the chat is:
 * what is added at one end falls off the other.
 */
import type { Message, Stretch } from '../../engine/contract';

/** Messages asked for at a time, and on the page at most. */
export const PAGE = 50;
export const MOST = 200;

export const EMPTY: Stretch = { messages: [], more: false, newer: false };

/** The places between which the window asks for more. */
export const firstPlace = ({ messages }: Stretch): string | null => messages.find(({ place }) => place !== null)?.place ?? null;
export const afterLast = ({ messages }: Stretch): string | null => {
  const last = messages.findLast(({ place }) => place !== null)?.place ?? null;
  return last === null ? null : `${last}~`; // sorts right behind it
};

const others = (messages: readonly Message[], than: readonly Message[]): Message[] => {
  const known = new Set(than.map(({ id }) => id));
  return messages.filter(({ id }) => !known.has(id));
};

/** With the older messages of `page` above it. */
export function withEarlier(window: Stretch, page: Stretch): Stretch {
  const all = [...others(page.messages, window.messages), ...window.messages];
  return { messages: all.slice(0, MOST), more: page.more, newer: window.newer || all.length > MOST };
}

/** With the newer messages of `page` below it. */
export function withLater(window: Stretch, page: Stretch): Stretch {
  const all = [...others(window.messages, page.messages), ...page.messages];
  return { messages: all.slice(-MOST), more: window.more || all.length > MOST, newer: page.newer };
}

/** The new stretch, with the very objects of the old one where nothing changed, so that only what changed is drawn again. */
export function renewed(old: Stretch | undefined, fresh: Stretch): Stretch {
  if (old === undefined) return fresh;
  const before = new Map(old.messages.map((message) => [message.id, message]));
  const messages = fresh.messages.map((message) => {
    const known = before.get(message.id);
    return known !== undefined && same(known, message) ? known : message;
  });
  return { ...fresh, messages };
}

/** Only of messages whose facts are plain values; one with files is always taken anew. */
function same(one: Message, other: Message): boolean {
  return one.files.length === 0 && other.files.length === 0 && JSON.stringify(one) === JSON.stringify(other);
}
