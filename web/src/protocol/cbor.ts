/**
 * The part of CBOR (RFC 8949) that message content is made of: integers of 64 bits, bytes, text, arrays, maps whose keys
 * are integers or texts, true, false and null, each in its one deterministic encoding (section 4.2.1).
 *
 * `decode` accepts exactly what `encode` would write, so that nothing has two forms; everything else is `Malformed`.
 */
import { concat, fromUtf8, Malformed, Reader, utf8, whole, type Bytes } from './bytes';

/** Containers inside containers. Content needs 8, its extensions the rest. */
const MAX_OPEN = 16;
/** Data items of one message, keys and containers counted. */
const MAX_ITEMS = 2048;
const [UINT, NEGATIVE, BYTES, TEXT, ARRAY, MAP, , SIMPLE] = [0, 1, 2, 3, 4, 5, 6, 7];
const SIMPLES = new Map<unknown, number>([[false, 20], [true, 21], [null, 22]]);
/** The least number that is worth 1, 2, 4 and 8 bytes. */
const WORTH = [24n, 0x100n, 0x1_0000n, 0x1_0000_0000n];

/** The deterministic bytes of a value. Throws `RangeError` for what has no place in message content. */
export function encode(value: unknown): Bytes {
  return concat(...pieces(value));
}

function pieces(value: unknown): Bytes[] {
  const simple = SIMPLES.get(value);
  if (simple !== undefined) return [head(SIMPLE!, simple)];
  if (Number.isInteger(value) || typeof value === 'bigint') return [integer(BigInt(value as number | bigint))];
  if (typeof value === 'string') return string(TEXT!, utf8(value));
  if (value instanceof Uint8Array) return string(BYTES!, value as Bytes);
  if (Array.isArray(value)) return [head(ARRAY!, value.length), ...value.flatMap(pieces)];
  if (!(value instanceof Map)) throw new RangeError('no such value in message content');
  const entries = [...value as Map<unknown, unknown>].map(([key, entry]) => ({ key: encode(key), entry }));
  return [head(MAP!, value.size), ...entries.sort((a, b) => order(a.key, b.key)).flatMap(({ key, entry }) => [key, ...pieces(entry)])];
}

const string = (major: number, bytes: Bytes): Bytes[] => [head(major, bytes.length), bytes];
const integer = (value: bigint): Bytes => (value < 0n ? head(NEGATIVE!, -1n - value) : head(UINT!, value));

function head(major: number, argument: number | bigint): Bytes {
  const number = BigInt(argument);
  if (number >= 1n << 64n) throw new RangeError('an integer has at most 64 bits');
  const size = WORTH.filter((least) => number >= least).length;
  if (size === 0) return Uint8Array.of((major << 5) | Number(number));
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, number);
  return concat(Uint8Array.of((major << 5) | (23 + size)), bytes.subarray(8 - (1 << (size - 1))));
}

/** Bytewise (RFC 8949, 4.2.1): below 0 when `a` comes first. */
function order(a: Bytes, b: Bytes): number {
  const at = a.findIndex((byte, index) => byte !== b[index]);
  return at < 0 ? a.length - b.length : a[at]! - (b[at] ?? -1);
}

/** The one value of these bytes. */
export function decode(bytes: Uint8Array): unknown {
  let items = 0;
  const item = (reader: Reader, open: number): unknown => {
    if (++items > MAX_ITEMS) throw new Malformed('a message has too many items');
    const first = reader.uint(1);
    const [major, info] = [first >> 5, first & 31];
    if (major === SIMPLE) return simple(info);
    if (info > 27 || major > MAP!) throw new Malformed('a value has no place in message content');
    const number = argument(reader, info);
    if (major === UINT) return number;
    if (major === NEGATIVE) return typeof number === 'bigint' ? -1n - number : -1 - number;
    const length = Number(number);
    if (major === BYTES) return reader.fixed(length);
    if (major === TEXT) return text(reader.fixed(length));
    if (length > reader.left) throw new Malformed('ends too early');
    if (open === MAX_OPEN) throw new Malformed('nested too deeply');
    if (major === ARRAY) return Array.from({ length }, () => item(reader, open + 1));
    return map(length, () => item(reader, open + 1));
  };
  return whole(bytes, (reader) => item(reader, 0));
}

/** Browsers drop the mark in front of a text, and could then not give back the same bytes. */
function text(bytes: Bytes): string {
  const read = fromUtf8(bytes);
  if (read.startsWith('\ufeff')) throw new Malformed('a text starts with a byte order mark');
  return read;
}

function simple(info: number): unknown {
  for (const [value, number] of SIMPLES) if (number === info) return value;
  throw new Malformed('a value has no place in message content');
}

function argument(reader: Reader, info: number): number | bigint {
  if (info < 24) return info;
  const number = reader.fixed(1 << (info - 24)).reduce((value, byte) => value * 256n + BigInt(byte), 0n);
  if (number < WORTH[info - 24]!) throw new Malformed('not deterministic CBOR');
  return number > BigInt(Number.MAX_SAFE_INTEGER) ? number : Number(number);
}

function map(length: number, next: () => unknown): Map<number | bigint | string, unknown> {
  const entries = new Map<number | bigint | string, unknown>();
  let before: Bytes | null = null;
  for (let at = 0; at < length; at++) {
    const key = next();
    if (typeof key !== 'number' && typeof key !== 'bigint' && typeof key !== 'string') {
      throw new Malformed('a map key is neither integer nor text');
    }
    const bytes = encode(key);
    if (before && order(before, bytes) >= 0) throw new Malformed('not deterministic CBOR');
    before = bytes;
    entries.set(key, next());
  }
  return entries;
}
