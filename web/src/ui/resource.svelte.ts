/** Something fetched that a screen shows: loading, there, or failed with a way to try again. */
import { sentence } from './errors';

export class Resource<T> {
  value = $state.raw<T>();
  problem = $state<string | null>(null);
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  constructor(private readonly fetch: () => Promise<T>) {}

  /**
   * Fetches; calls during a fetch are folded into one more fetch after it, and wait for that one alone: where news never
   * stops, nobody waits for its end. An old value stays visible meanwhile.
   */
  load(): Promise<void> {
    if (this.#next) return this.#next;
    if (!this.#running) return this.#begin();
    return (this.#next = this.#running.then(() => {
      this.#next = null;
      return this.#begin();
    }));
  }

  #begin(): Promise<void> {
    return (this.#running = this.#once().finally(() => (this.#running = null)));
  }

  async #once(): Promise<void> {
    try {
      this.value = await this.fetch();
      this.problem = null;
    } catch (error) {
      this.problem = sentence(error);
    }
  }
}
