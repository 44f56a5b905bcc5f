/** The chats to which something can be passed on. */
import type { Chat } from '../../engine/contract';
import { called } from '../names';

export const open = (chats: readonly Chat[]): Chat[] => chats.filter((chat) => chat.writable && !chat.blocked && !chat.group?.left);

/** Those whose name or handle holds what was typed, whatever its case and its accents. */
export function matching(chats: readonly Chat[], wanted: string): Chat[] {
  const plain = (text: string): string => text.normalize('NFKD').replace(/\p{M}/gu, '').toLocaleLowerCase();
  const sought = plain(wanted.trim());
  return chats.filter((chat) => plain(`${called(chat)} ${chat.handle}`).includes(sought));
}
