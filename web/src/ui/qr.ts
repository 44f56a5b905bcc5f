/**
 * QR codes (ISO/IEC 18004), byte mode, error correction M, versions 1 to 10. Always mask 0: any mask is valid, and a
 * screen needs no best one.
 */

interface Version { ec: number; blocks: number[]; align: number[] }

const repeat = (count: number, size: number): number[] => Array.from({ length: count }, () => size);
/** Error correction bytes per block, data bytes of each block, alignment positions (tables 9 and E.1). */
const VERSIONS: Version[] = [
  { ec: 10, blocks: [16], align: [] },
  { ec: 16, blocks: [28], align: [6, 18] },
  { ec: 26, blocks: [44], align: [6, 22] },
  { ec: 18, blocks: repeat(2, 32), align: [6, 26] },
  { ec: 24, blocks: repeat(2, 43), align: [6, 30] },
  { ec: 16, blocks: repeat(4, 27), align: [6, 34] },
  { ec: 18, blocks: repeat(4, 31), align: [6, 22, 38] },
  { ec: 22, blocks: [...repeat(2, 38), ...repeat(2, 39)], align: [6, 24, 42] },
  { ec: 22, blocks: [...repeat(3, 36), ...repeat(2, 37)], align: [6, 26, 46] },
  { ec: 26, blocks: [...repeat(4, 43), 44], align: [6, 28, 50] },
];

const EXP = new Uint8Array(512);
const LOG = new Uint8Array(256);
for (let power = 0, value = 1; power < 255; power++) {
  EXP[power] = EXP[power + 255] = value;
  LOG[value] = power;
  value = (value << 1) ^ (value & 0x80 ? 0x11d : 0);
}
const times = (a: number, b: number): number => (a && b ? EXP[LOG[a]! + LOG[b]!]! : 0);

function generator(degree: number): number[] {
  let made = [1];
  for (let root = 0; root < degree; root++) {
    const next = [...made, 0];
    made.forEach((factor, at) => (next[at + 1]! ^= times(factor, EXP[root]!)));
    made = next;
  }
  return made;
}

function correction(data: number[], ec: number): number[] {
  const by = generator(ec);
  const rest = [...data, ...repeat(ec, 0)];
  for (let at = 0; at < data.length; at++) {
    const lead = rest[at]!;
    by.forEach((factor, offset) => (rest[at + offset]! ^= times(factor, lead)));
  }
  return rest.slice(data.length);
}

/** Data bytes with header and padding, split into blocks, interleaved with their error correction. */
function codewords(bytes: Uint8Array, version: Version, number: number): number[] {
  const capacity = version.blocks.reduce((sum, size) => sum + size, 0);
  const bits: number[] = [];
  const put = (value: number, count: number): void => {
    for (let bit = count - 1; bit >= 0; bit--) bits.push((value >> bit) & 1);
  };
  put(4, 4);
  put(bytes.length, number < 10 ? 8 : 16);
  bytes.forEach((byte) => put(byte, 8));
  put(0, Math.min(4, capacity * 8 - bits.length));
  put(0, -bits.length & 7);
  const data: number[] = [];
  for (let at = 0; at < bits.length; at += 8) data.push(bits.slice(at, at + 8).reduce((value, bit) => value * 2 + bit, 0));
  for (let pad = 0xec; data.length < capacity; pad ^= 0xec ^ 0x11) data.push(pad);
  let from = 0;
  const blocks = version.blocks.map((size) => data.slice(from, (from += size)));
  const checks = blocks.map((block) => correction(block, version.ec));
  const out: number[] = [];
  for (const set of [blocks, checks]) {
    for (let at = 0; at < Math.max(...set.map((block) => block.length)); at++) {
      for (const block of set) if (at < block.length) out.push(block[at]!);
    }
  }
  return out;
}

function remainder(value: number, polynomial: number, degree: number): number {
  let rest = value << degree;
  for (let bit = 31 - Math.clz32(rest); bit >= degree; bit = 31 - Math.clz32(rest)) rest ^= polynomial << (bit - degree);
  return (value << degree) | rest;
}

/** The dark modules of the code for a text, row by row; null when it is too long for version 10. */
export function qr(text: string): boolean[][] | null {
  const bytes = new TextEncoder().encode(text);
  const at = VERSIONS.findIndex(({ blocks }, index) => blocks.reduce((sum, size) => sum + size, 0) - (index < 9 ? 2 : 3) >= bytes.length);
  const version = VERSIONS[at];
  if (!version) return null;
  const size = 21 + 4 * at;
  const dark = Array.from({ length: size }, () => Array.from({ length: size }, () => false));
  const fixed = Array.from({ length: size }, () => Array.from({ length: size }, () => false));
  const set = (row: number, column: number, value: boolean): void => {
    if (row < 0 || column < 0 || row >= size || column >= size) return;
    dark[row]![column] = value;
    fixed[row]![column] = true;
  };
  const square = (row: number, column: number, reach: number, ring: (distance: number) => boolean): void => {
    for (let y = -reach; y <= reach; y++) {
      for (let x = -reach; x <= reach; x++) set(row + y, column + x, ring(Math.max(Math.abs(x), Math.abs(y))));
    }
  };
  for (const [row, column] of [[3, 3], [3, size - 4], [size - 4, 3]] as const) square(row, column, 4, (d) => d !== 2 && d !== 4);
  for (let line = 8; line < size - 8; line++) {
    set(6, line, line % 2 === 0);
    set(line, 6, line % 2 === 0);
  }
  const last = version.align.length - 1;
  version.align.forEach((row, i) => version.align.forEach((column, j) => {
    const corner = (i === 0 && j === 0) || (i === 0 && j === last) || (i === last && j === 0);
    if (!corner) square(row, column, 2, (d) => d !== 1);
  }));
  const format = remainder(0, 0x537, 10) ^ 0x5412; // level M is 00, mask 0 is 000
  for (let bit = 0; bit < 15; bit++) {
    const value = ((format >> bit) & 1) === 1;
    set(bit < 6 ? bit : bit < 8 ? bit + 1 : size - 15 + bit, 8, value);
    set(8, bit < 8 ? size - 1 - bit : bit < 9 ? 7 : 14 - bit, value);
  }
  set(size - 8, 8, true);
  if (at >= 6) {
    const info = remainder(at + 1, 0x1f25, 12);
    for (let bit = 0; bit < 18; bit++) {
      const value = ((info >> bit) & 1) === 1;
      set(Math.floor(bit / 3), size - 11 + (bit % 3), value);
      set(size - 11 + (bit % 3), Math.floor(bit / 3), value);
    }
  }
  const stream = codewords(bytes, version, at + 1);
  let bit = 0;
  let up = true;
  for (let right = size - 1; right > 0; right -= 2, up = !up) {
    if (right === 6) right = 5; // the timing column is left out
    for (let step = 0; step < size; step++) {
      const row = up ? size - 1 - step : step;
      for (const column of [right, right - 1]) {
        if (fixed[row]![column]) continue;
        const byte = stream[bit >> 3] ?? 0;
        dark[row]![column] = (((byte >> (7 - (bit & 7))) & 1) === 1) !== ((row + column) % 2 === 0);
        bit++;
      }
    }
  }
  return dark;
}

/** One SVG path of unit squares. */
export const path = (modules: boolean[][]): string =>
  modules.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : ''))).join('');
