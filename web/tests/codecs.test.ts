import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as cborg from 'cborg';
import { Malformed, toHex } from '../src/protocol/bytes';
import * as cbor from '../src/protocol/cbor';
import * as msgpack from '../src/protocol/msgpack';

/** The same numbers in every run (mulberry32). */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const EDGES = [0, 23, 24, 31, 32, 127, 128, 255, 256, 65535, 65536, 2 ** 31, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER];
const NUMBERS = EDGES.flatMap((edge) => [edge, -edge, -1 - edge]).filter(Number.isSafeInteger).map((number) => number + 0);
const SIZES = [0, 1, 15, 16, 23, 24, 31, 32, 255, 256, 65535, 65536];

/** Any value of the kinds that both sides know, containers no deeper than `depth`. */
function anything(next: () => number, depth: number): unknown {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!;
  const leaves = [
    () => null, () => next() < 0.5, () => pick(NUMBERS), () => 'é'.repeat(Math.floor(next() * 40)),
    () => new Uint8Array(Math.floor(next() * 300)).fill(next() * 256),
    () => BigInt(Math.floor(next() * 2 ** 31)) * 2n ** 32n + 2n ** 60n,
  ];
  const few = (): number[] => Array.from({ length: Math.floor(next() * 20) }, (_, at) => at);
  if (depth === 0 || next() < 0.5) return pick(leaves)();
  if (next() < 0.5) return few().map(() => anything(next, depth - 1));
  const entries = few().map((at): [string, unknown] => [`k${Math.floor(next() * 1e6)}${at}`, anything(next, depth - 1)]);
  return new Map<unknown, unknown>([...entries, [pick(NUMBERS), 1]]);
}

const theirCbor = (value: unknown): string => toHex(cborg.encode(value, cborg.rfc8949EncodeOptions));

test('what is written as CBOR is what another library writes as deterministic CBOR, and comes back', () => {
  const next = chance(1);
  const values = [...NUMBERS, ...SIZES.map((size) => new Uint8Array(size)), ...SIZES.map((size) => 'x'.repeat(size)), 2n ** 64n - 1n, -(2n ** 64n)];
  for (let round = 0; round < 400; round++) values.push(anything(next, 2) as number);
  for (const value of values) {
    const bytes = cbor.encode(value);
    assert.equal(toHex(bytes), theirCbor(value));
    assert.deepEqual(cbor.decode(bytes), value);
  }
});

test('bytes that another library reads as CBOR are read the same or are not the deterministic form', () => {
  const next = chance(2);
  let [same, refused] = [0, 0];
  for (let round = 0; round < 4000; round++) {
    const bytes = cbor.encode(anything(next, 2));
    bytes[Math.floor(next() * bytes.length)] = next() * 256;
    try {
      const value = cbor.decode(bytes);
      assert.equal(theirCbor(value), toHex(bytes));
      same++;
    } catch (error) {
      assert.ok(error instanceof Malformed, String(error));
      refused++;
    }
  }
  assert.ok(same > 100 && refused > 100, `${same} read, ${refused} refused`);
});

test('every form of CBOR that is not the one is refused', () => {
  const bad = [
    'f97e00', 'fb3ff0000000000000', 'c000', 'f7', 'f820', 'f0', '1817', '190017', '1a0000ffff', '1b00000000ffffffff', '5801aa', '7801 61',
    '9f00ff', 'bf0000ff', '5f41aaff', 'a2020001', 'a200000000', 'a1f600', 'a14100 00', '62c328', '1c', 'fc', '00 00', '', '82 00', '9bffffffffffffffff',
    `${'81'.repeat(16)}80`, '63efbbbf', `${'81'.repeat(40)}00`, `9a00000801${'00'.repeat(0x801)}`,
  ];
  for (const hex of bad) assert.throws(() => cbor.decode(Buffer.from(hex.replaceAll(' ', ''), 'hex')), Malformed, hex.slice(0, 40));
  assert.ok(cbor.decode(Buffer.from(`${'81'.repeat(15)}80`, 'hex')));
  for (const value of [1.5, undefined, {}, 2n ** 64n, -(2n ** 64n) - 1n]) assert.throws(() => cbor.encode(value), RangeError);
});

test('MessagePack that ends early, goes on, or goes over its bounds is refused', () => {
  const bad = ['', 'c1', '01 01', '92 01', 'a5 61', 'c4 05 00', 'd9', 'dd ffffffff', 'df ffffffff', `81a9${Buffer.from('__proto__').toString('hex')}80`, 'd6 ff 00000000', 'c7 01 05 00'];
  for (const hex of bad) assert.throws(() => msgpack.decode(Buffer.from(hex.replaceAll(' ', ''), 'hex')), Malformed, hex.slice(0, 40));
  const bounds = { array: 2, maps: false };
  assert.throws(() => msgpack.decode(msgpack.encode([1, 2, 3]), bounds), Malformed);
  assert.throws(() => msgpack.decode(msgpack.encode([{ a: 1 }]), bounds), Malformed);
  assert.deepEqual(msgpack.decode(msgpack.encode([1, [2]]), bounds), [1, [2]]);
  assert.deepEqual(msgpack.decode(msgpack.encode({ a: undefined, b: [new Uint8Array(3), 'é', 2 ** 53 - 1, -0.5] })), { a: null, b: [new Uint8Array(3), 'é', 2 ** 53 - 1, -0.5] });
});
