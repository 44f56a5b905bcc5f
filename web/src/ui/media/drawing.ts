/** A picture drawn anew: what is left of it are its pixels. Where, when and with what it was taken stays behind. */
import { rgbaToThumbHash } from 'thumbhash';
import { pixels } from '../../engine/picture';
import { moving, type Moving } from './animation';
import { HEAD_BYTES, mayOpen, pictureFacts } from './picture-facts';
import type { Drawn } from './prepared';

const LONGEST_SIDE = 1600;
/** What the library for placeholders takes at most. */
const PLACEHOLDER_SIDE = 100;
const [WEBP, JPEG] = ['image/webp', 'image/jpeg'];

/** Null: it is not a picture that can be opened here. A picture of more pixels than a phone can hold is refused. */
export async function drawnAnew(file: Blob): Promise<Drawn> {
  const facts = pictureFacts(new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer()));
  if (!facts) return { refused: 'unreadable' };
  if (!mayOpen(facts)) return { refused: 'huge' };
  const alive = facts.type === 'image/gif' || facts.type === 'image/webp' ? moving(new Uint8Array(await file.arrayBuffer())) : null;
  if (alive && alive.frames > 1 && !mayOpen(alive)) return { refused: 'huge' };
  const image = await opened(file);
  if (!image) return { refused: 'unreadable' };
  try {
    if (!mayOpen(image)) return { refused: 'huge' };
    const thumbhash = placeholder(image);
    return alive && alive.frames > 1 ? asItMoves(facts.type, alive, thumbhash) : { ...(await encoded(image)), thumbhash, moves: false };
  } finally {
    image.close();
  }
}

/** Upright: what the camera noted about the way it was held is applied. */
const opened = (file: Blob): Promise<ImageBitmap | null> => createImageBitmap(file, { imageOrientation: 'from-image' }).catch(() => null);

const asItMoves = (type: string, { bytes, width, height }: Moving, thumbhash: Uint8Array): Drawn => ({
  bytes: new Blob([bytes], { type }), type, width, height, thumbhash, moves: true,
});

function drawn(image: ImageBitmap, longest: number): [OffscreenCanvas, OffscreenCanvasRenderingContext2D] {
  const scale = Math.min(1, longest / Math.max(image.width, image.height));
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(image.width * scale)), Math.max(1, Math.round(image.height * scale)));
  const context = canvas.getContext('2d');
  if (!context) throw new Error('no canvas');
  context.imageSmoothingQuality = 'high';
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return [canvas, context];
}

/** As WebP where the browser can make it, which keeps what is see-through; else as JPEG on white. */
async function encoded(image: ImageBitmap): Promise<{ bytes: Blob; type: string; width: number; height: number }> {
  const [canvas, context] = drawn(image, LONGEST_SIDE);
  const { width, height } = canvas;
  const webp = await canvas.convertToBlob({ type: WEBP, quality: 0.82 });
  const kept = webp.type === WEBP ? moving(new Uint8Array(await webp.arrayBuffer())) : null;
  if (kept) return { bytes: new Blob([kept.bytes], { type: WEBP }), type: WEBP!, width, height };
  context.globalCompositeOperation = 'destination-over';
  context.fillStyle = '#fff';
  context.fillRect(0, 0, width, height);
  const jpeg = await canvas.convertToBlob({ type: JPEG, quality: 0.85 });
  const { bytes } = pixels({ type: JPEG!, bytes: new Uint8Array(await jpeg.arrayBuffer()) });
  return { bytes: new Blob([bytes], { type: JPEG }), type: JPEG!, width, height };
}

export function placeholder(image: ImageBitmap): Uint8Array {
  const [canvas, context] = drawn(image, PLACEHOLDER_SIDE);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return rgbaToThumbHash(canvas.width, canvas.height, data);
}
