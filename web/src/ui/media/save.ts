/** Hands a file of a message to the person, as a download. */
import { wholeFile, type WhichFile } from '../../engine/media';
import type { Engine } from '../../engine/contract';

/** The browser takes the address up some time after the click. */
const TAKEN_UP_MS = 60_000;

export async function save(engine: Engine, which: WhichFile, name: string): Promise<void> {
  const { url, release } = await wholeFile(engine, which);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(release, TAKEN_UP_MS);
}
