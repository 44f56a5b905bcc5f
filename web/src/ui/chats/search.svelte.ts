/** A search through chats, one after another, newest first; a new one ends the one before. */
import type { Chat, Engine, Found } from '../../engine/contract';
import { sentence } from '../errors';

/** More would not be read; what is looked for can be said more exactly. */
export const MOST_FOUND = 100;
export const SHORTEST = 2;

export class Search {
  found = $state.raw<readonly Found[]>([]);
  looked = $state(0);
  state = $state<'idle' | 'looking' | 'stopped' | 'done'>('idle');
  problem = $state<string | null>(null);
  #turn = 0;

  constructor(private readonly engine: Engine) {}

  stop(): void {
    this.#turn++;
    if (this.state === 'looking') this.state = 'stopped';
  }

  async begin(text: string, chats: readonly Pick<Chat, 'room'>[]): Promise<void> {
    const turn = ++this.#turn;
    this.found = [];
    this.looked = 0;
    this.problem = null;
    const enough = text.trim().length >= SHORTEST;
    this.state = enough ? 'looking' : 'idle';
    if (!enough) return;
    try {
      for (const { room } of chats) await this.#through(room, text, turn);
      if (turn === this.#turn) this.state = 'done';
    } catch (error) {
      if (turn !== this.#turn) return;
      this.problem = sentence(error);
      this.state = 'stopped';
    }
  }

  async #through(room: string, text: string, turn: number): Promise<void> {
    let before: string | null | undefined;
    while (before !== null && turn === this.#turn && this.found.length < MOST_FOUND) {
      const part = await this.engine.call('search', { room, text, ...(before === undefined ? {} : { before }) });
      if (turn !== this.#turn) return;
      before = part.before;
      this.looked += part.looked;
      if (part.found.length > 0) this.found = [...this.found, ...part.found].slice(0, MOST_FOUND);
    }
  }
}
