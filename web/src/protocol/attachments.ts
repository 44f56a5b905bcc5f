/**
 * Attachments: how a file becomes ciphertext in pieces and comes back, and what a message says about it.
 *
 * A piece is 1 MiB of ciphertext, the last one shorter. The file is padded with zeros so that the ciphertext's length is a
 * Padmé bucket (Nikitin et al., PETS 2019); its real length is in the media facts, which only the chat can read.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { concat, equal, Malformed, type Bytes } from './bytes';
import { bareType, disposition, senderOf, textOf, type Content, type Part } from './content';
import { parseUri } from './uris';
import { Counter, KEY_SIZE, NONCE_SIZE, Tag, TAG_SIZE } from './gcm';

export const PIECE = 1024 * 1024;
/** Longest ciphertext in bytes. */
export const MOST_SEALED = 64 * 1024 * 1024;
export const MOST_CHUNKS = 64;
export const EXT_MEDIA = -4;
export const MOST_PARTS = 10;
export const MOST_POSTER = 12 * 1024;
const AES_256_GCM = 2;
const SHA_256 = 1;
const HASH_SIZE = 32;

/** The next length that says little about the real one: at most 12 % more, with log log bits of precision. */
export function padme(length: number): number {
  if (length < 2) return length;
  const exponent = Math.floor(Math.log2(length));
  const free = 2 ** (exponent - (Math.floor(Math.log2(exponent || 1)) + 1));
  return free <= 1 ? length : Math.ceil(length / free) * free;
}

/** Bytes of ciphertext that a file of this length becomes. */
export const sealedSize = (length: number): number => padme(length + TAG_SIZE);
export const piecesOf = (size: number): number => Math.ceil(size / PIECE);
/** Where a piece lies in the ciphertext. */
export const pieceSpan = (index: number, size: number): { from: number; to: number } => ({
  from: index * PIECE, to: Math.min((index + 1) * PIECE, size),
});

// ---- sealing and opening --------------------------------------------------------------------------------------------

/** Encrypts a file piece by piece, in order. */
export class Sealer {
  readonly size: number;
  readonly #hash = sha256.create();
  readonly #chunks: Bytes[] = [];

  private constructor(private readonly counter: Counter, private readonly tag: Tag, readonly length: number) {
    this.size = sealedSize(length);
  }

  static async create(key: Uint8Array, nonce: Uint8Array, length: number): Promise<Sealer> {
    return new Sealer(await Counter.create(key, nonce), await Tag.create(key, nonce), length);
  }

  get pieces(): number {
    return piecesOf(this.size);
  }

  /** Which bytes of the file the next piece holds. */
  get wanted(): { from: number; to: number } {
    const { from, to } = pieceSpan(this.#chunks.length, this.size);
    return { from: Math.min(from, this.length), to: Math.min(to, this.length) };
  }

  /** The next piece of ciphertext, made of exactly the wanted bytes. */
  async next(plain: Uint8Array): Promise<Bytes> {
    const wanted = this.wanted;
    if (plain.length !== wanted.to - wanted.from) throw new RangeError('not the wanted bytes of the file');
    const { from, to } = pieceSpan(this.#chunks.length, this.size);
    const body = await this.counter.apply(padded(plain, bodyIn(from, to, this.size)), from);
    await this.tag.update(body);
    const piece = to === this.size ? concat(body, this.tag.digest().slice(body.length - (to - from))) : body;
    this.#hash.update(piece);
    this.#chunks.push(await digest(piece));
    return piece;
  }

  /** SHA-256 of all of it and of each piece. */
  sums(): { hash: Bytes; chunks: Bytes[] } {
    return { hash: this.#hash.digest() as Bytes, chunks: this.#chunks };
  }
}

function padded(plain: Uint8Array, length: number): Uint8Array {
  if (plain.length === length) return plain;
  const whole = new Uint8Array(length);
  whole.set(plain);
  return whole;
}

/** How many bytes between two places of the ciphertext are not the tag. */
const bodyIn = (from: number, to: number, size: number): number => Math.max(0, Math.min(to, size - TAG_SIZE) - from);

async function digest(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
}

/** Whether the whole ciphertext, piece by piece and in order, is the one that was committed to: size, SHA-256 and tag. */
export class Verifier {
  readonly #hash = sha256.create();
  #length = 0;
  #tail: Bytes = new Uint8Array();

  private constructor(private readonly file: ExternalFile, private readonly tag: Tag) {}

  static async create(file: ExternalFile): Promise<Verifier> {
    return new Verifier(file, await Tag.create(file.key, file.nonce));
  }

  async update(piece: Bytes): Promise<void> {
    const from = this.#length;
    this.#length += piece.length;
    this.#hash.update(piece);
    const body = bodyIn(from, Math.min(this.#length, this.file.size), this.file.size);
    await this.tag.update(piece.subarray(0, body));
    this.#tail = concat(this.#tail, piece.subarray(body));
  }

  genuine(): boolean {
    return this.#length === this.file.size && equal(this.#hash.digest(), this.file.hash) && this.tag.matches(this.#tail);
  }
}

/** Turns pieces into bytes of the file. They are used only when the piece, or all of it, was verified. */
export class Opener {
  private constructor(private readonly file: ExternalFile, private readonly length: number, private readonly counter: Counter) {}

  static async create(file: ExternalFile, length: number): Promise<Opener> {
    return new Opener(file, length, await Counter.create(file.key, file.nonce));
  }

  /** The file's bytes in a piece, without padding and tag. */
  async open(index: number, piece: Bytes): Promise<Bytes> {
    const { from, to } = pieceSpan(index, this.file.size);
    const plain = await this.counter.apply(piece.subarray(0, bodyIn(from, to, this.file.size)), from);
    return plain.subarray(0, Math.max(0, this.length - from)) as Bytes;
  }
}

/** Whether a piece is the committed one: then it may be used before the rest is here. */
export async function pieceMatches(chunks: readonly Uint8Array[], index: number, piece: Bytes): Promise<boolean> {
  const committed = chunks[index];
  return committed !== undefined && equal(await digest(piece), committed);
}

// ---- what a message says about its files ----------------------------------------------------------------------------

/** Where a file's ciphertext is and what opens it: an ExternalPart that is as Kith makes them. */
export interface ExternalFile {
  blob: string;
  expires: number;
  /** bytes of ciphertext */
  size: number;
  key: Uint8Array;
  nonce: Uint8Array;
  /** SHA-256 of the ciphertext */
  hash: Uint8Array;
}

/** One entry of the media extension. */
export interface MediaFacts {
  length: number;
  width: number | null;
  height: number | null;
  thumbhash: Uint8Array | null;
  durationMs: number | null;
  waveform: Uint8Array | null;
  chunks: Uint8Array[] | null;
  voice: boolean;
}

export interface Poster { type: string; bytes: Uint8Array }

/** A file of a message; `file` is null when the part is not one that Kith can fetch and open. */
export interface AttachedFile {
  /** index of the part: depth-first, containers counted */
  part: number;
  contentType: string;
  inline: boolean;
  name: string;
  description: string;
  file: ExternalFile | null;
  media: MediaFacts | null;
  poster: Poster | null;
}

const BLOB_URI = /^mimi:\/\/([a-z0-9.-]{1,253})\/b\/([A-Za-z0-9_-]{22})$/;
export const blobUri = (server: string, blob: string): string => `mimi://${server}/b/${blob}`;

type External = Extract<Part, { kind: 'external' }>;

/** The external part as a file of this server, or null: another cipher, hash, place or an impossible size. */
export function externalFile(part: External, server: string): ExternalFile | null {
  const place = BLOB_URI.exec(part.url);
  const usual = part.encAlg === AES_256_GCM && part.hashAlg === SHA_256 && part.aad.length === 0 && part.key.length === KEY_SIZE
    && part.nonce.length === NONCE_SIZE && part.contentHash.length === HASH_SIZE;
  if (!usual || place?.[1] !== server || part.size < TAG_SIZE || part.size > MOST_SEALED) return null;
  return {
    blob: place[2]!, expires: part.expires, size: Number(part.size), key: part.key, nonce: part.nonce, hash: part.contentHash,
  };
}

const LENGTH = 1, WIDTH = 2, HEIGHT = 3, THUMBHASH = 4, DURATION = 5, WAVEFORM = 6, CHUNKS = 7, VOICE = 8;
const LONGEST_SIDE = 65_535;
const LONGEST_MS = 24 * 3600 * 1000;
export const MOST_THUMBHASH = 32;
export const MOST_WAVEFORM = 64;

/** The media facts of each external part; null for one whose facts are missing or not believable. */
export function readMedia(value: unknown, sizes: readonly number[]): (MediaFacts | null)[] {
  const entries: unknown[] = Array.isArray(value) && value.length === sizes.length ? value : [];
  return sizes.map((size, i) => {
    try {
      return readFacts(entries[i], size);
    } catch (error) {
      if (error instanceof Malformed) return null;
      throw error;
    }
  });
}

function readFacts(value: unknown, size: number): MediaFacts {
  if (!(value instanceof Map)) throw new Malformed('media facts are not a map');
  const facts = value as Map<unknown, unknown>;
  const length = number(facts.get(LENGTH), size - TAG_SIZE);
  if (length === null) throw new Malformed('media facts without a length');
  const voice = facts.get(VOICE) ?? false;
  if (typeof voice !== 'boolean') throw new Malformed('a media fact is malformed');
  return {
    length, width: side(facts.get(WIDTH)), height: side(facts.get(HEIGHT)), thumbhash: bytes(facts.get(THUMBHASH), MOST_THUMBHASH),
    durationMs: number(facts.get(DURATION), LONGEST_MS), waveform: bytes(facts.get(WAVEFORM), MOST_WAVEFORM),
    chunks: chunkHashes(facts.get(CHUNKS), size), voice,
  };
}

function number(value: unknown, most: number): number | null {
  if (value === undefined) return null;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > most) throw new Malformed('a media fact is out of range');
  return value;
}

function side(value: unknown): number | null {
  const pixels = number(value, LONGEST_SIDE);
  if (pixels === 0) throw new Malformed('a picture without pixels');
  return pixels;
}

function bytes(value: unknown, most: number): Uint8Array | null {
  if (value === undefined) return null;
  if (!(value instanceof Uint8Array) || value.length === 0 || value.length > most) throw new Malformed('a media fact is malformed');
  return value;
}

function chunkHashes(value: unknown, size: number): Uint8Array[] | null {
  const all = bytes(value, MOST_CHUNKS * HASH_SIZE);
  if (all === null) return null;
  if (all.length !== piecesOf(size) * HASH_SIZE) throw new Malformed('not one hash for each piece');
  return Array.from({ length: piecesOf(size) }, (_, i) => all.subarray(i * HASH_SIZE, (i + 1) * HASH_SIZE));
}

/** The value of the media extension. */
export function mediaValue(files: readonly MediaFacts[]): Map<number, unknown>[] {
  return files.map((facts) => {
    const entries: [number, unknown][] = [
      [LENGTH, facts.length], [WIDTH, facts.width], [HEIGHT, facts.height], [THUMBHASH, facts.thumbhash], [DURATION, facts.durationMs],
      [WAVEFORM, facts.waveform], [CHUNKS, facts.chunks && concat(...facts.chunks)], [VOICE, facts.voice || null],
    ];
    return new Map(entries.filter(([, value]) => value !== null));
  });
}

// ---- whole messages -------------------------------------------------------------------------------------------------

/** What can be shown of a message. */
export interface Shown { text: string | null; files: AttachedFile[] }

interface Found { texts: string[]; files: AttachedFile[]; unknown: number }

/** The words and the files of a message; both empty when nothing of it is known. Files are of the sender's own server. */
export function shownOf(content: Content): Shown {
  const { server } = parseUri(senderOf(content), 'u');
  const externals: { index: number; size: number }[] = [];
  let count = 0;
  const walk = (part: Part): Found => {
    const index = count++;
    if (part.kind === 'external') {
      externals.push({ index, size: Number(part.size) });
      return { texts: [], files: [attached(part, index, server)], unknown: 0 };
    }
    if (part.kind === 'multi') return joined(part.semantics, walkAll(part.parts, walk));
    const text = textOf(part);
    return text === null ? { texts: [], files: [], unknown: 1 } : { texts: [text], files: [], unknown: 0 };
  };
  const { texts, files } = walk(content.part);
  // There are facts for every external part of the message, shown or not.
  const media = readMedia(content.extensions.get(EXT_MEDIA), externals.map(({ size }) => size));
  const factsOf = (part: number): MediaFacts | null => media[externals.findIndex(({ index }) => index === part)] ?? null;
  return {
    text: texts.length === 0 ? null : texts.join('\n'),
    files: files.slice(0, MOST_PARTS).map((one) => ({ ...one, media: one.file && factsOf(one.part) })),
  };
}

/** The parts of a container; a preview belongs to the file before it. */
function walkAll(parts: readonly Part[], walk: (part: Part) => Found): Found[] {
  const found: Found[] = [];
  for (const [i, part] of parts.entries()) {
    const before = parts[i - 1];
    const poster = before?.kind === 'external' ? posterOf(part) : null;
    const one = walk(part);
    if (poster === null) found.push(one);
    else found.at(-1)!.files[0]!.poster = poster;
  }
  return found;
}

function posterOf(part: Part): Poster | null {
  const fits = part.kind === 'single' && part.disposition === disposition('preview') && part.content.length <= MOST_POSTER;
  const type = fits ? mediaType(part.contentType) : '';
  return fits && ['image/webp', 'image/jpeg'].includes(type) ? { type, bytes: part.content } : null;
}

/** `singleUnit` is all or nothing; of `chooseOne`, the first that is known. */
function joined(how: 'chooseOne' | 'singleUnit' | 'processAll', all: Found[]): Found {
  const nothing: Found = { texts: [], files: [], unknown: 1 };
  if (how === 'chooseOne') return all.find(({ texts, files }) => texts.length + files.length > 0) ?? nothing;
  const unknown = all.reduce((sum, one) => sum + one.unknown, 0);
  if (how === 'singleUnit' && (unknown > 0 || all.some(({ files }) => files.some(({ file }) => file === null)))) return nothing;
  return { texts: all.flatMap(({ texts }) => texts), files: all.flatMap(({ files }) => files), unknown };
}

function attached(part: External, index: number, server: string): AttachedFile {
  return {
    part: index, contentType: mediaType(part.contentType), inline: part.disposition === disposition('inline'),
    name: part.filename, description: part.description, file: externalFile(part, server), media: null, poster: null,
  };
}

/** A media type without parameters; what is not one is unknown bytes. */
export function mediaType(text: string): string {
  const type = bareType(text);
  return /^[a-z0-9!#$&^_.+-]{1,64}\/[a-z0-9!#$&^_.+-]{1,64}$/.test(type) ? type : 'application/octet-stream';
}

/** A file that is up, as a message carries it. */
export interface Sent {
  file: ExternalFile;
  contentType: string;
  inline: boolean;
  name: string;
  description: string;
  media: MediaFacts;
  poster: Poster | null;
}

/** Puts the files of a message beside its words (a lone file without words stands alone). */
export function withFiles(content: Content, text: string, files: readonly Sent[]): Content {
  const { server } = parseUri(senderOf(content), 'u');
  const parts: Part[] = [...(text === '' ? [] : [content.part]), ...files.flatMap((one) => partsOf(one, server))];
  const extensions = new Map(content.extensions);
  extensions.set(EXT_MEDIA, mediaValue(files.map(({ media }) => media)));
  const part: Part = parts.length === 1
    ? parts[0]! : { disposition: disposition('render'), language: '', kind: 'multi', semantics: 'processAll', parts };
  return { ...content, extensions, part };
}

function partsOf({ file, contentType, inline, name, description, media, poster }: Sent, server: string): Part[] {
  const external: External = {
    disposition: disposition(inline ? 'inline' : 'attachment'), language: '', kind: 'external', contentType,
    url: blobUri(server, file.blob), expires: file.expires, size: BigInt(file.size), encAlg: AES_256_GCM, key: file.key, nonce: file.nonce,
    aad: new Uint8Array(), hashAlg: SHA_256, contentHash: file.hash, description, filename: name,
  };
  if (poster === null || media.voice) return [external];
  return [external, { disposition: disposition('preview'), language: '', kind: 'single', contentType: poster.type, content: poster.bytes }];
}
