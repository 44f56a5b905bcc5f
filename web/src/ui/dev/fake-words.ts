/** What the scripted engine does with a message that is there already: edit, delete, react. */
import type { Message } from '../../engine/contract';
import { withMine } from '../../engine/shown';

type Thread = readonly Message[];
const changed = (thread: Thread, id: string, change: (message: Message) => Message): Message[] =>
  thread.map((message) => (message.id === id ? change(message) : message));

export const edited = (thread: Thread, id: string, text: string): Message[] =>
  changed(thread, id, (message) => ({ ...message, text, edited: true }));

/** Gone for everybody: a placeholder stays, and answers to it show nothing of it. */
export function deletedForAll(thread: Thread, id: string): Message[] {
  const without = changed(thread, id, (message) => ({
    ...message, kind: 'deleted', text: '', edited: false, reactions: [], reply_to: null, may: { edit: false, delete: false },
  }));
  return without.map((message) => (message.reply_to?.id === id ? { ...message, reply_to: { ...message.reply_to, text: '', deleted: true } } : message));
}

export const deletedHere = (thread: Thread, id: string): Message[] => thread.filter((message) => message.id !== id);

export const reacted = (thread: Thread, id: string, symbol: string | null): Message[] =>
  changed(thread, id, (message) => ({ ...message, reactions: withMine(message.reactions, symbol) }));
