/** The page's side of files: a URL that an `<img>`, `<video>` or `<audio>` may have, for as long as it is shown. */
import type { Engine, EngineError } from './contract';

export interface WhichFile { room: string; id: string; part: number }
/** `release` when it is not shown any more: what stands behind the URL is let go of. */
export interface Shown { url: string; release(): void; /** Lets go of it; and why it stopped by itself, as far as that is known. */ stopped?(): Promise<EngineError | null> }

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
  const stopped = async (): Promise<EngineError | null> => (await engine.call('stop_playing', { url })).why;
  return { url, stopped, release: () => void stopped().catch(() => undefined) };
}
