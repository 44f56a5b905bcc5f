/** How many messages wait, in the window's title and on the app's icon: a number, never a word of them. */
import type { Chat } from '../engine/contract';
import { isAside } from './aside';

type Counted = Pick<Chat, 'unread' | 'kind' | 'muted' | 'archived' | 'blocked' | 'deleted'> & { restricted: readonly string[] };

export const waiting = (chats: readonly Counted[]): number =>
  chats.filter((chat) => !chat.muted && !chat.archived && !chat.deleted && !isAside(chat)).reduce((sum, { unread }) => sum + unread, 0);

/** Titles begin with the number, so that it is seen on a narrow tab. */
export const titled = (title: string, unread: number): string => (unread > 0 ? `(${unread}) ${title}` : title);

/** Not every browser has an icon to put it on, and one may refuse it. */
export function badge(unread: number): void {
  if (!('setAppBadge' in navigator)) return;
  (unread > 0 ? navigator.setAppBadge(unread) : navigator.clearAppBadge()).catch(() => undefined);
}
