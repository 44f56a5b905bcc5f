/** Rows of one chat in the order of its places, a stretch at a time; reads no more than it returns, and a little. */
import type { Place } from './contract';
import { padded, type MessageRecord } from './records';
import type { Vault } from './vault';

export interface StoredRow { key: string; value: MessageRecord }
export interface Where { before?: Place; from?: Place; limit?: number }
/**
 * `rows` oldest first, those that are not shown included (without what they say); `above` is the row just before them. There
 * may be fewer than were asked for, even none that is shown, and still be more: whoever wants them reads on from there.
 */
export interface StoredStretch { rows: StoredRow[]; above: StoredRow | null; newer: boolean }

export const PAGE = 50;
const MOST = 500;
/** Rows opened at one time, shown or not: one sender can put thousands of changes in a row. */
export const MOST_READ = 1000;

/** The place of a stored row, and where it begins for everything after `seq`. */
export const placeOf = (key: string): Place => key.slice(key.indexOf('/') + 1);
export const placeAfter = (seq: number): Place => padded(seq + 1);

/** At most `limit` rows that are `shown`. */
export async function readStretch(
  vault: Vault, room: string, { before, from, limit = PAGE }: Where, shown: (row: MessageRecord) => boolean,
): Promise<StoredStretch> {
  const most = Math.max(1, Math.min(limit, MOST));
  if (from === undefined) {
    const rows = await gather(vault, room, before === undefined ? {} : { before: `${room}/${before}` }, most, shown, true);
    const above = rows.rest ?? null;
    return { rows: rows.taken.reverse(), above, newer: before !== undefined };
  }
  const rows = await gather(vault, room, { from: `${room}/${from}` }, most, shown, false);
  const [above = null] = await vault.range<MessageRecord>('messages', {
    prefix: `${room}/`, before: `${room}/${from}`, reverse: true, limit: 1,
  });
  return { rows: rows.taken, above, newer: rows.rest !== null };
}

/** Reads on until enough of the rows are shown, or it has read enough for one time; `rest` is the row after them. */
async function gather(
  vault: Vault, room: string, start: { before?: string; from?: string }, limit: number, shown: (row: MessageRecord) => boolean,
  reverse: boolean,
): Promise<{ taken: StoredRow[]; rest: StoredRow | null }> {
  const taken: StoredRow[] = [];
  let bounds = start;
  let left = limit;
  for (;;) {
    const asked = limit + 1;
    const found = await vault.range<MessageRecord>('messages', { prefix: `${room}/`, reverse, limit: asked, ...bounds });
    for (const row of found) {
      if (left === 0 || taken.length === MOST_READ) return { taken, rest: row };
      const wanted = shown(row.value);
      taken.push(wanted ? row : { key: row.key, value: { ...row.value, content: null } });
      if (wanted) left--;
    }
    if (found.length < asked) return { taken, rest: null };
    const last = found.at(-1)!.key;
    bounds = reverse ? { before: last } : { from: `${last}\u0000` };
  }
}
