/** Where the line "New messages" stands. It stays there while somebody reads, and moves only when there is news again. */
import type { Chat } from '../../engine/contract';

export interface Mark { at: string | null; unread: number }
export const UNMARKED: Mark = { at: null, unread: 0 };

/** `reading`: the end of the chat is in sight, so what arrives is read at once and is no news. */
export function marked(mark: Mark, { unread, unread_from }: Pick<Chat, 'unread' | 'unread_from'>, reading: boolean): Mark {
  if (unread === mark.unread) return mark;
  const news = unread > 0 && mark.unread === 0 && !reading;
  return { at: news ? unread_from : mark.at, unread };
}
