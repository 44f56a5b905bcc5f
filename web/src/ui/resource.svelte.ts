/** Something fetched that a screen shows: loading, there, or failed with a way to try again. */
import { sentence } from './errors';

export class Resource<T> {
  value = $state.raw<T>();
  problem = $state<string | null>(null);
  #running: Promise<void> | null = null;
  #again = false;

  constructor(private readonly fetch: () => Promise<T>) {}

  /** Fetches; calls during a fetch are folded into one more fetch after it, and wait for that. An old value stays visible meanwhile. */
  load(): Promise<void> {
    this.#again = true;
    return (this.#running ??= this.#all());
  }

  async #all(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      await this.#once();
    }
    this.#running = null;
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
