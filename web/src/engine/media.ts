/** The page's side of files: a URL that an `<img>`, `<video>` or `<audio>` may have, for as long as it is shown. */
import type { Engine } from './contract';

export interface WhichFile { room: string; id: string; part: number }
/** `release` when it is not shown any more: what stands behind the URL is let go of. */
export interface Shown { url: string; release(): void }

/** The whole file, fetched and verified before anything of it is shown. */
export async function wholeFile(engine: Engine, which: WhichFile): Promise<Shown & { blob: Blob }> {
  const { blob } = await engine.call('file', which);
  const url = URL.createObjectURL(blob);
  return { blob, url, release: () => URL.revokeObjectURL(url) };
}

/** Something to play: while it is being fetched where that can be done, else the whole file. */
export async function playable(engine: Engine, which: WhichFile): Promise<Shown> {
  // Only what a service worker looks after can be asked piece by piece.
  const streamed = navigator.serviceWorker?.controller ? await engine.call('play', which) : null;
  if (streamed === null) return wholeFile(engine, which);
  const { url } = streamed;
  return { url, release: () => void engine.call('stop_playing', { url }).catch(() => undefined) };
}
