/** Which chats have something new to tell. */
import type { Chat } from '../engine/contract';
import { isAside } from './aside';

export type Counted = Pick<Chat, 'room' | 'kind' | 'unread' | 'muted' | 'archived' | 'deleted' | 'blocked'> & { restricted: readonly string[] };

/** The rooms in which more waits than before. Nothing is news the first time the chats are known. */
export function news(before: ReadonlyMap<string, number> | null, chats: readonly Counted[]): string[] {
  if (before === null) return [];
  const loud = chats.filter((chat) => !chat.muted && !chat.archived && !chat.deleted && !chat.blocked && !isAside(chat));
  return loud.filter(({ room, unread }) => unread > (before.get(room) ?? 0)).map(({ room }) => room);
}
