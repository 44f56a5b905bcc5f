/**
 * A picture without everything that is not pixels: browsers' encoders add profiles, some add EXIF. What is left is what
 * the server takes (messaging/pictures.py). A picture of another form is refused, never passed on.
 */
import type { Bytes } from '../protocol/bytes';
import type { Picture } from './contract';
import { Problem } from './errors';

export const MAX_PICTURE_BYTES = 64 * 1024;

const PNG_SIGNATURE = 8;
const PNG_KEPT = new Set(['IHDR', 'PLTE', 'tRNS', 'sRGB', 'gAMA', 'cHRM', 'sBIT', 'IDAT', 'IEND']);
const WEBP_KEPT = new Set(['VP8 ', 'VP8L']);
const [APP0, APP14, APP15, COMMENT, SCAN, END] = [0xe0, 0xee, 0xef, 0xfe, 0xda, 0xd9];

/** The same pixels and nothing else, as small as the server wants pictures that it keeps itself. */
export function bare(picture: Picture): Picture {
  const kept = pixels(picture);
  if (kept.bytes.length > MAX_PICTURE_BYTES) throw new Problem('too_large', 'That picture is too large. Choose another one.');
  return kept;
}

/** The same pixels and nothing else. */
export function pixels({ type, bytes }: Picture): Picture {
  const strip = { 'image/png': png, 'image/jpeg': jpeg, 'image/webp': webp }[type];
  if (!strip) throw unreadable();
  return { type, bytes: strip(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)) };
}

function unreadable(): Problem {
  return new Problem('invalid', "That picture can't be read. Choose another one.");
}

function joined(parts: readonly Uint8Array[]): Bytes {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return all;
}

const name = (bytes: Uint8Array, at: number): string => String.fromCharCode(...bytes.subarray(at, at + 4));

/** Bytes from `at` to `end`, which has to lie inside. */
function piece(bytes: Uint8Array, at: number, end: number): Uint8Array {
  if (end > bytes.length) throw unreadable();
  return bytes.subarray(at, end);
}

function png(bytes: Bytes, view: DataView): Bytes {
  const parts = [piece(bytes, 0, PNG_SIGNATURE)];
  for (let at = PNG_SIGNATURE, kind = ''; kind !== 'IEND'; ) {
    piece(bytes, at, at + 12);
    kind = name(bytes, at + 4);
    const end = at + 12 + view.getUint32(at);
    const chunk = piece(bytes, at, end);
    if (PNG_KEPT.has(kind)) parts.push(chunk);
    at = end;
  }
  return joined(parts);
}

function jpeg(bytes: Bytes, view: DataView): Bytes {
  const parts = [piece(bytes, 0, 2)];
  for (let at = 2; ; ) {
    piece(bytes, at, at + 2);
    const marker = bytes[at + 1]!;
    if (bytes[at] !== 0xff) throw unreadable();
    if (marker === END) return joined([...parts, bytes.subarray(at, at + 2)]);
    piece(bytes, at, at + 4);
    const end = at + 2 + view.getUint16(at + 2);
    const until = marker === SCAN ? scanEnd(bytes, end) : end;
    const segment = piece(bytes, at, until);
    if (keeps(marker, segment)) parts.push(segment);
    at = until;
  }
}

/** All but notes; of those for programs, the two that say how colours are meant. */
function keeps(marker: number, segment: Uint8Array): boolean {
  if (marker === APP0) return segment.length === 18 && name(segment, 4) === 'JFIF' && segment[16] === 0 && segment[17] === 0;
  if (marker === APP14) return segment.length === 16 && name(segment, 4) === 'Adob';
  return marker !== COMMENT && !(marker >= APP0 && marker <= APP15);
}

/** Where the packed pixels end: at a marker that is neither a stuffed byte nor a restart. */
function scanEnd(bytes: Uint8Array, from: number): number {
  for (let at = from; at + 1 < bytes.length; at++) {
    const next = bytes[at + 1]!;
    if (bytes[at] === 0xff && next !== 0 && !(next >= 0xd0 && next <= 0xd7)) return at;
  }
  throw unreadable();
}

/** The one chunk with pixels, as a file of the simple format. */
function webp(bytes: Bytes, view: DataView): Bytes {
  for (let at = 12; at + 8 <= bytes.length; ) {
    const end = at + 8 + view.getUint32(at + 4, true);
    const padded = end + (end % 2);
    const chunk = piece(bytes, at, padded);
    if (WEBP_KEPT.has(name(bytes, at))) {
      const head = new Uint8Array(12);
      head.set([0x52, 0x49, 0x46, 0x46]);
      new DataView(head.buffer).setUint32(4, 4 + chunk.length, true);
      head.set([0x57, 0x45, 0x42, 0x50], 8);
      return joined([head, chunk]);
    }
    at = padded;
  }
  throw unreadable();
}
