/** Which chats have something new to tell. */
import type { Chat } from '../engine/contract';

export type Counted = Pick<Chat, 'room' | 'unread' | 'muted' | 'archived' | 'deleted' | 'blocked'>;

/** The rooms in which more waits than before. Nothing is news the first time the chats are known. */
export function news(before: ReadonlyMap<string, number> | null, chats: readonly Counted[]): string[] {
  if (before === null) return [];
  const loud = chats.filter(({ muted, archived, deleted, blocked }) => !muted && !archived && !deleted && !blocked);
  return loud.filter(({ room, unread }) => unread > (before.get(room) ?? 0)).map(({ room }) => room);
}
