/** What a person is about to send with a message: each file is made ready by itself, one after the other. */
import { MOST_FILES, type FileKind, type Outgoing } from '../../engine/contract';
import { t } from '../../i18n';
import { drawn } from '../photos.svelte';
import { shownName } from './names';
import { prepare, Refused, type Note } from './prepare';
import { kindWord } from './said';

export class Item {
  state = $state<'preparing' | 'ready' | 'refused'>('preparing');
  problem = $state<string | null>(null);
  note = $state<Note | null>(null);
  alt = $state('');
  /** An address of a small picture of it. */
  picture = $state<string>();
  outgoing = $state.raw<Outgoing>();
  removed = false;
  readonly name: string;

  constructor(readonly id: number, readonly file: File) {
    this.name = shownName(file.name) || t('media.file');
  }

  get kind(): FileKind | undefined {
    return this.outgoing?.kind;
  }

  /** "Photo" for what is shown, the name for what is not. */
  get called(): string {
    return this.kind && this.kind !== 'file' ? kindWord(this.kind) : this.name;
  }

  async prepare(wanted: 'media' | 'file' | 'any'): Promise<void> {
    if (this.removed) return;
    try {
      const { outgoing, note } = await prepare(this.file, wanted);
      if (this.removed) return;
      this.outgoing = outgoing;
      this.note = note;
      if (outgoing.kind === 'photo') this.picture = URL.createObjectURL(outgoing.bytes);
      else if (outgoing.poster) this.picture = drawn(outgoing.poster);
      this.state = 'ready';
    } catch (error) {
      // A file on a drive that is gone, or one that changed since it was chosen, cannot be read either.
      this.problem = error instanceof Refused ? error.message : t('attach.unreadable');
      this.state = 'refused';
    }
  }

  release(): void {
    this.removed = true;
    if (this.picture) URL.revokeObjectURL(this.picture);
    this.picture = undefined;
  }
}

export class Tray {
  items = $state.raw<Item[]>([]);
  /** Some of what was chosen did not fit in. */
  tooMany = $state(false);
  #nextId = 1;
  #line: Promise<void> = Promise.resolve();

  get preparing(): boolean {
    return this.items.some(({ state }) => state === 'preparing');
  }

  /** What goes with the message, with the words given for each. */
  get ready(): Outgoing[] {
    return this.items.flatMap(({ state, outgoing, alt }) => (state === 'ready' && outgoing ? [{ ...outgoing, alt: alt.trim() }] : []));
  }

  add(files: readonly File[], wanted: 'media' | 'file' | 'any'): void {
    const room = MOST_FILES - this.items.length;
    this.tooMany = files.length > room;
    const added = files.slice(0, Math.max(0, room)).map((file) => new Item(this.#nextId++, file));
    this.items = [...this.items, ...added];
    // One at a time: opened pictures are large.
    for (const item of added) this.#line = this.#line.then(() => item.prepare(wanted));
  }

  remove(item: Item): void {
    item.release();
    this.items = this.items.filter((one) => one !== item);
    this.tooMany = false;
  }

  clear(): void {
    this.items.forEach((item) => item.release());
    this.items = [];
    this.tooMany = false;
  }
}

export function trayOf(trays: Map<string, Tray>, room: string): Tray {
  const tray = trays.get(room) ?? new Tray();
  trays.set(room, tray);
  return tray;
}
