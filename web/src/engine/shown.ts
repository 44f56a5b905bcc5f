/** What a thread shows around a message's words: its reactions, what may be done to it, and changes that are still on their way. */
import type { Change, Message, Reaction } from './contract';
import { DELETE_MS, EDIT_MS, MOST_EDITS } from './effects';
import type { MessageRecord, OutboxRecord } from './records';

/** Each symbol once, in the order in which it first came; a person counts once for each of hers. */
export async function reactionsOf(
  row: Pick<MessageRecord, 'reactions'>, self: string, nameOf: (account: string) => Promise<string | null>,
): Promise<Reaction[]> {
  const people = new Map<string, Set<string>>();
  for (const { symbols, sender } of row.reactions ?? []) {
    for (const symbol of symbols) people.set(symbol, (people.get(symbol) ?? new Set()).add(sender));
  }
  return Promise.all([...people].map(async ([symbol, all]) => ({
    symbol, count: all.size, mine: all.has(self),
    names: await Promise.all([...all].filter((one) => one !== self).map(async (one) => (await nameOf(one)) ?? '')),
  })));
}

export function mayChange(row: MessageRecord, now: number): Message['may'] {
  const own = row.mine && row.seq !== null && (row.kind === 'text' || row.kind === 'unsupported');
  const age = now - row.atMs;
  return { edit: own && row.kind === 'text' && age < EDIT_MS && (row.edits?.length ?? 0) < MOST_EDITS, delete: own && age < DELETE_MS };
}

/** My changes as if they had arrived already; one that failed is only named, and the message stands as it is. */
export function withChanges(messages: readonly Message[], outbox: readonly OutboxRecord[]): Message[] {
  const changes = outbox.filter((record) => record.change !== undefined);
  if (changes.length === 0) return [...messages];
  return messages.map((message) => changes.filter(({ change }) => change!.target === message.id).reduce(changed, message));
}

function changed(message: Message, { id, stage, change: wanted, text }: OutboxRecord): Message {
  const failed = stage === 'failed';
  const change: Change = { id, what: wanted!.what, failed };
  if (failed || message.kind === 'deleted') return { ...message, change };
  switch (wanted!.what) {
    case 'edit': return { ...message, text, edited: true, change };
    case 'delete': return { ...message, kind: 'deleted', text: '', files: [], edited: false, reactions: [], reply_to: null, forwarded: 0, change };
    case 'react': return { ...message, reactions: withMine(message.reactions, wanted!.symbol), change };
    default: return wanted satisfies never;
  }
}

/** The reactions when this is my only one; null: none is. */
export function withMine(reactions: readonly Reaction[], symbol: string | null): Reaction[] {
  const without = reactions.map((one) => (one.mine ? { ...one, mine: false, count: one.count - 1 } : one));
  const known = without.some((one) => one.symbol === symbol);
  const all = symbol === null || known ? without : [...without, { symbol, count: 0, mine: false, names: [] }];
  return all.map((one) => (one.symbol === symbol ? { ...one, mine: true, count: one.count + 1 } : one)).filter((one) => one.count > 0);
}
