/** A chosen file as the small square that leaves this device: drawn anew, so nothing but its pixels remains. */
import type { Picture } from '../../engine/contract';
import { t } from '../../i18n';

const SIDE = 256;
/** The server's limit, for what the encoder makes (picture.ts takes a little more out). */
const MOST_BYTES = 64 * 1024;
const MOST_FILE_BYTES = 50 * 1024 * 1024;
/** Smaller first in bytes for the same looks; a browser that cannot encode a type answers with another. */
const TRIES = [['image/webp', 0.85], ['image/webp', 0.5], ['image/jpeg', 0.85], ['image/jpeg', 0.5], ['image/jpeg', 0.2]] as const;

const unreadable = (): Error => Object.assign(new Error(t('group.photo.unreadable')), { code: 'invalid' });

export async function squared(file: Blob): Promise<Picture> {
  if (file.size > MOST_FILE_BYTES) throw unreadable();
  const canvas = drawnSquare(await createImageBitmap(file).catch(() => Promise.reject(unreadable())));
  for (const [type, quality] of TRIES) {
    const blob = await new Promise<Blob | null>((made) => canvas.toBlob(made, type, quality));
    if (blob?.type === type && blob.size <= MOST_BYTES) return { type, bytes: new Uint8Array(await blob.arrayBuffer()) };
  }
  throw unreadable();
}

/** The middle of the picture, upright. */
function drawnSquare(image: ImageBitmap): HTMLCanvasElement {
  const side = Math.min(image.width, image.height);
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = Math.min(SIDE, side);
  const context = canvas.getContext('2d');
  if (!context) throw unreadable();
  context.fillStyle = '#fff'; // what shines through
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = 'high';
  context.drawImage(image, (image.width - side) / 2, (image.height - side) / 2, side, side, 0, 0, canvas.width, canvas.height);
  image.close();
  return canvas;
}
