/**
 * The key log: every account's keys in a tree that only grows, so that a server cannot show them differently unseen.
 *
 * The verifying half of src/kith/protocol/transparency.py (draft-ietf-keytrans-protocol, suite KT_128_SHA256_Ed25519,
 * contact monitoring): integers have fixed widths here. What does not verify throws `Forged`.
 */
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concat, equal, fromHex, Malformed, Reader, toHex, u16, u32, u64, u8, utf8, whole, type Bytes } from './bytes';
import { verifyWithLabel } from './sign';

export const HASH = 32;
export const ENDORSED = 'KithKeyLog';
const SUITE = 2;
const CONTACT_MONITORING = 1;
const MAX_VERSION = 2 ** 32 - 1;
/** How many of the newest versions one answer proves, beside the ladder. */
const VERSIONS_SHOWN = 256;
const NOTHING = new Uint8Array(HASH);
const COMMITMENT_KEY = fromHex('d821f8790d97709796b4d7903357c3f5');
const SEARCH_TAG = utf8('SaferKT key');

/** A proof that does not prove what it is for. */
export class Forged extends Error {
  override readonly name = 'Forged';
}

function forged(sentence: string): never {
  throw new Forged(sentence);
}

const hash = (...parts: Uint8Array[]): Bytes => sha256(concat(...parts)) as Bytes;

// ---- configuration and heads ------------------------------------------------------------------------------------

/** Times in ms. */
export interface Configuration { encoded: Bytes; signatureKey: Bytes; maxAheadMs: number; maxBehindMs: number; windowMs: number }

export function decodeConfiguration(encoded: Bytes): Configuration {
  return whole(encoded, (reader) => {
    if (reader.uint(2) !== SUITE || reader.uint(1) !== CONTACT_MONITORING) throw new Malformed('a key log of another kind');
    const signatureKey = reader.fixed(reader.uint(2));
    if (signatureKey.length !== 32 || reader.uint(2) !== 0) throw new Malformed('keys of the wrong length');
    const made = { encoded, signatureKey, maxAheadMs: reader.u64(), maxBehindMs: reader.u64(), windowMs: reader.u64() };
    if (reader.uint(1) !== 0) throw new Malformed('a maximum lifetime');
    return made;
  });
}

export function encodeConfiguration(key: Uint8Array, maxAheadMs: number, maxBehindMs: number, windowMs: number): Bytes {
  const head = concat(u16(SUITE), u8(CONTACT_MONITORING), u16(key.length), key, u16(0));
  return concat(head, u64(maxAheadMs), u64(maxBehindMs), u64(windowMs), u8(0));
}

export const headTbs = (configuration: Configuration, size: number, root: Uint8Array): Bytes =>
  concat(configuration.encoded, u64(size), root);

export async function headIsSigned(
  configuration: Configuration, size: number, root: Uint8Array, signature: Uint8Array,
): Promise<boolean> {
  if (signature.length !== 64 || root.length !== HASH) return false;
  try {
    const key = await crypto.subtle.importKey('raw', configuration.signatureKey, 'Ed25519', false, ['verify']);
    return await crypto.subtle.verify('Ed25519', key, signature as Bytes, headTbs(configuration, size, root));
  } catch (error) {
    if (error instanceof DOMException) return false; // not a point on the curve
    throw error;
  }
}

export const isEndorsed = (signer: Uint8Array, configuration: Uint8Array, signature: Uint8Array): Promise<boolean> =>
  verifyWithLabel(signer, ENDORSED, configuration, signature);

// ---- what is logged ---------------------------------------------------------------------------------------------

export const labelOf = (account: string): Bytes => fromHex(account.replaceAll('-', ''));

export const keyValue = (aik: Uint8Array, list: Uint8Array, signature: Uint8Array): Bytes =>
  concat(u16(aik.length), aik, u32(list.length), list, u16(signature.length), signature);

export function parseValue(value: Uint8Array): { aik: Bytes; list: Bytes; signature: Bytes } {
  return whole(value, (reader) => ({
    aik: reader.fixed(reader.uint(2)), list: reader.fixed(reader.uint(4)), signature: reader.fixed(reader.uint(2)),
  }));
}

export const searchKey = (label: Uint8Array, version: number): Bytes =>
  hash(SEARCH_TAG, u8(label.length), label, u32(version));

export const commitmentOf = (opening: Uint8Array, label: Uint8Array, version: number, value: Uint8Array): Bytes =>
  hmac(sha256, COMMITMENT_KEY, concat(opening, u8(label.length), label, u32(version), u32(value.length), value)) as Bytes;

export const logLeaf = (timestampMs: number, prefixRoot: Uint8Array): Bytes => hash(u64(timestampMs), prefixRoot);

// ---- prefix tree ------------------------------------------------------------------------------------------------

export const leafHash = (key: Uint8Array, commitment: Uint8Array): Bytes => hash(u8(2), key, commitment);

const bit = (key: Uint8Array, depth: number): number => (key[depth >> 3]! >> (7 - (depth & 7))) & 1;

const parentHash = (key: Uint8Array, depth: number, own: Uint8Array, other: Uint8Array): Bytes =>
  bit(key, depth) ? hash(u8(3), other, own) : hash(u8(3), own, other);

function agreement(one: Uint8Array, other: Uint8Array): number {
  for (let at = 0; at < HASH * 8; at++) if (bit(one, at) !== bit(other, at)) return at;
  return HASH * 8;
}

/** Depths of a path's siblings in the order in which they stand in the tree. */
function leftToRight(key: Uint8Array, depth: number): number[] {
  const all = Array.from({ length: depth }, (_, at) => at);
  return [...all.filter((at) => bit(key, at)), ...all.filter((at) => !bit(key, at)).reverse()];
}

/** The commitment that a search proves to stand under `key` in the tree of this root; null when it proves there is none. */
export function proves(search: Uint8Array, root: Uint8Array, key: Uint8Array): Bytes | null {
  const reader = new Reader(search);
  const result = reader.uint(1);
  const depth = reader.uint(1);
  if (result < 1 || result > 3) throw new Malformed('an unknown result');
  const leafKey = result === 2 ? reader.fixed(HASH) : key;
  const commitment = result === 3 ? null : reader.fixed(HASH);
  const siblings: Bytes[] = [];
  for (const at of leftToRight(key, depth)) siblings[at] = reader.fixed(HASH);
  reader.end();
  if (result === 2 && agreement(leafKey, key) < depth) forged('another entry is shown in a place where it cannot stand');
  let made: Uint8Array = commitment === null ? NOTHING : leafHash(leafKey, commitment);
  for (let at = depth - 1; at >= 0; at--) made = parentHash(key, at, made, siblings[at]!);
  if (!equal(made, root)) forged('a search does not lead to its root');
  return commitment !== null && equal(leafKey, key) ? commitment : null;
}

// ---- log tree ---------------------------------------------------------------------------------------------------

/** The largest power of two smaller than `size`; sizes are safe integers, so no shifts. */
function split(size: number): number {
  let half = 1;
  while (half * 2 < size) half *= 2;
  return half;
}

export function logParent(left: Uint8Array, leftSize: number, right: Uint8Array, rightSize: number): Bytes {
  return hash(u8(leftSize === 1 ? 0 : 1), left, u8(rightSize === 1 ? 0 : 1), right);
}

function taken(left: Uint8Array[]): Uint8Array {
  return left.pop() ?? forged('a path is too short');
}

/** The root to which a path leads from an entry. */
export function rootOver(path: readonly Uint8Array[], position: number, size: number, leaf: Uint8Array): Uint8Array {
  const left = [...path];
  const climb = (at: number, count: number): Uint8Array => {
    if (!(at >= 0 && at < count)) forged('an entry that cannot be in the log');
    if (count === 1) return leaf;
    const half = split(count);
    const sibling = taken(left);
    return at < half
      ? logParent(climb(at, half), half, sibling, count - half)
      : logParent(sibling, half, climb(at - half, count - half), count - half);
  };
  const root = climb(position, size);
  if (left.length > 0) forged('a path is too long');
  return root;
}

/** Throws unless the log `newer` begins with the log `older`. */
export function checkExtends(
  proof: readonly Uint8Array[], older: { size: number; root: Uint8Array }, newer: { size: number; root: Uint8Array },
): void {
  if (!(older.size > 0 && older.size <= newer.size)) forged('the key log is shorter than it was before');
  const left = [...proof];
  const both = (first: number, size: number, isWhole: boolean): [Uint8Array, Uint8Array] => {
    if (first === size) {
      const value = isWhole ? older.root : taken(left);
      return [value, value];
    }
    const half = split(size);
    const sibling = taken(left);
    if (first <= half) {
      const [before, after] = both(first, half, isWhole);
      return [before, logParent(after, half, sibling, size - half)];
    }
    const [before, after] = both(first - half, size - half, false);
    return [logParent(sibling, half, before, first - half), logParent(sibling, half, after, size - half)];
  };
  const [before, after] = both(older.size, newer.size, true);
  if (left.length > 0 || !equal(before, older.root) || !equal(after, newer.root)) {
    forged('the key log does not continue the one that was shown before');
  }
}

// ---- versions at an entry ---------------------------------------------------------------------------------------

/** The versions to look up so that `greatest` is proven to be the newest: 0, 1, 3, 7, …, then halving. */
export function ladder(greatest: number): number[] {
  const asked = [0];
  let [low, high] = [-1, 0];
  while (high <= greatest) {
    [low, high] = [high, 2 * high + 1];
    asked.push(high);
  }
  while (low + 1 < high) {
    const middle = Math.floor((low + high) / 2);
    asked.push(middle);
    if (middle <= greatest) low = middle;
    else high = middle;
  }
  return asked.filter((version) => version <= MAX_VERSION);
}

export const shownFrom = (version: number, greatest: number | null): number =>
  Math.max(version, (greatest ?? -1) + 1 - VERSIONS_SHOWN);

export function wanted(greatest: number | null, since: number): number[] {
  if (greatest === null) return [0];
  const steps = ladder(greatest);
  const rest: number[] = [];
  for (let version = Math.max(0, since); version <= greatest; version++) if (!steps.includes(version)) rest.push(version);
  return [...steps, ...rest];
}

/** A log entry as served, with searches for one label's versions in its prefix tree. */
export interface Entry {
  position: number; timestampMs: number; prefixRoot: Bytes; path: Bytes[]; greatest: number | null; lookups: Bytes[];
}

export const rootOf = (entry: Entry, size: number): Uint8Array =>
  rootOver(entry.path, entry.position, size, logLeaf(entry.timestampMs, entry.prefixRoot));

/** The commitments of the versions that were looked up; the greatest is proven to be that. */
export function versionsAt(entry: Entry, label: Uint8Array, since: number): Map<number, Bytes> {
  const { greatest, lookups, prefixRoot } = entry;
  if (greatest !== null && !(Number.isInteger(greatest) && greatest >= 0 && greatest - since <= VERSIONS_SHOWN)) {
    forged('a number of versions that cannot be');
  }
  const asked = wanted(greatest, since);
  if (asked.length !== lookups.length) forged('the key log answers another search than was asked');
  const found = new Map<number, Bytes>();
  asked.forEach((version, at) => {
    const held = proves(lookups[at]!, prefixRoot, searchKey(label, version));
    if ((held !== null) !== (greatest !== null && version <= greatest)) forged('another newest version than the log holds');
    if (held !== null) found.set(version, held);
  });
  return found;
}

/**
 * Entries that everybody checks, in order, from those after position `after` up to `upto`: about one a monitoring
 * window, which follows from the times alone. `timestamp` is asked for these and for those above them in the search tree.
 */
export function distinguished(
  size: number, windowMs: number, newestMs: number, timestamp: (position: number) => number, after: number, upto: number,
): number[] {
  const found: number[] = [];
  const below = (start: number, count: number, leftMs: number, rightMs: number): void => {
    if (count <= 0 || start + count - 1 <= after || start > upto || rightMs - leftMs < windowMs) return;
    let root = 1;
    while (root * 2 <= count) root *= 2;
    root -= 1;
    const here = start + root;
    const atMs = timestamp(here);
    below(start, root, leftMs, atMs);
    if (after < here && here <= upto) found.push(here);
    below(here + 1, count - root - 1, atMs, rightMs);
  };
  below(0, size, 0, newestMs);
  return found;
}

export function checkRising(entries: readonly Entry[]): void {
  const sorted = [...entries].sort((a, b) => a.position - b.position);
  if (sorted.some((entry, at) => at > 0 && entry.timestampMs < sorted[at - 1]!.timestampMs)) forged('times run backwards');
}

/** A head as messages carry it (extension -2): anything else says nothing and harms nothing. */
export function readGossip(value: unknown): { size: number; root: Bytes; signature: Bytes } | null {
  if (!Array.isArray(value) || value.length !== 3) return null;
  const [size, root, signature] = value as unknown[];
  const fine = Number.isSafeInteger(size) && (size as number) > 0 && root instanceof Uint8Array && root.length === HASH
    && signature instanceof Uint8Array && signature.length === 64;
  return fine ? { size: size as number, root: root.slice() as Bytes, signature: signature.slice() as Bytes } : null;
}

export const gossipKey = (size: number, root: Uint8Array): string => `heard/${size}-${toHex(root)}`;
