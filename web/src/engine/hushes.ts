/**
 * Whom this person restricts, for herself alone. Where one of them is nothing is told of reading and writing, nor shown;
 * what they write is news nowhere. The other side can see nothing of it: nothing that is stored there changes.
 */
import type { Roster, Thread } from './records';

export class Hushes {
  /** Until it is known nothing is told: a read status cannot be taken back. */
  #known: ReadonlySet<string> | null = null;

  constructor(private readonly roster: (room: string) => Promise<Pick<Roster, 'accounts'>>) {}

  learn(accounts: readonly string[]): void {
    this.#known = new Set(accounts);
  }

  has(account: string): boolean {
    return this.#known?.has(account) === true;
  }

  /** Whether reading and writing may be told there. In a group that goes to all of it or to nobody. */
  async open(room: string): Promise<boolean> {
    const known = this.#known;
    if (known === null) return false;
    return known.size === 0 || !(await this.roster(room)).accounts.some((one) => known.has(one));
  }
}

/** The thread with the time of what was last said aloud, which is kept while its newest line is of somebody restricted. */
export function stirred(before: Thread, { loudMs: _past, ...after }: Thread, hushed: boolean): Thread {
  const same = after.last === before.last;
  const loudMs = same ? before.loudMs : hushed ? (before.loudMs ?? before.last?.atMs ?? 0) : undefined;
  return loudMs === undefined ? after : { ...after, loudMs };
}
