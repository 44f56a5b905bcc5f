/** What a film shows before it is played: how long and how large it is, and one still picture of it. */
import { rgbaToThumbHash } from 'thumbhash';
import type { Outgoing, Picture } from '../../engine/contract';

export type FilmFacts = Pick<Outgoing, 'width' | 'height' | 'duration_ms' | 'poster' | 'thumbhash'>;

const PATIENCE_MS = 15_000;
const POSTER_MOST_BYTES = 12 * 1024;
const POSTER_TRIES = [[480, 0.7], [480, 0.45], [320, 0.5], [240, 0.4], [160, 0.3]] as const;
const PLACEHOLDER_SIDE = 96;

/** Null: this browser cannot show it, or it has no picture. */
export async function filmFacts(film: Blob): Promise<FilmFacts | null> {
  const video = document.createElement('video');
  const url = URL.createObjectURL(film);
  video.muted = true;
  video.playsInline = true;
  video.preload = 'auto';
  try {
    video.src = url;
    if (!(await happens(video, 'loadeddata')) || video.videoWidth === 0 || video.videoHeight === 0) return null;
    const seconds = await lengthOf(video);
    video.currentTime = seconds === null ? 0 : Math.min(1, seconds / 10);
    await happens(video, 'seeked'); // a film that cannot be wound shows its first picture
    const { videoWidth: width, videoHeight: height } = video;
    return { width, height, duration_ms: seconds === null ? null : Math.round(seconds * 1000), poster: await poster(video), thumbhash: thumbhash(video) };
  } finally {
    video.removeAttribute('src');
    video.load();
    URL.revokeObjectURL(url);
  }
}

/** Films made while they were recorded do not say how long they are until somebody winds to their end. */
async function lengthOf(video: HTMLVideoElement): Promise<number | null> {
  if (video.duration === Infinity) {
    video.currentTime = Number.MAX_SAFE_INTEGER;
    await happens(video, 'seeked');
  }
  return Number.isFinite(video.duration) && video.duration > 0 ? video.duration : null;
}

/** True once `event` happened; false after an error, or when nothing happens for a while. */
function happens(video: HTMLVideoElement, event: 'loadeddata' | 'seeked'): Promise<boolean> {
  return new Promise((resolve) => {
    const ends = new AbortController();
    const settle = (did: boolean) => () => {
      ends.abort();
      clearTimeout(timer);
      resolve(did);
    };
    const timer = setTimeout(settle(false), PATIENCE_MS);
    video.addEventListener(event, settle(true), { signal: ends.signal });
    video.addEventListener('error', settle(false), { signal: ends.signal });
  });
}

function drawn(video: HTMLVideoElement, longest: number): HTMLCanvasElement {
  const scale = Math.min(1, longest / Math.max(video.videoWidth, video.videoHeight));
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(video.videoWidth * scale));
  canvas.height = Math.max(1, Math.round(video.videoHeight * scale));
  canvas.getContext('2d')?.drawImage(video, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** As large as fits into what a message may carry; null if even the smallest does not. */
async function poster(video: HTMLVideoElement): Promise<Picture | null> {
  for (const [side, quality] of POSTER_TRIES) {
    for (const type of ['image/webp', 'image/jpeg']) {
      const blob = await new Promise<Blob | null>((made) => drawn(video, side).toBlob(made, type, quality));
      if (blob?.type === type && blob.size <= POSTER_MOST_BYTES) return { type, bytes: new Uint8Array(await blob.arrayBuffer()) };
    }
  }
  return null;
}

function thumbhash(video: HTMLVideoElement): Uint8Array | null {
  const canvas = drawn(video, PLACEHOLDER_SIDE);
  const pixels = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height);
  return pixels ? rgbaToThumbHash(pixels.width, pixels.height, pixels.data) : null;
}
