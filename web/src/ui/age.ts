/** The age question: month and year, nothing else, and a refusal that is remembered without saying why. */

export interface BirthMonth { year: number; month: number }

/** Reads the two fields; null while they do not name a month of the last 130 years that is not in the future. */
export function birthMonth(year: string, month: string, now: Date): BirthMonth | null {
  if (!/^\d{4}$/.test(year.trim()) || !/^\d{1,2}$/.test(month)) return null;
  const [y, m] = [Number(year), Number(month)];
  const inFuture = y > now.getFullYear() || (y === now.getFullYear() && m > now.getMonth() + 1);
  return m < 1 || m > 12 || y < now.getFullYear() - 130 || inFuture ? null : { year: y, month: m };
}

export const REFUSAL_MS = 24 * 60 * 60_000;
const REFUSED_UNTIL = 'kith.wait';

/** The server refuses by itself; this only spares a person the same question twice. Holds a time, nothing typed. */
export interface Memory { getItem(name: string): string | null; setItem(name: string, value: string): void }

export const rememberRefusal = (memory: Memory, now: number): void =>
  memory.setItem(REFUSED_UNTIL, String(now + REFUSAL_MS));

export function isRefused(memory: Memory, now: number): boolean {
  const until = Number(memory.getItem(REFUSED_UNTIL));
  return Number.isFinite(until) && now < until && until <= now + REFUSAL_MS;
}
