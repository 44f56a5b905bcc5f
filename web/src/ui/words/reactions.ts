/** Reactions as words and marks: how many, whose, which of them is mine. */
import type { Chat, Message, Reaction } from '../../engine/contract';
import { plural, t } from '../../i18n';
import { called } from '../names';

export const mine = (message: Pick<Message, 'reactions'>): string | null => message.reactions.find((one) => one.mine)?.symbol ?? null;
export const total = (reactions: readonly Reaction[]): number => reactions.reduce((sum, { count }) => sum + count, 0);

/** "👍 2, ❤️ 1": what the mark under a message says aloud. */
export const spoken = (reactions: readonly Reaction[]): string =>
  plural('words.reactions', total(reactions), { list: reactions.map(({ symbol, count }) => `${symbol} ${count}`).join(', ') });

/** Everybody who chose a symbol, me first; a name that is not known here is that of a chat's one other person, or nobody's. */
export function whose({ mine: own, names }: Reaction, chat: Chat): string[] {
  const unknown = chat.kind === 'direct' ? called(chat) : t('thread.somebody');
  return [...(own ? [t('thread.you')] : []), ...names.map((name) => name || unknown)];
}
