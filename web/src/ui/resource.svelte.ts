/** Something fetched that a screen shows: loading, there, or failed with a way to try again. */
import { sentence } from './errors';

export class Resource<T> {
  value = $state.raw<T>();
  problem = $state<string | null>(null);
  #busy = false;
  #again = false;

  constructor(private readonly fetch: () => Promise<T>) {}

  /** Fetches; calls during a fetch are folded into one more fetch after it. An old value stays visible meanwhile. */
  async load(): Promise<void> {
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#busy = true;
    try {
      do {
        this.#again = false;
        await this.#once();
      } while (this.#again);
    } finally {
      this.#busy = false;
    }
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
