/**
 * The demo's town: all townspeople in one process, each with an engine of her own, over the public API.
 *
 * `node town.js ORIGIN FOLDER`. Speaks JSON lines on stdout (`Told`), logs on stderr, and ends when stdin does, so that
 * it never outlives the house that started it.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Person } from './person';
import { pause, Resident } from './resident';
import { STORY, type Town } from './story';
import { TOWNSPEOPLE, type Townsperson } from './townspeople';

/** What the town tells the house. */
export type Told =
  | { told: 'progress'; what: 'moving' | 'story'; done: number; of: number }
  | { told: 'expects'; asker: string; asked: string }
  | { told: 'ready' };

/** What is remembered between runs beside the devices themselves. */
interface Memory { passwords: string; done: string[] }

const MOVING_AT_ONCE = 3;
const AGAIN_MS = 5_000;
const TRIES = 3;

const tell = (told: Told): void => void process.stdout.write(`${JSON.stringify(told)}\n`);
const note = (words: string): void => void process.stderr.write(`${new Date().toISOString()} ${words}\n`);

class LiveTown implements Town {
  readonly #residents = new Map<string, Resident>();
  readonly #memory: Memory;

  constructor(private readonly origin: string, private readonly folder: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#memory = this.#remembered() ?? { passwords: crypto.randomUUID(), done: [] };
    this.#remember();
  }

  get #file(): string {
    return join(this.folder, 'story.json');
  }

  #remembered(): Memory | null {
    try {
      return JSON.parse(readFileSync(this.#file, 'utf8')) as Memory;
    } catch (error) {
      if ((error as { code?: string }).code === 'ENOENT') return null;
      throw error;
    }
  }

  #remember(): void {
    writeFileSync(`${this.#file}.new`, JSON.stringify(this.#memory), { mode: 0o600 });
    renameSync(`${this.#file}.new`, this.#file);
  }

  resident(handle: string): Resident {
    const found = this.#residents.get(handle);
    if (!found) throw new Error(`Nobody in town is called ${handle}.`);
    return found;
  }

  expect(asker: string, asked: string): void {
    tell({ told: 'expects', asker, asked });
  }

  /** Everybody comes online, a few at once; whoever is new in a known town makes the story begin again. */
  async moveIn(): Promise<void> {
    const waiting = [...TOWNSPEOPLE];
    let done = 0;
    const movers = Array.from({ length: MOVING_AT_ONCE }, async () => {
      for (let who = waiting.shift(); who; who = waiting.shift()) {
        if (await this.#comesOnline(who)) this.#memory.done = [];
        tell({ told: 'progress', what: 'moving', done: ++done, of: TOWNSPEOPLE.length });
      }
    });
    await Promise.all(movers);
    this.#remember();
  }

  async #comesOnline(who: Townsperson): Promise<boolean> {
    const person = new Person({ origin: this.origin, folder: join(this.folder, who.handle), durable: false });
    const resident = new Resident(who, person, note);
    this.#residents.set(who.handle, resident);
    return resident.comeOnline(`${who.handle}-${this.#memory.passwords}`, new Date().getFullYear());
  }

  async live(): Promise<void> {
    for (const [index, { id, happens }] of STORY.entries()) {
      if (this.#memory.done.includes(id)) continue;
      await this.#once(id, happens);
      tell({ told: 'progress', what: 'story', done: index + 1, of: STORY.length });
    }
    tell({ told: 'ready' });
    await Promise.all([...this.#residents.values()].map((resident) => resident.catchUp()));
  }

  /** A step that fails is tried again and then left out: one missing scene is better than no town. */
  async #once(id: string, happens: (town: Town) => Promise<void>): Promise<void> {
    for (let left = TRIES; left > 0; left--) {
      try {
        await happens(this);
        this.#memory.done.push(id);
        this.#remember();
        return;
      } catch (error) {
        note(`${id}: ${error instanceof Error ? error.stack : JSON.stringify(error)}`);
        if (left > 1) await pause(AGAIN_MS);
      }
    }
  }

  leave(): void {
    this.#residents.forEach((resident) => resident.stop());
  }
}

async function main(): Promise<void> {
  const [origin, folder] = process.argv.slice(2);
  if (!origin || !folder) throw new Error('usage: node town.js ORIGIN FOLDER');
  const town = new LiveTown(origin, folder);
  process.stdin.on('end', () => {
    town.leave();
    process.exit(0);
  }).resume();
  await town.moveIn();
  await town.live();
}

main().catch((error: unknown) => {
  note(error instanceof Error ? (error.stack ?? error.message) : JSON.stringify(error));
  process.exit(1);
});
