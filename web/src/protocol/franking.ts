/**
 * Message franking, the Kith profile: what binds a displayed message to its sender, room, time and place in the room.
 *
 * The sender commits to the exact content with a tag in the MLS AAD; the hub adds a context, a MAC that only it can
 * check, and a signature that everybody can check; a report carries all of it. Layouts are fixed by shared vectors.
 */
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concat, equal, Malformed, Reader, u16, u32, u64, utf8, vector, whole, u8, type Bytes } from './bytes';
import { SALT_SIZE } from './content';
import { signWithLabel, verifyWithLabel, type Signer } from './sign';
import { uriField } from './uris';

/** The only signature suite: Ed25519 (MLS suite 1). */
export const SUITE = 1;
export const TAG_SIZE = 32;
const FRANK_AAD_COMPONENT = 0x0020;
const FRANK_LABEL = vector(utf8('SaferFrank 1.0'));
const CONTENT_LIMIT = 64 * 1024;

export interface FrankingContext {
  senderUri: string;
  roomUri: string;
  /** ms since 1970, by the hub's clock */
  acceptedTimestamp: number;
  senderDevice: string;
  epoch: number;
  roomSeq: number;
  hubKeyId: number;
}

export type FrankProof =
  | { kind: 'single'; signature: Bytes }
  | { kind: 'batch'; leafIndex: number; batchSize: number; path: Bytes[]; signature: Bytes };

/** What the hub adds to a message, and what a report repeats. */
export interface Frank {
  context: FrankingContext;
  serverFrank: Bytes;
  suite: number;
  proof: FrankProof;
}

/** HMAC-SHA256(salt, M). A salt of another length is refused: HMAC pads keys with zeroes. */
export function frankingTag(salt: Uint8Array, content: Uint8Array): Bytes {
  if (salt.length !== SALT_SIZE) throw new Malformed('salt is not 16 bytes');
  return hmac(sha256, salt, content) as Bytes;
}

/** SafeAAD with exactly one item, 36 bytes: 23 | 0020 | 20 | tag. */
export function aadOf(tag: Uint8Array): Bytes {
  if (tag.length !== TAG_SIZE) throw new Malformed('a franking tag has 32 bytes');
  return vector(concat(u16(FRANK_AAD_COMPONENT), vector(tag)));
}

/** The tag inside an AAD; a second component, another component or another length is refused. */
export function tagOf(aad: Uint8Array): Bytes {
  const items = whole(aad, (reader) => reader.vector());
  return whole(items, (reader) => {
    if (reader.uint(2) !== FRANK_AAD_COMPONENT) throw new Malformed('the AAD holds no franking tag');
    const tag = reader.vector();
    if (tag.length !== TAG_SIZE) throw new Malformed('a franking tag has 32 bytes');
    return tag;
  });
}

export function encodeContext(context: FrankingContext): Bytes {
  return concat(
    vector(utf8(context.senderUri)), vector(utf8(context.roomUri)), u64(context.acceptedTimestamp),
    vector(utf8(context.senderDevice)), u64(context.epoch), u64(context.roomSeq), u32(context.hubKeyId),
  );
}

function readContext(reader: Reader): FrankingContext {
  return {
    senderUri: uriField(reader, 'u'),
    roomUri: uriField(reader, 'r'),
    acceptedTimestamp: reader.u64(),
    senderDevice: uriField(reader, 'd'),
    epoch: reader.u64(),
    roomSeq: reader.u64(),
    hubKeyId: reader.uint(4),
  };
}

export function decodeContext(bytes: Uint8Array): FrankingContext {
  return whole(bytes, readContext);
}

/** The hub's MAC. Clients cannot compute it (they have no hub key); it is here for vectors and test hubs. */
export function serverFrank(hubKey: Uint8Array, tag: Uint8Array, context: FrankingContext): Bytes {
  return hmac(sha256, hubKey, concat(FRANK_LABEL, tag, encodeContext(context))) as Bytes;
}

export function integrityTbs(frank: Uint8Array, suite: number, context: FrankingContext): Bytes {
  return concat(frank, u16(suite), encodeContext(context));
}

export const leafHash = (tbs: Uint8Array): Bytes => sha256(concat(u8(0), tbs)) as Bytes;
export const nodeHash = (left: Uint8Array, right: Uint8Array): Bytes => sha256(concat(u8(1), left, right)) as Bytes;

export function batchTbs(batchSize: number, root: Uint8Array): Bytes {
  return concat(u16(SUITE), u32(batchSize), root);
}

/** Largest power of two below `n` (RFC 9162 section 2.1.1); n is at least 2. */
function split(n: number): number {
  let power = 1;
  while (power * 2 < n) power *= 2;
  return power;
}

/**
 * The root that a path proves, or null when the path is not exactly as long as (index, size) implies.
 * Tree shape of RFC 9162 section 2.1.
 */
export function rootFromPath(leaf: Bytes, index: number, size: number, path: readonly Bytes[]): Bytes | null {
  if (index >= size) return null;
  if (size === 1) return path.length === 0 ? leaf : null;
  const sibling = path[path.length - 1];
  if (sibling === undefined) return null;
  const left = split(size);
  const rest = path.slice(0, -1);
  if (index < left) {
    const root = rootFromPath(leaf, index, left, rest);
    return root && nodeHash(root, sibling);
  }
  const root = rootFromPath(leaf, index - left, size - left, rest);
  return root && nodeHash(sibling, root);
}

/** Root and path of one leaf: what a hub does, and what tests need. */
export function merkle(leaves: readonly Bytes[], index: number): { root: Bytes; path: Bytes[] } {
  if (leaves.length === 1) return { root: leaves[0]!, path: [] };
  const at = split(leaves.length);
  const [left, right] = [leaves.slice(0, at), leaves.slice(at)];
  if (index < at) {
    const below = merkle(left, index);
    const sibling = merkle(right, 0).root;
    return { root: nodeHash(below.root, sibling), path: [...below.path, sibling] };
  }
  const below = merkle(right, index - at);
  const sibling = merkle(left, 0).root;
  return { root: nodeHash(sibling, below.root), path: [...below.path, sibling] };
}

/** Whether the holder of the hub's key signed this TBS, alone or as one leaf of a batch. Never throws on bad input. */
export async function verifyProof(hubPublicKey: Uint8Array, tbs: Uint8Array, proof: FrankProof): Promise<boolean> {
  if (proof.kind === 'single') return verifyWithLabel(hubPublicKey, 'FrankingIntegrityTBS', tbs, proof.signature);
  if (proof.batchSize < 2) return false; // a batch of one uses the single kind
  const root = rootFromPath(leafHash(tbs), proof.leafIndex, proof.batchSize, proof.path);
  if (root === null) return false;
  return verifyWithLabel(hubPublicKey, 'FrankingBatchTBS', batchTbs(proof.batchSize, root), proof.signature);
}

/** Whether the hub signed exactly this context and frank. */
export async function verifyFrank(hubPublicKey: Uint8Array, frank: Frank): Promise<boolean> {
  if (frank.suite !== SUITE || frank.serverFrank.length !== 32) return false;
  return verifyProof(hubPublicKey, integrityTbs(frank.serverFrank, frank.suite, frank.context), frank.proof);
}

export async function signSingle(hub: Signer, frank: Uint8Array, context: FrankingContext): Promise<FrankProof> {
  return { kind: 'single', signature: await signWithLabel(hub, 'FrankingIntegrityTBS', integrityTbs(frank, SUITE, context)) };
}

export function encodeProof(proof: FrankProof): Bytes {
  if (proof.kind === 'single') return concat(u8(0), vector(proof.signature));
  return concat(
    u8(1), u32(proof.leafIndex), u32(proof.batchSize), vector(concat(...proof.path)), vector(proof.signature),
  );
}

/** 32 levels: more than any batch of 2^32 - 1 messages has. */
const MAX_PATH_BYTES = 32 * 32;

function readProof(reader: Reader): FrankProof {
  const kind = reader.uint(1);
  if (kind === 0) return { kind: 'single', signature: reader.vector(255) };
  if (kind !== 1) throw new Malformed('unknown kind of proof');
  const leafIndex = reader.uint(4);
  const batchSize = reader.uint(4);
  const path = reader.vector(MAX_PATH_BYTES);
  if (path.length % 32 !== 0) throw new Malformed('a path consists of 32-byte nodes');
  const nodes = Array.from({ length: path.length / 32 }, (_, i) => path.slice(i * 32, i * 32 + 32) as Bytes);
  return { kind: 'batch', leafIndex, batchSize, path: nodes, signature: reader.vector(255) };
}

export function decodeProof(bytes: Uint8Array): FrankProof {
  return whole(bytes, readProof);
}

/** One message in a report: the exact content bytes and everything that proves where and when they were accepted. */
export interface ReportItem extends Frank { content: Bytes }

export function encodeReportItem(item: ReportItem): Bytes {
  return concat(
    vector(item.content), encodeContext(item.context), item.serverFrank, u16(item.suite), encodeProof(item.proof),
  );
}

export function decodeReportItem(bytes: Uint8Array): ReportItem {
  return whole(bytes, (reader) => ({
    content: reader.vector(CONTENT_LIMIT),
    context: readContext(reader),
    serverFrank: reader.fixed(32),
    suite: reader.uint(2),
    proof: readProof(reader),
  }));
}

/** Two honest hubs cannot sign different messages with one room_seq: this is evidence against the hub. */
export function contradicts(a: Frank, b: Frank): boolean {
  return a.context.roomUri === b.context.roomUri && a.context.roomSeq === b.context.roomSeq
    && !equal(integrityTbs(a.serverFrank, a.suite, a.context), integrityTbs(b.serverFrank, b.suite, b.context));
}
