/**
 * Takes out of an MP4 or QuickTime film where, when and with what it was made, without touching the film: records of that kind
 * are boxes of their own (ISO/IEC 14496-12, QTFF). They are overwritten with zeros and renamed to `free`, which players skip, so that
 * every other byte stays where the film's index says it is.
 */

export interface Cleaned {
  film: Blob;
  /** Everything that is known to hold such records was found and emptied. */
  bare: boolean;
}

/** Boxes with nothing but records about the film: user data (`©xyz`, `loci`), Apple's and XMP's metadata. */
const RECORDS = new Set(['udta', 'meta', 'uuid']);
/** Boxes in which others are. */
const CONTAINERS = new Set(['moov', 'trak', 'mdia', 'moof', 'traf', 'mvex', 'edts']);
/** Begin with version, flags and two times: when made, when changed. */
const DATED = new Set(['mvhd', 'tkhd', 'mdhd']);
const FREE = Uint8Array.of(0x66, 0x72, 0x65, 0x65);
/** Kinds of tracks that are the film itself; others (`meta`, `camm`, `gpmd`) may be a log of places, minute by minute. */
const PLAYED = new Set(['vide', 'soun', 'auxv', 'tmcd', 'text', 'sbtl', 'subt', 'clcp', 'hint']);
const TOP_LEVEL_MOST = 10_000;
const DEEPEST = 8;

export const isFilmWithBoxes = (head: Uint8Array): boolean => head.length >= 12 && letters(head, 4) === 'ftyp';

const letters = (bytes: Uint8Array, at: number): string => String.fromCharCode(...bytes.subarray(at, at + 4));

/** The same film without its records; `bare` false: something in it is not understood, and it is as it was from there on. */
export async function withoutRecords(film: Blob): Promise<Cleaned> {
  const parts: BlobPart[] = [];
  let bare = true;
  let at = 0;
  for (let count = 0; at < film.size; count++) {
    const head = new Uint8Array(await film.slice(at, at + 16).arrayBuffer());
    const box = boxAt(head, 0, film.size - at);
    if (!box || count >= TOP_LEVEL_MOST) return { film: new Blob([...parts, film.slice(at)], { type: film.type }), bare: false };
    const whole = film.slice(at, at + box.size);
    if (RECORDS.has(box.name)) parts.push(head.slice(0, 4), FREE, head.slice(8, box.head), new Uint8Array(box.size - box.head));
    else if (CONTAINERS.has(box.name)) {
      const bytes = new Uint8Array(await whole.arrayBuffer());
      bare = emptied(bytes) && bare;
      parts.push(bytes);
    } else parts.push(whole);
    at += box.size;
  }
  return { film: new Blob(parts, { type: film.type }), bare };
}

interface Box { name: string; head: number; size: number }

/** The box at `at`; null: what is there is not one that fits into `room`. Size 0 means: to the end. */
function boxAt(bytes: Uint8Array, at: number, room: number): Box | null {
  if (bytes.length < at + 8) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const short = view.getUint32(at);
  const wide = short === 1;
  if (wide && bytes.length < at + 16) return null;
  const size = wide ? Number(view.getBigUint64(at + 8)) : short === 0 ? room : short;
  const head = wide ? 16 : 8;
  return size < head || size > room ? null : { name: letters(bytes, at + 4), head, size };
}

/** Empties the records inside one box, in place; false: something in it is not understood. */
function emptied(bytes: Uint8Array, from = 0, to = bytes.length, depth = 0): boolean {
  let bare = true;
  for (let at = from; at < to; ) {
    const box = depth < DEEPEST ? boxAt(bytes, at, to - at) : null;
    if (!box) return false;
    const [inside, end] = [at + box.head, at + box.size];
    if (RECORDS.has(box.name)) {
      bytes.set(FREE, at + 4);
      bytes.fill(0, inside, end);
    } else if (DATED.has(box.name)) undate(bytes, inside, end);
    else if (box.name === 'hdlr' && end - inside >= 12) bare &&= PLAYED.has(letters(bytes, inside + 8)) || !inTrack(depth);
    else if (CONTAINERS.has(box.name)) bare = emptied(bytes, inside, end, depth + 1) && bare;
    at = end;
  }
  return bare;
}

/** moov/trak/mdia/hdlr: the handler of a track. Elsewhere a handler says what a record is, and records are gone. */
const inTrack = (depth: number): boolean => depth >= 3;

/** Times as unknown (zero): two of 4 bytes in version 0, of 8 in version 1. */
function undate(bytes: Uint8Array, inside: number, end: number): void {
  bytes.fill(0, inside + 4, Math.min(end, inside + 4 + (bytes[inside] === 1 ? 16 : 8)));
}
