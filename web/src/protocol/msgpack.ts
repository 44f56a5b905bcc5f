/**
 * The part of MessagePack that Kith uses, on the stream and for what is kept here: nil, booleans, numbers, text, bytes,
 * arrays and maps with texts for keys. No extensions.
 *
 * Numbers are integers where they are safe ones, else 64-bit floats; `undefined` is written as nil, as JSON does in
 * arrays. What other writers of MessagePack chose among the forms of a number or a length is read all the same.
 */
import { Malformed, utf8, type Bytes } from './bytes';

/** Nothing of ours is half as deep. */
const MAX_DEPTH = 64;

/** What is accepted from others: how long an array may be, and whether there may be maps. */
export interface Bounds { array: number; maps: boolean }
const OURS: Bounds = { array: Infinity, maps: true };

// Halves of characters were written here once, and such a record must open still.
const words = new TextDecoder('utf-8', { ignoreBOM: true });

/** Grows by doubling; one copy at the end. */
class Writer {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;

  #room(size: number): number {
    const at = this.#at;
    if (at + size > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(at + size, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    this.#at += size;
    return at;
  }

  byte(value: number): void {
    const at = this.#room(1);
    this.#view.setUint8(at, value);
  }

  /** A format byte, and a number after it in the least of 1, 2 and 4 bytes, or of 2 and 4; the format counts up. */
  head(format: number, number: number, least: 1 | 2 = 1): void {
    const size = number < 0x100 && least === 1 ? 1 : number < 0x1_0000 ? 2 : 4;
    this.byte(format + Math.log2(size / least));
    const at = this.#room(size);
    if (size === 1) this.#view.setUint8(at, number);
    else if (size === 2) this.#view.setUint16(at, number);
    else this.#view.setUint32(at, number);
  }

  float(value: number): void {
    this.byte(0xcb);
    const at = this.#room(8);
    this.#view.setFloat64(at, value);
  }

  long(format: number, value: number): void {
    this.byte(format);
    const at = this.#room(8);
    this.#view.setBigInt64(at, BigInt(value));
  }

  bytes(value: Uint8Array): void {
    const at = this.#room(value.length);
    this.#bytes.set(value, at);
  }

  done(): Bytes {
    return this.#bytes.slice(0, this.#at);
  }
}

/** Throws `TypeError` for what is none of the kinds above: it would come back as something else. */
export function encode(value: unknown): Bytes {
  const writer = new Writer();
  write(writer, value);
  return writer.done();
}

function write(to: Writer, value: unknown): void {
  if (value === null || value === undefined) to.byte(0xc0);
  else if (typeof value === 'boolean') to.byte(value ? 0xc3 : 0xc2);
  else if (typeof value === 'number') number(to, value);
  else if (typeof value === 'string') text(to, utf8(value));
  else if (value instanceof Uint8Array) {
    to.head(0xc4, value.length);
    to.bytes(value);
  } else if (Array.isArray(value)) {
    short(to, 0x90, 0xdc, value.length);
    for (const item of value) write(to, item);
  } else if (Object.prototype.toString.call(value) === '[object Object]') {
    const entries = Object.entries(value);
    short(to, 0x80, 0xde, entries.length);
    for (const [key, item] of entries) {
      text(to, utf8(key));
      write(to, item);
    }
  } else throw new TypeError('this cannot be written as MessagePack');
}

function short(to: Writer, fixed: number, format: number, length: number): void {
  if (length < 16) to.byte(fixed | length);
  else to.head(format, length, 2);
}

function text(to: Writer, bytes: Bytes): void {
  if (bytes.length < 32) to.byte(0xa0 | bytes.length);
  else to.head(0xd9, bytes.length);
  to.bytes(bytes);
}

function number(to: Writer, value: number): void {
  if (!Number.isSafeInteger(value)) to.float(value);
  else if (value >= -32 && value < 128) to.byte(value & 0xff);
  else if (value < 0) to.long(0xd3, value);
  else if (value < 2 ** 32) to.head(0xcc, value);
  else to.long(0xcf, value);
}

/** The one value of these bytes; anything after it, and anything else than a value, is `Malformed`. */
export function decode(bytes: Uint8Array, bounds = OURS): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  const take = (size: number): number => {
    if (size > bytes.length - at) throw new Malformed('ends too early');
    at += size;
    return at - size;
  };
  const uint = (power: number): number => {
    const from = take(1 << power);
    return power === 0 ? view.getUint8(from) : power === 1 ? view.getUint16(from) : power === 2 ? view.getUint32(from) : Number(view.getBigUint64(from));
  };
  const int = (power: number): number => {
    const from = take(1 << power);
    return power === 0 ? view.getInt8(from) : power === 1 ? view.getInt16(from) : power === 2 ? view.getInt32(from) : Number(view.getBigInt64(from));
  };
  const part = (length: number): Uint8Array => {
    const from = take(length);
    return bytes.subarray(from, from + length);
  };
  const array = (length: number, depth: number): unknown[] => {
    if (length > bounds.array || length > bytes.length - at) throw new Malformed('an array is too long');
    return Array.from({ length }, () => item(depth + 1));
  };
  const map = (length: number, depth: number): Record<string, unknown> => {
    if (!bounds.maps) throw new Malformed('a map has no place here');
    const found: Record<string, unknown> = {};
    for (let left = length; left > 0; left--) {
      const key = item(MAX_DEPTH);
      if (typeof key !== 'string' || key === '__proto__') throw new Malformed('a map has texts for keys');
      found[key] = item(depth + 1);
    }
    return found;
  };
  const item = (depth: number): unknown => {
    if (depth > MAX_DEPTH) throw new Malformed('nested too deeply');
    const format = uint(0);
    if (format < 0x80) return format;
    if (format < 0x90) return map(format & 15, depth);
    if (format < 0xa0) return array(format & 15, depth);
    if (format < 0xc0) return words.decode(part(format & 31));
    if (format >= 0xe0) return format - 0x100;
    switch (format) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return part(uint(format - 0xc4));
      case 0xca: return view.getFloat32(take(4));
      case 0xcb: return view.getFloat64(take(8));
      case 0xcc: case 0xcd: case 0xce: case 0xcf: return uint(format - 0xcc);
      case 0xd0: case 0xd1: case 0xd2: case 0xd3: return int(format - 0xd0);
      case 0xd9: case 0xda: case 0xdb: return words.decode(part(uint(format - 0xd9)));
      case 0xdc: case 0xdd: return array(uint(format - 0xdb), depth);
      case 0xde: case 0xdf: return map(uint(format - 0xdd), depth);
      default: throw new Malformed('this kind of value has no place here');
    }
  };
  const value = item(0);
  if (at !== bytes.length) throw new Malformed('bytes after the end');
  return value;
}
