/** Says how far something came a few times a second, and the last word in any case. */
import type { Home } from '../home';

const EVERY_MS = 250;

export class Throttle {
  #last = -Infinity;
  #untold: number | null = null;

  constructor(private readonly home: Pick<Home, 'now'>, private readonly say: (done: number) => void) {}

  tell(done: number): void {
    const now = this.home.now();
    this.#untold = done;
    if (now - this.#last < EVERY_MS) return;
    this.#last = now;
    this.end();
  }

  end(): void {
    if (this.#untold !== null) this.say(this.#untold);
    this.#untold = null;
  }
}
