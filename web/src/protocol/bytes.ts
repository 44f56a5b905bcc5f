/**
 * Bytes: the RFC 9420 presentation language (section 2.1.2), hex, base64 and comparison.
 *
 * Everything that comes from outside is read through `Reader`, which refuses what is not the one right encoding:
 * non-minimal varints, lengths past the end, and anything after the last field.
 */

/** Bytes that are not the one valid encoding of what they claim to be. */
export class Malformed extends Error {
  override readonly name = 'Malformed';
}

export type Bytes = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function utf8(text: string): Bytes {
  return encoder.encode(text) as Bytes;
}

/** The text of valid UTF-8; anything else is malformed, never replaced by U+FFFD. */
export function fromUtf8(bytes: Uint8Array): string {
  try {
    return strictDecoder.decode(bytes);
  } catch {
    throw new Malformed('text is not valid UTF-8');
  }
}

export function concat(...parts: readonly Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && sameInConstantTime(a, b);
}

/** Compares without stopping at the first difference, so that time tells nothing about a secret tag. */
export function sameInConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ (b[i] ?? 0);
  return difference === 0;
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function fromHex(text: string): Bytes {
  if (!/^(?:[0-9a-f]{2})*$/.test(text)) throw new Malformed('not lower-case hex');
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

export function toBase64(bytes: Uint8Array): string {
  let binary = '';
  // In slices, because a spread of a whole message would overflow the argument stack.
  for (let at = 0; at < bytes.length; at += 0x8000) binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(binary);
}

/** Standard base64 with padding (RFC 4648 section 4); nothing looser. */
export function fromBase64(text: string): Bytes {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw new Malformed('not base64');
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** Overwrites secrets that are no longer needed. Best effort: a garbage collector may hold copies. */
export function wipe(...buffers: readonly Uint8Array[]): void {
  for (const buffer of buffers) buffer.fill(0);
}

function varint(length: number): Bytes {
  if (length < 0x40) return Uint8Array.of(length);
  if (length < 0x4000) return Uint8Array.of(0x40 | (length >> 8), length & 0xff);
  if (length < 0x4000_0000) {
    return Uint8Array.of(0x80 | (length >> 24), (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff);
  }
  throw new Malformed('a vector may hold at most 2^30 - 1 bytes');
}

/** `V(x)`: minimal varint length, then the bytes (RFC 9420 section 2.1.2). */
export function vector(bytes: Uint8Array): Bytes {
  return concat(varint(bytes.length), bytes);
}

export function u8(value: number): Bytes {
  return Uint8Array.of(value);
}

export function u16(value: number): Bytes {
  return Uint8Array.of(value >> 8, value & 0xff);
}

export function u32(value: number): Bytes {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, value);
  return out;
}

/** Big-endian 64 bits; sequence numbers, epochs and times all fit a safe integer, and more is refused. */
export function u64(value: number): Bytes {
  if (!Number.isSafeInteger(value) || value < 0) throw new Malformed('number out of range');
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(value));
  return out;
}

/** Reads fields one after another; `end()` demands that nothing is left. */
export class Reader {
  #at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  get position(): number {
    return this.#at;
  }

  get left(): number {
    return this.bytes.length - this.#at;
  }

  fixed(length: number): Bytes {
    if (length > this.left) throw new Malformed('ends too early');
    const part = this.bytes.slice(this.#at, this.#at + length) as Bytes;
    this.#at += length;
    return part;
  }

  uint(size: 1 | 2 | 4): number {
    return this.fixed(size).reduce((value, byte) => value * 256 + byte, 0);
  }

  u64(): number {
    const value = new DataView(this.fixed(8).buffer).getBigUint64(0);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new Malformed('number out of range');
    return Number(value);
  }

  vector(limit = 0x3fff_ffff): Bytes {
    const length = this.#varint();
    if (length > limit) throw new Malformed('a field is too long');
    return this.fixed(length);
  }

  text(limit = 1024): string {
    return fromUtf8(this.vector(limit));
  }

  end(): void {
    if (this.left !== 0) throw new Malformed('bytes after the end');
  }

  #varint(): number {
    const first = this.uint(1);
    const prefix = first >> 6;
    if (prefix === 3) throw new Malformed('invalid length prefix');
    const size = 1 << prefix;
    let value = first & 0x3f;
    for (let i = 1; i < size; i++) value = value * 256 + this.uint(1);
    if (varint(value).length !== size) throw new Malformed('length is not minimal');
    return value;
  }
}

/** Parses all of `bytes` with `parse`: trailing bytes are an error. */
export function whole<T>(bytes: Uint8Array, parse: (reader: Reader) => T): T {
  const reader = new Reader(bytes);
  const value = parse(reader);
  reader.end();
  return value;
}
