/** Chats that stand with the requests, because this person restricts the other one. */
import type { Chat } from '../engine/contract';

export const isAside = ({ kind, restricted }: { kind: Chat['kind']; restricted: readonly string[] }): boolean =>
  kind === 'direct' && restricted.length > 0;
