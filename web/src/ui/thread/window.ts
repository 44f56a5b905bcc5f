/**
 * The stretch of a chat that is on the page. It moves with the reader and stays small however long the chat is:
 * what is added at one end falls off the other.
 */
import type { Message, Stretch } from '../../engine/contract';

/** Messages asked for at a time, and on the page at most. */
export const PAGE = 50;
export const MOST = 200;

const firstPlace = (messages: readonly Message[]): string | null => messages.find(({ place }) => place !== null)?.place ?? null;
const lastPlace = (messages: readonly Message[]): string | null => messages.findLast(({ place }) => place !== null)?.place ?? null;
/** Sorts right behind the end of the window. */
export const afterLast = ({ ends }: Stretch): string | null => (ends === null ? null : `${ends}~`);

const others = (messages: readonly Message[], than: readonly Message[]): Message[] => {
  const known = new Set(than.map(({ id }) => id));
  return messages.filter(({ id }) => !known.has(id));
};

/** With the older messages of `page` above it. */
export function withEarlier(window: Stretch, page: Stretch): Stretch {
  const all = [...others(page.messages, window.messages), ...window.messages];
  return beginning({ messages: all, more: page.more, newer: window.newer, begins: page.begins ?? window.begins, ends: window.ends }, MOST);
}

/** With the newer messages of `page` below it. */
export function withLater(window: Stretch, page: Stretch): Stretch {
  const all = [...others(window.messages, page.messages), ...page.messages];
  const whole = { messages: all, more: window.more, newer: page.newer, begins: window.begins, ends: page.ends ?? window.ends };
  const kept = all.slice(-MOST);
  return kept.length === all.length ? whole : { ...whole, messages: kept, more: true, begins: firstPlace(kept) };
}

/** At most so many messages from its beginning. */
export function beginning(window: Stretch, most: number): Stretch {
  const kept = window.messages.slice(0, most);
  return kept.length === window.messages.length ? window : { ...window, messages: kept, newer: true, ends: lastPlace(kept) };
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
