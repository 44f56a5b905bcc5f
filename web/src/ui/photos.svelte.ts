/** Photos of groups as addresses that an <img> takes. Kept in memory only, and fetched when one is first on screen. */
import { SvelteMap } from 'svelte/reactivity';
import type { Engine, Picture } from '../engine/contract';

/** An address of these bytes inside this page; whoever asks for it revokes it. */
export const drawn = ({ type, bytes }: Picture): string => URL.createObjectURL(new Blob([bytes], { type }));

export class Photos {
  readonly #asked = new Map<string, number>();
  readonly #urls = new SvelteMap<string, string>();
  #failed = false;
  #attempt = $state(0);

  constructor(private readonly engine: Engine) {}

  /** The photo of a group in this version, or the one before while it is fetched; undefined: show the letter. */
  of(room: string, version: number | null): string | undefined {
    void this.#attempt; // asked again when there is a connection again
    if (version === null) return undefined;
    if (this.#asked.get(room) !== version) {
      this.#asked.set(room, version);
      void this.#fetch(room, version);
    }
    return this.#urls.get(room);
  }

  /** What could not be fetched is tried once more. */
  retry(): void {
    if (!this.#failed) return;
    this.#failed = false;
    this.#attempt += 1;
  }

  forget(): void {
    this.#urls.forEach((url) => URL.revokeObjectURL(url));
    this.#urls.clear();
    this.#asked.clear();
  }

  async #fetch(room: string, version: number): Promise<void> {
    try {
      const picture = await this.engine.call('group_photo', { room, version });
      if (this.#asked.get(room) !== version) return; // a newer one was asked for, or the person signed out
      const before = this.#urls.get(room);
      this.#urls.set(room, drawn(picture));
      if (before !== undefined) URL.revokeObjectURL(before);
    } catch {
      // A photo is decoration: without it there is the letter, and it is asked for again after the next connection.
      if (this.#asked.get(room) === version) this.#asked.delete(room);
      this.#failed = true;
    }
  }
}
