/**
 * What a picture says about itself in its first bytes: its form and how large it will be once it is opened. Asked before
 * anything is decoded, so that a small file that unfolds into gigapixels is refused while it is still small.
 */

export type PictureType = `image/${'png' | 'jpeg' | 'gif' | 'webp' | 'avif' | 'heic' | 'bmp'}`;
/** `moves`: it may hold more than one picture, shown in turn. */
export interface PictureFacts { type: PictureType; width: number; height: number; moves: boolean }

/** Enough for every form but a JPEG whose notes come first, and those hold at most a few segments of 64 KiB. */
export const HEAD_BYTES = 512 * 1024;
/** Opened, this many pixels take 200 MB. */
export const MOST_PIXELS = 50_000_000;
const LONGEST_SIDE = 30_000;

/** What the first bytes of a file say; null: not a picture of a known form, or cut off before it says how large it is. */
export function pictureFacts(head: Uint8Array): PictureFacts | null {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  try {
    const facts = READERS.find(({ is }) => is(head))?.facts(head, view);
    return facts ? { ...facts, moves: moves(facts.type, head) } : null;
  } catch (error) {
    if (error instanceof RangeError) return null; // read past the end
    throw error;
  }
}

/** Whether it may be opened here: not empty, and not so large that a phone would choke on it. */
export const mayOpen = ({ width, height }: { width: number; height: number }): boolean =>
  width > 0 && height > 0 && width <= LONGEST_SIDE && height <= LONGEST_SIDE && width * height <= MOST_PIXELS;

const letters = (bytes: Uint8Array, at: number, length = 4): string => String.fromCharCode(...bytes.subarray(at, at + length));

/** By its form, or by the chunk that announces it, which comes before the first picture. */
function moves(type: PictureType, head: Uint8Array): boolean {
  if (type === 'image/png') return letters(head, 0, 4096).includes('acTL');
  if (type === 'image/webp') return letters(head, 12) === 'VP8X' && (head[20]! & 2) !== 0;
  return type === 'image/gif' || (type === 'image/avif' && letters(head, 8) === 'avis');
}

type Sized = Omit<PictureFacts, 'moves'>;
interface Reader { is(head: Uint8Array): boolean; facts(head: Uint8Array, view: DataView): Sized | null }

const AVIF_BRANDS = new Set(['avif', 'avis']);
const HEIC_BRANDS = new Set(['heic', 'heix', 'heim', 'heis', 'hevc', 'mif1', 'msf1']);

const READERS: readonly Reader[] = [
  {
    is: (head) => letters(head, 0, 8) === '\x89PNG\r\n\x1a\n',
    facts: (_, view) => ({ type: 'image/png', width: view.getUint32(16), height: view.getUint32(20) }),
  },
  { is: (head) => head[0] === 0xff && head[1] === 0xd8 && head[2] === 0xff, facts: jpeg },
  {
    is: (head) => /^GIF8[79]a$/.test(letters(head, 0, 6)),
    facts: (_, view) => ({ type: 'image/gif', width: view.getUint16(6, true), height: view.getUint16(8, true) }),
  },
  { is: (head) => letters(head, 0) === 'RIFF' && letters(head, 8) === 'WEBP', facts: webp },
  {
    is: (head) => letters(head, 4) === 'ftyp' && (AVIF_BRANDS.has(letters(head, 8)) || HEIC_BRANDS.has(letters(head, 8))),
    facts: heif,
  },
  {
    is: (head) => letters(head, 0, 2) === 'BM' && letters(head, 6) === '\0\0\0\0',
    facts: (_, view) => ({ type: 'image/bmp', width: Math.abs(view.getInt32(18, true)), height: Math.abs(view.getInt32(22, true)) }),
  },
];

/** The first frame header (SOFn); DHT, JPG and DAC have numbers among them. */
function jpeg(_: Uint8Array, view: DataView): Sized | null {
  for (let at = 2; ; at += 2 + view.getUint16(at + 2)) {
    while (view.getUint8(at) === 0xff && view.getUint8(at + 1) === 0xff) at += 1; // fill bytes
    const marker = view.getUint8(at + 1);
    if (view.getUint8(at) !== 0xff || marker === 0xda || marker === 0xd9 || view.getUint16(at + 2) < 2) return null;
    const frame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (frame) return { type: 'image/jpeg', width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
  }
}

function webp(head: Uint8Array, view: DataView): Sized | null {
  const type = 'image/webp';
  switch (letters(head, 12)) {
    case 'VP8X':
      return { type, width: 1 + (view.getUint32(24, true) & 0xffffff), height: 1 + (view.getUint32(26, true) >>> 8) };
    case 'VP8L': {
      const packed = view.getUint32(21, true);
      return { type, width: 1 + (packed & 0x3fff), height: 1 + ((packed >>> 14) & 0x3fff) };
    }
    case 'VP8 ':
      return { type, width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
    default:
      return null;
  }
}

/** The largest of the sizes that its items declare (`meta/iprp/ipco/ispe`, ISO/IEC 23008-12). */
function heif(head: Uint8Array, view: DataView): Sized | null {
  const sizes = [...boxes(head, view, 0, head.length, 'meta')]
    .flatMap(([at, end]) => [...boxes(head, view, at + 4, end, 'iprp')])
    .flatMap(([at, end]) => [...boxes(head, view, at, end, 'ipco')])
    .flatMap(([at, end]) => [...boxes(head, view, at, end, 'ispe')])
    .map(([at]) => ({ width: view.getUint32(at + 4), height: view.getUint32(at + 8) }));
  const largest = sizes.sort((a, b) => b.width * b.height - a.width * a.height)[0];
  return largest ? { type: AVIF_BRANDS.has(letters(head, 8)) ? 'image/avif' : 'image/heic', ...largest } : null;
}

/** Where the contents of the boxes of this name begin and end. */
function* boxes(head: Uint8Array, view: DataView, from: number, to: number, name: string): Generator<[number, number]> {
  for (let at = from; at + 8 <= to; ) {
    const size = view.getUint32(at);
    if (size < 8) return;
    if (letters(head, at + 4) === name) yield [at + 8, Math.min(at + size, to)];
    at += size;
  }
}
