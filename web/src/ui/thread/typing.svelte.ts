/** Who writes now. It is forgotten a few seconds after it was last told, and nothing of it is kept. */
import type { Engine } from '../../engine/contract';

export const FORGOTTEN_MS = 6_000;
/** What is told at most: once in this time. */
export const TOLD_EVERY_MS = 4_000;

export class Typing {
  names = $state.raw<readonly string[]>([]);
  readonly #writing = new Map<string, { name: string; timer: ReturnType<typeof setTimeout> }>();
  #told = Number.NEGATIVE_INFINITY;

  constructor(private readonly engine: Engine, private readonly room: string) {}

  heard(account: string, name: string): void {
    clearTimeout(this.#writing.get(account)?.timer);
    this.#writing.set(account, { name, timer: setTimeout(() => this.#forget(account), FORGOTTEN_MS) });
    this.#show();
  }

  /** A message came, or the chat is left: whoever wrote has written. */
  clear(): void {
    this.#writing.forEach(({ timer }) => clearTimeout(timer));
    this.#writing.clear();
    this.#show();
  }

  /** This person writes. */
  tell(now = performance.now()): void {
    if (now - this.#told < TOLD_EVERY_MS) return;
    this.#told = now;
    this.engine.call('typing', { room: this.room }).catch(() => undefined); // it is no news later, so nobody tries again
  }

  #forget(account: string): void {
    this.#writing.delete(account);
    this.#show();
  }

  #show(): void {
    const names = [...this.#writing.values()].map(({ name }) => name);
    if (names.length > 0 || this.names.length > 0) this.names = names;
  }
}
