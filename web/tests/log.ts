/** A key log in memory, as an honest or a lying server keeps it. Everything is worked out anew from the entries: slow and plain. */
import { sha256 } from '@noble/hashes/sha2.js';
import type { EntryAnswer, HeadAnswer, KeysProofAnswer, WatchAnswer } from '../src/engine/api';
import { concat, equal, toBase64, u8, type Bytes } from '../src/protocol/bytes';
import type { Signer } from '../src/protocol/sign';
import { signWithLabel } from '../src/protocol/sign';
import {
  commitmentOf, distinguished, encodeConfiguration, ENDORSED, HASH, headTbs, labelOf, leafHash, logLeaf, logParent, searchKey, shownFrom, wanted, decodeConfiguration,
} from '../src/protocol/transparency';

const MINUTE = 60_000;
const OPENING = new Uint8Array(16).fill(0x6f);
const NOTHING = new Uint8Array(HASH);

interface Leaf { key: Bytes; commitment: Bytes; version: number; account: string; value: Bytes }
export interface LogEntry { atMs: number; leaves: Leaf[] }

const bit = (key: Uint8Array, depth: number): number => (key[depth >> 3]! >> (7 - (depth & 7))) & 1;
const side = (leaves: Leaf[], depth: number, right: number): Leaf[] => leaves.filter((leaf) => bit(leaf.key, depth) === right);

function prefixRoot(leaves: Leaf[], depth = 0): Uint8Array {
  if (leaves.length === 0) return NOTHING;
  if (leaves.length === 1) return leafHash(leaves[0]!.key, leaves[0]!.commitment);
  return sha256(concat(u8(3), prefixRoot(side(leaves, depth, 0), depth + 1), prefixRoot(side(leaves, depth, 1), depth + 1)));
}

function search(leaves: Leaf[], key: Uint8Array): Bytes {
  const siblings: Uint8Array[] = [];
  let here = leaves;
  while (here.length > 1) {
    const [depth, right] = [siblings.length, bit(key, siblings.length)];
    siblings.push(prefixRoot(side(here, depth, 1 - right), depth + 1));
    here = side(here, depth, right);
  }
  const order = [...siblings.keys()];
  const sorted = [...order.filter((at) => bit(key, at)), ...order.filter((at) => !bit(key, at)).reverse()];
  const found = here[0];
  const result = !found ? 3 : equal(found.key, key as Bytes) ? 1 : 2;
  const shown = result === 3 ? [] : result === 1 ? [found!.commitment] : [found!.key, found!.commitment];
  return concat(u8(result), u8(siblings.length), ...shown, ...sorted.map((at) => siblings[at]!));
}

export class Log {
  constructor(readonly key: Signer, readonly endorser: Signer, readonly entries: LogEntry[] = []) {}

  /** Another log that is the same until now, under the same key. */
  fork(): Log {
    return new Log(this.key, this.endorser, [...this.entries]);
  }

  get #configuration(): Bytes {
    return encodeConfiguration(this.key.publicKey, MINUTE, 60 * MINUTE, 1440 * MINUTE);
  }

  async endorsed(): Promise<{ configuration: string; signature: string }> {
    const signature = await signWithLabel(this.endorser, ENDORSED, this.#configuration);
    return { configuration: toBase64(this.#configuration), signature: toBase64(signature) };
  }

  #versions(account: string): number {
    return (this.entries.at(-1)?.leaves ?? []).filter((leaf) => leaf.account === account).length;
  }

  /** The next version of somebody's keys. */
  add(account: string, value: Bytes, atMs = Date.now() - MINUTE): void {
    const version = this.#versions(account);
    const label = labelOf(account);
    const leaf = { key: searchKey(label, version), commitment: commitmentOf(OPENING as Bytes, label, version, value), version, account, value };
    this.entries.push({ atMs, leaves: [...(this.entries.at(-1)?.leaves ?? []), leaf] });
  }

  /** Time passes, with an entry that says so. */
  wait(atMs: number): void {
    this.entries.push({ atMs, leaves: this.entries.at(-1)!.leaves });
  }

  #leaf(at: number): Bytes {
    const entry = this.entries[at]!;
    return logLeaf(entry.atMs, prefixRoot(entry.leaves));
  }

  #root(size: number, start = 0): Bytes {
    if (size === 1) return this.#leaf(start);
    const half = split(size);
    return logParent(this.#root(half, start), half, this.#root(size - half, start + half), size - half);
  }

  #inclusion(position: number, size: number, start = 0): Bytes[] {
    if (size === 1) return [];
    const half = split(size);
    return position < half
      ? [...this.#inclusion(position, half, start), this.#root(size - half, start + half)]
      : [...this.#inclusion(position - half, size - half, start + half), this.#root(half, start)];
  }

  #consistency(first: number, size: number, start = 0, whole = true): Bytes[] {
    if (first === size) return whole ? [] : [this.#root(size, start)];
    const half = split(size);
    return first <= half
      ? [...this.#consistency(first, half, start, whole), this.#root(size - half, start + half)]
      : [...this.#consistency(first - half, size - half, start + half, false), this.#root(half, start)];
  }

  /** The signed head of a size, which continues the one of size `first`. */
  async head(first: number, size = this.entries.length): Promise<HeadAnswer> {
    const root = this.#root(size);
    const signature = await this.key.sign(headTbs(decodeConfiguration(this.#configuration), size, root));
    const consistency = first > 0 && first <= size ? this.#consistency(first, size) : [];
    return { tree_size: size, root: toBase64(root), signature: toBase64(signature), consistency: consistency.map(toBase64) };
  }

  /** An entry with one account's versions. */
  entry(account: string, position: number, since: number): EntryAnswer {
    const { atMs, leaves } = this.entries[position]!;
    const count = leaves.filter((leaf) => leaf.account === account).length;
    const greatest = count === 0 ? null : count - 1;
    return {
      position, timestamp_ms: atMs, prefix_root: toBase64(prefixRoot(leaves) as Bytes),
      path: this.#inclusion(position, this.entries.length).map(toBase64), greatest,
      lookups: wanted(greatest, since).map((one) => toBase64(search(leaves, searchKey(labelOf(account), one)))),
    };
  }

  /** As the answer about devices carries it. */
  async proof(account: string, first: number): Promise<KeysProofAnswer> {
    const version = this.#versions(account) - 1;
    const newest = this.entry(account, this.entries.length - 1, version);
    return { head: await this.head(first), newest, opening: { version, opening: toBase64(OPENING as Bytes) } };
  }

  /** As the answer about an account's entries carries it, with openings. */
  async watch(account: string, from: { tree_size: number; since: number; version: number }): Promise<WatchAnswer> {
    const [size, asked] = [this.entries.length, new Set<number>()];
    const timestamp = (position: number): number => {
      asked.add(position);
      return this.entries[position]!.atMs;
    };
    distinguished(size, 1440 * MINUTE, this.entries[size - 1]!.atMs, timestamp, from.since, size - 1);
    const since = shownFrom(from.version, this.#versions(account) - 1);
    const openings = this.entries[size - 1]!.leaves.filter((leaf) => leaf.account === account && leaf.version >= from.version)
      .map((leaf) => ({ version: leaf.version, opening: toBase64(OPENING as Bytes), value: toBase64(leaf.value) }));
    return {
      head: await this.head(from.tree_size), newest: this.entry(account, size - 1, since), upto: size - 1,
      checked: [...asked].sort((a, b) => a - b).map((position) => this.entry(account, position, since)), openings,
    };
  }
}

/** The largest power of two smaller than `size`. */
function split(size: number): number {
  let half = 1;
  while (half * 2 < size) half *= 2;
  return half;
}
