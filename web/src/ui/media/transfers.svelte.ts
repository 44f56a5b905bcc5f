/** How far files have come, up or down, as the engine tells it. */
import { SvelteMap } from 'svelte/reactivity';
import type { Engine, FileView } from '../../engine/contract';

class Transfers {
  readonly #parts = new SvelteMap<string, number>();

  constructor(engine: Engine) {
    engine.on((happening) => {
      if (happening.type !== 'transfer') return;
      const { id, part, done, total } = happening;
      this.#parts.set(`${id}/${part}`, total > 0 ? Math.min(1, done / total) : 0);
    });
  }

  /** 0 to 1. */
  of(id: string, part: number): number {
    return this.#parts.get(`${id}/${part}`) ?? 0;
  }

  /** All files of a message together, each by its size. */
  whole(id: string, files: readonly FileView[]): number {
    const total = files.reduce((sum, { size }) => sum + size, 0);
    return total > 0 ? files.reduce((sum, { part, size }) => sum + size * this.of(id, part), 0) / total : 0;
  }
}

const known = new WeakMap<Engine, Transfers>();

export function transfersOf(engine: Engine): Transfers {
  const transfers = known.get(engine) ?? new Transfers(engine);
  known.set(engine, transfers);
  return transfers;
}
