/**
 * Disappearing messages on this device: when each of them goes, and its going. Counted from reading; of what was written
 * here, from when the server accepted it. What is gone stays reportable for a week, shown nowhere.
 */
import { rowAt } from './compose';
import { DELETED_KEPT_MS, Folding, lineOf } from './folding';
import type { Home, Write } from './home';
import type { MessageRecord, Roster, Thread } from './records';
import { padded } from './records';
import { isOver } from './over';
import type { Vault } from './vault';

/** Rows that go, or begin to count, at one time. */
const AT_ONCE = 100;
/** Rows read to find what the chat list shows afterwards. */
const SEARCHED = 200;

/** Whoever may write may set the timer; in a group its admins. */
export const maySet = ({ roles }: Roster, account: string): boolean => roles === undefined || ['admin', 'owner'].includes(roles[account] ?? '');

/** What the thread says of a timer that was set. */
export function said(who: string, seconds: number): string {
  const names: Record<number, string> = { 300: '5 minutes', 3600: '1 hour', 86_400: '1 day', 604_800: '1 week', 2_419_200: '4 weeks' };
  return seconds === 0 ? `${who} turned disappearing messages off.` : `${who} set messages to disappear ${names[seconds]} after they are read.`;
}

/** The row with its hour, when it has one, and the reminder that goes with it. */
export async function counted(vault: Vault, key: string, row: MessageRecord, now: number): Promise<{ row: MessageRecord; writes: Write[] }> {
  if (row.expiresS === undefined || row.expiresMs !== undefined) return { row, writes: [] };
  const expiresMs = now + row.expiresS * 1000;
  return { row: { ...row, expiresMs }, writes: [await vault.put('meta', `expire/${padded(expiresMs)}/${key}`, true)] };
}

/**
 * Everything that was read just now begins to count: from one place on, before another. Some rows at a time, each time on
 * disk: what counts already is left alone. `read`: messages of others among them; `counting`: some of it does only now.
 */
export async function countRead(vault: Vault, room: string, from: string, now: number, before?: string): Promise<{ read: number; counting: boolean }> {
  const end = before === undefined ? {} : { before: `${room}/${before}` };
  let read = 0;
  let counting = false;
  for (let next: string | null = `${room}/${from}`; next !== null;) {
    const rows: { key: string; value: MessageRecord }[] = await vault.range('messages', { prefix: `${room}/`, from: next, limit: AT_ONCE, ...end });
    const others = rows.filter(({ value }) => !value.mine);
    read += others.filter(({ value: { kind } }) => kind === 'text' || kind === 'unsupported').length;
    const made = await Promise.all(others.map(async ({ key, value }) => {
      const { row, writes } = await counted(vault, key, value, now);
      return writes.length === 0 ? [] : [...writes, await vault.put('messages', key, row)];
    }));
    await vault.write(...made.flat());
    counting ||= made.flat().length > 0;
    next = rows.length < AT_ONCE ? null : `${rows.at(-1)!.key}\u0000`;
  }
  return { read, counting };
}

/** Rooms in which something has to go by now. */
export async function overdue(vault: Vault, now: number): Promise<Map<string, { reminder: string; key: string }[]>> {
  const due = await vault.range('meta', { prefix: 'expire/', before: `expire/${padded(now + 1)}`, limit: AT_ONCE });
  const rooms = new Map<string, { reminder: string; key: string }[]>();
  for (const { key: reminder } of due) {
    const key = reminder.split('/').slice(2).join('/');
    const room = key.split('/')[0]!;
    rooms.set(room, [...(rooms.get(room) ?? []), { reminder, key }]);
  }
  return rooms;
}

/** Whether a row is a version of a message that is here: it goes when that one goes. */
async function countsInto(vault: Vault, room: string, { id, effect }: MessageRecord): Promise<boolean> {
  const base = effect?.what === 'edit' ? await rowAt(vault, room, effect.base) : null;
  return base?.edits?.some((one) => one.id === id) ?? false;
}

/** Takes rows out of a thread, without a trace in it. Under the room's lock. */
export async function vanish(home: Home, vault: Vault, room: string, due: readonly { reminder: string; key: string }[], thread: Thread): Promise<void> {
  const folding = new Folding(vault, room, home.now(), thread);
  const gone = new Set<string>();
  for (const { key } of due) {
    const row = await vault.get<MessageRecord>('messages', key);
    if (row === null || !isOver(row, home.now()) || (await countsInto(vault, room, row))) continue;
    await folding.hide(key, row, DELETED_KEPT_MS);
    gone.add(row.id);
  }
  const { last } = thread;
  const stale = last !== null && (gone.has(last.id ?? '') || gone.has(last.about ?? ''));
  const next = stale ? await newest(vault, room, gone) : last;
  await vault.write(
    ...(await folding.writes()), ...due.map(({ reminder }) => vault.remove('meta', reminder)),
    await vault.put('meta', `thread/${room}`, { ...thread, last: next } satisfies Thread),
  );
}

async function newest(vault: Vault, room: string, gone: ReadonlySet<string>): Promise<Thread['last']> {
  const rows = await vault.range<MessageRecord>('messages', { prefix: `${room}/`, reverse: true, limit: SEARCHED });
  const row = rows.find(({ value }) => !gone.has(value.id) && ['text', 'unsupported', 'deleted'].includes(value.kind))?.value;
  return row ? lineOf(row) : null;
}
