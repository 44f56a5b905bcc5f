/** What is half written, per chat: at once in memory, a moment later sealed on this device by the engine. */
import type { Engine } from '../engine/contract';

const PAUSE_MS = 300;

export class Drafts {
  readonly #texts = new Map<string, string>();
  readonly #waiting = new Map<string, ReturnType<typeof setTimeout>>();

  constructor(private readonly engine: Engine) {}

  get(room: string): string | undefined {
    return this.#texts.get(room);
  }

  set(room: string, text: string): void {
    if (text === (this.#texts.get(room) ?? '')) return;
    this.#texts.set(room, text);
    clearTimeout(this.#waiting.get(room));
    this.#waiting.set(room, setTimeout(() => this.#keep(room), text === '' ? 0 : PAUSE_MS));
  }

  /** The page may be gone the next moment. */
  flush(): void {
    for (const room of [...this.#waiting.keys()]) this.#keep(room);
  }

  clear(): void {
    this.#waiting.forEach((timer) => clearTimeout(timer));
    this.#waiting.clear();
    this.#texts.clear();
  }

  #keep(room: string): void {
    clearTimeout(this.#waiting.get(room));
    this.#waiting.delete(room);
    this.engine.call('set_draft', { room, text: this.#texts.get(room) ?? '' }).catch((error: unknown) => {
      console.warn('a draft was not kept', error); // it is still on the screen, and the next stroke tries again
    });
  }
}
