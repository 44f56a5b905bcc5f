/** One file of a message on screen: fetched when it is wanted, let go of when it leaves the screen. */
import { wholeFile, type Shown, type WhichFile } from '../../engine/media';
import type { Engine, FileState } from '../../engine/contract';
import { t } from '../../i18n';
import { codeOf, sentence } from '../errors';
import { HEAD_BYTES, mayOpen, pictureFacts } from './picture-facts';

/** `moves`: what is shown stands still, but the file does not. */
type Fetch = (engine: Engine, which: WhichFile) => Promise<Shown & { moves?: boolean }>;
export type Trouble = 'undrawn' | 'large_picture' | 'unplayed' | 'gone' | 'broken';

export class ShownFile {
  url = $state<string>();
  busy = $state(false);
  moves = $state(false);
  /** It cannot be shown, and asking again does not help. */
  trouble = $state<Trouble | null>(null);
  /** It could not be fetched this time. */
  problem = $state<string | null>(null);
  #held: Shown | null = null;
  #gone = false;

  constructor(private readonly engine: Engine, private readonly which: WhichFile, state: FileState) {
    if (state === 'gone' || state === 'broken') this.trouble = state;
  }

  async fetch(how: Fetch = wholeFile): Promise<void> {
    if (this.busy || this.#held || this.trouble) return;
    this.busy = true;
    this.problem = null;
    try {
      const shown = await how(this.engine, this.which);
      if (this.#gone) return shown.release(); // it left the screen meanwhile
      this.#held = shown;
      this.moves = shown.moves === true;
      this.url = shown.url;
    } catch (error) {
      const code = codeOf(error);
      if (code === 'gone' || code === 'broken') this.trouble = code;
      else this.problem = error instanceof Unfit ? null : sentence(error);
      if (error instanceof Unfit) this.trouble = error.trouble;
    } finally {
      this.busy = false;
    }
  }

  /** The player gave up. `cut`: in the middle, for lack of bytes. */
  async stopped(cut: boolean): Promise<void> {
    const held = this.#held;
    this.#held = null;
    const why = await Promise.resolve(held?.stopped?.() ?? null).catch((error: unknown) => error);
    if (this.#gone) return;
    this.url = undefined;
    const code = codeOf(why);
    if (code === 'gone' || code === 'broken') this.trouble = code;
    else if (why !== null || cut) this.problem = why === null ? t('media.stopped') : sentence(why);
    else this.trouble = 'unplayed';
  }

  release(): void {
    this.#gone = true;
    this.#held?.release();
    this.#held = null;
    this.url = undefined;
  }
}

/** What arrived whole, but is not what it says. */
class Unfit extends Error {
  constructor(readonly trouble: Trouble) {
    super(trouble);
  }
}

/** As it is in a thread: nothing moves by itself beside what people read. The viewer shows it moving. */
export async function still(engine: Engine, which: WhichFile): Promise<Shown & { moves: boolean }> {
  const whole = await picture(engine, which);
  if (!whole.moves) return whole;
  const first = await createImageBitmap(whole.blob).catch(() => null);
  whole.release();
  const canvas = new OffscreenCanvas(first?.width ?? 1, first?.height ?? 1);
  const context = first && canvas.getContext('2d');
  if (!context) throw new Unfit('undrawn');
  context.drawImage(first, 0, 0);
  first.close();
  const url = URL.createObjectURL(await canvas.convertToBlob());
  return { url, moves: true, release: () => URL.revokeObjectURL(url) };
}

/** A picture, once its first bytes say that it is one and that it may be opened. */
export async function picture(engine: Engine, which: WhichFile): Promise<Shown & { blob: Blob; moves: boolean }> {
  const whole = await wholeFile(engine, which);
  const facts = pictureFacts(new Uint8Array(await whole.blob.slice(0, HEAD_BYTES).arrayBuffer()));
  if (whole.blob.type.startsWith('image/') && facts && mayOpen(facts)) return { ...whole, moves: facts.moves };
  whole.release();
  throw new Unfit(facts && !mayOpen(facts) ? 'large_picture' : 'undrawn');
}
