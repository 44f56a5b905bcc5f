/** What another device of the same person has read of a chat: the count of what is new, and when things go. */
import { newThread, type Thread } from './records';
import { placeAfter } from './stretch';
import { countRead } from './vanishing';
import type { Vault } from './vault';

/** Everything up to this number counts as read; false when that is nothing new. Under the room's lock. */
export async function readUpTo(vault: Vault, room: string, upto: number, now: number): Promise<boolean> {
  const thread = (await vault.get<Thread>('meta', `thread/${room}`)) ?? newThread();
  if (upto <= thread.readSeq) return false;
  const { read } = await countRead(vault, room, placeAfter(thread.readSeq), now, placeAfter(upto));
  await vault.save('meta', `thread/${room}`, { ...thread, readSeq: upto, unread: Math.max(0, thread.unread - read) } satisfies Thread);
  return true;
}
