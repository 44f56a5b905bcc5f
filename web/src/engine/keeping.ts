/** How a person keeps a chat on this device: pinned, muted, archived, half written. Sealed here, told to nobody. */
import { Problem } from './errors';
import type { Home } from './home';
import type { Draft, Kept, Thread } from './records';
import type { Vault } from './vault';

export const MOST_PINNED = 5;
/** Longer than any message may be: what is too long to send is still kept. */
const DRAFT_CHARACTERS = 20_000;
const LOCK = 'kith:keeping';
const LOOSE: Kept = { pinnedMs: null, muted: false, archivedAtMs: null };

export interface Shown { pinned: boolean; muted: boolean; archived: boolean; draft: string }
export interface Change { pinned?: boolean; muted?: boolean; archived?: boolean }

/** An archived chat comes back with the next message, unless it is muted or this person restricts who wrote it. */
export function isArchived({ archivedAtMs, muted }: Kept, thread: Pick<Thread, 'last' | 'loudMs'>): boolean {
  return archivedAtMs !== null && (muted || (thread.loudMs ?? thread.last?.atMs ?? 0) <= archivedAtMs);
}

export class Keeping {
  constructor(private readonly home: Home, private readonly vault: Vault) {}

  async #kept(room: string): Promise<Kept> {
    return (await this.vault.get<Kept>('meta', `kept/${room}`)) ?? LOOSE;
  }

  async shown(room: string, thread: Thread): Promise<Shown> {
    const [kept, draft] = await Promise.all([this.#kept(room), this.vault.get<Draft>('meta', `draft/${room}`)]);
    return { pinned: kept.pinnedMs !== null, muted: kept.muted, archived: isArchived(kept, thread), draft: draft?.text ?? '' };
  }

  /** One at a time, so that two taps do not pin a sixth. */
  set(room: string, thread: Thread, change: Change): Promise<void> {
    return this.home.locked(LOCK, async () => {
      const before = await this.#kept(room);
      if (change.pinned && before.pinnedMs === null) await this.#checkRoom();
      await this.vault.save('meta', `kept/${room}`, changed(before, change, thread, this.home.now()));
    });
  }

  async #checkRoom(): Promise<void> {
    const kept = await this.vault.range<Kept>('meta', { prefix: 'kept/' });
    if (kept.filter(({ value }) => value.pinnedMs !== null).length < MOST_PINNED) return;
    throw new Problem('invalid', `You can pin ${MOST_PINNED} chats. Unpin another one first.`);
  }

  /** Whether it was another draft before. */
  async setDraft(room: string, written: string): Promise<boolean> {
    const text = written.slice(0, DRAFT_CHARACTERS);
    const key = `draft/${room}`;
    const before = (await this.vault.get<Draft>('meta', key))?.text ?? '';
    if (before === text) return false;
    await this.vault.write(text === '' ? this.vault.remove('meta', key) : await this.vault.put('meta', key, { text } satisfies Draft));
    return true;
  }

  async forget(room: string): Promise<void> {
    await this.vault.write(this.vault.remove('meta', `draft/${room}`), this.vault.remove('meta', `kept/${room}`));
  }
}

function changed(before: Kept, change: Change, thread: Thread, now: number): Kept {
  const { pinned = before.pinnedMs !== null, muted = before.muted, archived } = change;
  const archivedAtMs = archived === undefined ? before.archivedAtMs : archived ? (thread.last?.atMs ?? 0) : null;
  // A chat that is put away is not on top, and one on top is not put away.
  const pinnedMs = pinned && archived !== true ? (before.pinnedMs ?? now) : null;
  return { pinnedMs, muted, archivedAtMs: change.pinned ? null : archivedAtMs };
}
