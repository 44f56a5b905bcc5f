/**
 * Pieces of attachments on this device: ciphertext, exactly as the server has it, so that nothing readable is kept. What
 * opens them is in the sealed records of messages. When there is too much, what was not used for longest goes first.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { concat, toHex, utf8, type Bytes } from '../../protocol/bytes';
import { PIECE } from '../../protocol/attachments';
import { Problem } from '../errors';
import type { Home, Write } from '../home';
import { padded } from '../records';
import type { Vault } from '../vault';
import type { HandIn } from './hand-in';

/** meta/blob/<cache id> */
export interface CachedFile {
  /** SHA-256 of the ciphertext that was committed to; null while it is being made */
  hash: Uint8Array | null;
  size: number;
  /** partial: some pieces are here, or none. gone, broken: see FileState. */
  state: 'partial' | 'whole' | 'gone' | 'broken';
  /** messages, or records of the outbox, that it belongs to; the newest, when somebody sends one file very often */
  owners: string[];
  usedMs: number;
}

const MOST_OWNERS = 32;
/** With one more owner. */
export const owned = (entry: CachedFile, owner: string): CachedFile => ({ ...entry, owners: [...entry.owners, owner].slice(-MOST_OWNERS) });

export interface Sealed { size: number; key: Uint8Array; nonce: Uint8Array }

/** Bytes that attachments may take on this device. */
const BUDGET = 512 * 1024 * 1024;
const PREFIX = 'blob/';
/** meta/hand-in/<report>: files that a report still waits for, perhaps the only copies there are. */
export const HAND_IN = 'hand-in/';
/** Being used is noted so often, not at every look. */
const NOTED_MS = 3600 * 1000;

/** Where a file's pieces lie: says nothing to who does not know its key. */
export function cacheId({ key, nonce }: Pick<Sealed, 'key' | 'nonce'>): string {
  return toHex(sha256(concat(utf8('kith attachment'), key, nonce)).subarray(0, 16) as Bytes);
}

const pieceKey = (id: string, index: number): string => `${id}/${padded(index)}`;

export class PieceCache {
  /** What is taken, as far as this tab knows; null until it was counted. */
  #taken: number | null = null;

  constructor(private readonly home: Home, private readonly vault: Vault, private readonly budget = BUDGET) {}

  get(id: string): Promise<CachedFile | null> {
    return this.vault.get<CachedFile>('meta', PREFIX + id);
  }

  async put(id: string, entry: CachedFile): Promise<void> {
    await this.vault.save('meta', PREFIX + id, entry);
  }

  async all(): Promise<{ id: string; entry: CachedFile }[]> {
    const found = await this.vault.range<CachedFile>('meta', { prefix: PREFIX });
    return found.map(({ key, value }) => ({ id: key.slice(PREFIX.length), entry: value }));
  }

  async used(id: string, entry: CachedFile): Promise<void> {
    const usedMs = this.home.now();
    if (usedMs - entry.usedMs > NOTED_MS) await this.put(id, { ...entry, usedMs });
  }

  piece(id: string, index: number): Promise<Bytes | null> {
    return this.home.backend.get('blobs', pieceKey(id, index));
  }

  /** Indexes of the pieces that are here. */
  async present(id: string): Promise<Set<number>> {
    return new Set((await this.home.backend.keys('blobs', { prefix: `${id}/` })).map((key) => Number(key.split('/')[1])));
  }

  /** Keeps a piece; makes room when the device has none left. */
  async keep(id: string, index: number, piece: Bytes): Promise<void> {
    const write: Write = { store: 'blobs', key: pieceKey(id, index), value: piece };
    try {
      await this.home.backend.write([write]);
    } catch (error) {
      if (!isFull(error)) throw error;
      await this.#evict(4 * PIECE, id);
      await this.home.backend.write([write]).catch((again: unknown) => {
        throw isFull(again) ? full() : again;
      });
    }
  }

  /** Before `size` more bytes come: what was not used for longest makes place for them. */
  async makeRoom(size: number, id: string): Promise<void> {
    this.#taken ??= (await this.all()).reduce((sum, { entry }) => sum + entry.size, 0);
    this.#taken += size;
    if (this.#taken > this.budget) await this.#evict(this.#taken - this.budget, id);
  }

  async #evict(bytes: number, except: string): Promise<void> {
    const waiting = new Set((await this.home.backend.keys('outbox', { prefix: '' })).map((key) => key.split('-').at(-1)));
    const reports = await this.vault.range<HandIn>('meta', { prefix: HAND_IN });
    const owed = new Set(reports.flatMap(({ value }) => value.owed.map(({ cache }) => cache)));
    const files = (await this.all()).filter(({ id, entry }) => id !== except && !owed.has(id) && !entry.owners.some((owner) => waiting.has(owner)));
    let freed = 0;
    for (const { id, entry } of files.sort((a, b) => a.entry.usedMs - b.entry.usedMs)) {
      if (freed >= bytes) break;
      await this.drop(id);
      freed += entry.size;
    }
    this.#taken = null;
  }

  async drop(id: string): Promise<void> {
    await this.dropPieces(id);
    await this.vault.write(this.vault.remove('meta', PREFIX + id));
    this.#taken = null;
  }

  async dropPieces(id: string): Promise<void> {
    const keys = await this.home.backend.keys('blobs', { prefix: `${id}/` });
    await this.home.backend.write(keys.map((key) => ({ store: 'blobs', key, value: null })));
  }

  /** Drops what belongs to nothing any more, and pieces of which nobody knows what they are. */
  async sweep(lives: (owner: string, entry: CachedFile) => Promise<boolean>): Promise<void> {
    const known = await this.all();
    for (const { id, entry } of known) {
      const alive = await Promise.all(entry.owners.map((owner) => lives(owner, entry)));
      if (!alive.includes(true)) await this.drop(id);
    }
    const ids = new Set(known.map(({ id }) => id));
    const lost = (await this.home.backend.keys('blobs', { prefix: '' })).filter((key) => !ids.has(key.split('/')[0]!));
    await this.home.backend.write(lost.map((key) => ({ store: 'blobs', key, value: null })));
  }
}

const isFull = (error: unknown): boolean => error instanceof DOMException && error.name === 'QuotaExceededError';
export const full = (): Problem => new Problem('storage', 'There is no room left on this device. Delete something, then try again.');
