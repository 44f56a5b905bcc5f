/**
 * Moving pictures (GIF, WebP) are sent as they are, because drawn anew they would stand still. What is taken out is all that
 * does not move: notes, places, programs' own records. The frames stay as they were, byte for byte.
 */
import { concat, type Bytes } from '../../protocol/bytes';

export interface Moving { bytes: Bytes; frames: number; width: number; height: number }

/** The frames and nothing else; null: not whole, or of another form. `frames` is 1 for a picture that stands still. */
export function moving(bytes: Bytes): Moving | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    if (letters(bytes, 0) === 'GIF8') return gif(bytes, view);
    return letters(bytes, 0) === 'RIFF' && letters(bytes, 8) === 'WEBP' ? webp(bytes, view) : null;
  } catch (error) {
    if (error instanceof RangeError) return null; // cut off
    throw error;
  }
}

const letters = (bytes: Uint8Array, at: number, length = 4): string => String.fromCharCode(...bytes.subarray(at, at + length));
const cutOff = (): never => {
  throw new RangeError('cut off');
};
const piece = (bytes: Uint8Array, at: number, end: number): Uint8Array => (end > bytes.length ? cutOff() : bytes.subarray(at, end));

/** The application blocks that say how often it repeats. */
const REPEATS = new Set(['NETSCAPE2.0', 'ANIMEXTS1.0']);
const [EXTENSION, IMAGE, TRAILER, CONTROL, APPLICATION] = [0x21, 0x2c, 0x3b, 0xf9, 0xff];

const table = (packed: number): number => (packed & 0x80 ? 3 * 2 ** ((packed & 7) + 1) : 0);

function gif(bytes: Bytes, view: DataView): Moving {
  let at = 13 + table(view.getUint8(10));
  let [frames, width, height] = [0, view.getUint16(6, true), view.getUint16(8, true)];
  const parts = [piece(bytes, 0, at)];
  for (;;) {
    const start = at;
    const kind = view.getUint8(at);
    if (kind === TRAILER) return { bytes: concat(...parts, Uint8Array.of(TRAILER)), frames, width, height };
    if (kind === IMAGE) {
      frames += 1;
      width = Math.max(width, view.getUint16(at + 1, true) + view.getUint16(at + 5, true));
      height = Math.max(height, view.getUint16(at + 3, true) + view.getUint16(at + 7, true));
      at = blocksEnd(view, at + 11 + table(view.getUint8(at + 9)));
      parts.push(piece(bytes, start, at));
    } else if (kind === EXTENSION) {
      const label = view.getUint8(at + 1);
      at = blocksEnd(view, at + 2);
      if (label === CONTROL || (label === APPLICATION && REPEATS.has(letters(bytes, start + 3, 11)))) parts.push(piece(bytes, start, at));
    } else cutOff();
  }
}

/** Where a row of sub-blocks ends. */
function blocksEnd(view: DataView, at: number): number {
  for (let size = view.getUint8(at); size > 0; size = view.getUint8(at)) at += 1 + size;
  return at + 1;
}

const WEBP_KEPT = new Set(['VP8X', 'ANIM', 'ANMF', 'ALPH', 'VP8 ', 'VP8L']);
/** Bits of VP8X that announce a profile, EXIF and XMP, which are no longer there. */
const ANNOUNCED = 0x20 | 0x08 | 0x04;

function webp(bytes: Bytes, view: DataView): Moving | null {
  const kept: Uint8Array[] = [];
  let [frames, width, height] = [0, 0, 0];
  const whole = Math.min(bytes.length, 8 + view.getUint32(4, true));
  for (let at = 12; at + 8 <= whole; ) {
    const end = at + 8 + view.getUint32(at + 4, true);
    const padded = end + (end % 2);
    const name = letters(bytes, at);
    const chunk = piece(bytes, at, Math.min(padded, Math.max(end, bytes.length)));
    if (name === 'VP8X') {
      [width, height] = [1 + (view.getUint32(at + 12, true) & 0xffffff), 1 + (view.getUint32(at + 14, true) >>> 8)];
      const head = chunk.slice();
      head[8]! &= ~ANNOUNCED;
      kept.push(head);
    } else if (WEBP_KEPT.has(name)) kept.push(chunk);
    if (name === 'ANMF' || name === 'VP8 ' || name === 'VP8L') frames += 1;
    at = padded;
  }
  if (frames === 0 || (width === 0 && frames > 1)) return null;
  const all = concat(new TextEncoder().encode('WEBP'), ...kept);
  const size = new Uint8Array(4);
  new DataView(size.buffer).setUint32(0, all.length, true);
  return { bytes: concat(new TextEncoder().encode('RIFF'), size, all), frames, width, height };
}
