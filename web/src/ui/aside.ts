/** Chats that stand with the requests, because this person restricts the other one. A block wins: such a chat is where blocked ones are. */
import type { Chat } from '../engine/contract';

export const isAside = ({ kind, blocked, restricted }: Pick<Chat, 'kind' | 'blocked'> & { restricted: readonly string[] }): boolean =>
  kind === 'direct' && !blocked && restricted.length > 0;
