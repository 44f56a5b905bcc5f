/**
 * Files of messages come down in pieces and are verified before anything of them is used: a piece by its committed hash,
 * or all of it by size, SHA-256 and GCM tag.
 */
import { Opener, PIECE, pieceMatches, piecesOf, pieceSpan, Verifier, type ExternalFile, type MediaFacts } from '../../protocol/attachments';
import type { Bytes } from '../../protocol/bytes';
import type { Api } from '../api';
import { offline, Problem } from '../errors';
import type { Home } from '../home';
import { cacheId, owned, type CachedFile, type PieceCache } from './cache';

/** A server that says nothing for so long has gone. */
const SILENCE_MS = 30_000;
const ATTEMPTS = 3;
const AGAIN_MS = 1_000;

/** One file of a message, and whose it is. */
export interface Wanted { file: ExternalFile; media: MediaFacts | null; owner: string }

export const gone = (): Problem => new Problem('gone', 'This file is no longer on the server. Files are kept there for 30 days.');
export const broken = (): Problem => new Problem('broken', 'This file is not what was sent, so it is not shown.');

/** What came cannot be the committed ciphertext. */
class Mismatch extends Error {}

export class Downloads {
  readonly #running = new Map<string, Promise<void>>();

  constructor(private readonly home: Home, private readonly api: Api, private readonly cache: PieceCache, private readonly ended: AbortSignal) {}

  /** The entry of a file: what is known of the very ciphertext that this message committed to. */
  async known({ file }: Pick<Wanted, 'file'>): Promise<CachedFile | null> {
    const entry = await this.cache.get(cacheId(file));
    return entry && sameFile(entry, file) ? entry : null;
  }

  /** All of it, here and verified. Throws `gone` and `broken`, and remembers them. */
  async whole(wanted: Wanted, tell: (done: number) => void): Promise<void> {
    const id = cacheId(wanted.file);
    const running = this.#running.get(id) ?? this.home.locked(`kith:blob:${id}`, () => this.#whole(wanted, tell));
    this.#running.set(id, running);
    try {
      await running;
    } finally {
      this.#running.delete(id);
    }
  }

  async #whole(wanted: Wanted, tell: (done: number) => void): Promise<void> {
    const id = cacheId(wanted.file);
    const entry = await this.#entry(wanted);
    if (entry.state === 'whole') return this.cache.used(id, entry);
    if (entry.state === 'broken') throw broken();
    const before = await this.cache.present(id);
    try {
      await this.#verified(wanted, before, tell);
    } catch (error) {
      if (!(error instanceof Mismatch)) throw error;
      await this.cache.dropPieces(id);
      // Pieces that were here may have suffered here: the server's word decides.
      if (before.size > 0) return this.#whole(wanted, tell);
      await this.cache.put(id, { ...entry, state: 'broken' });
      throw broken();
    }
    await this.cache.put(id, { ...entry, state: 'whole', usedMs: this.home.now() });
  }

  /** The entry of a file, made if there is none. What another message left under the same key is not of this one. */
  async #entry({ file, owner }: Wanted): Promise<CachedFile> {
    const id = cacheId(file);
    const there = await this.cache.get(id);
    if (there && sameFile(there, file)) {
      if (there.owners.includes(owner)) return there;
      const shared = owned(there, owner);
      await this.cache.put(id, shared);
      return shared;
    }
    // A key serves one file. Somebody who uses another one's again must not make this device drop what it verified.
    if (there?.state === 'whole') throw broken();
    if (there) await this.cache.drop(id);
    const fresh: CachedFile = { hash: file.hash, size: file.size, state: 'partial', owners: [owner], usedMs: this.home.now() };
    await this.cache.makeRoom(file.size, id);
    await this.cache.put(id, fresh);
    return fresh;
  }

  async #verified({ file, media }: Wanted, present: Set<number>, tell: (done: number) => void): Promise<void> {
    const id = cacheId(file);
    const verifier = await Verifier.create(file);
    const stream = new Pieces((from) => this.#open(file, from), file.size);
    let written: Promise<void> = Promise.resolve();
    try {
      for (let index = 0; index < piecesOf(file.size); index++) {
        const kept = present.has(index) ? await this.cache.piece(id, index) : null;
        const piece = kept ?? (await this.#again(() => stream.at(index)));
        if (media?.chunks && !(await pieceMatches(media.chunks, index, piece))) throw new Mismatch();
        await verifier.update(piece);
        await written; // one piece is written while the next comes
        if (kept === null) written = this.cache.keep(id, index, piece);
        written.catch(() => undefined); // seen at the next await
        tell(pieceSpan(index, file.size).to);
      }
      await written;
    } catch (error) {
      if (error instanceof Problem && error.code === 'not_found') await this.#markGone(file);
      throw error instanceof Problem && error.code === 'not_found' ? gone() : error;
    } finally {
      stream.close();
    }
    if (!verifier.genuine()) throw new Mismatch();
  }

  async #markGone(file: ExternalFile): Promise<void> {
    const id = cacheId(file);
    const entry = await this.cache.get(id);
    if (entry) await this.cache.put(id, { ...entry, state: 'gone' });
  }

  /** A connection that broke is tried again from where it broke, a few times. */
  async #again(read: () => Promise<Bytes>): Promise<Bytes> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await read();
      } catch (error) {
        if (!(error instanceof Problem && error.code === 'offline') || attempt >= ATTEMPTS || this.ended.aborted) throw error;
        await new Promise<void>((resolve) => this.home.after(AGAIN_MS * attempt, resolve));
      }
    }
  }

  async #open(file: ExternalFile, from: number, to = file.size): Promise<{ reader: Reading; abort: AbortController }> {
    const abort = new AbortController();
    const signal = AbortSignal.any([abort.signal, this.ended]);
    const silence = this.home.after(SILENCE_MS, () => abort.abort());
    const answer = await this.api.octets('GET', `/blobs/${file.blob}`, { Range: `bytes=${from}-${to - 1}` }, null, signal).finally(silence);
    // A blob of another length is not the committed one, whatever is in it.
    if (answer.status === 416 || answer.body === null || lengthOf(answer) !== file.size) throw new Mismatch();
    if (answer.status === 200 && from > 0) throw new Problem('server', 'The server cannot go on with this file.');
    return { reader: answer.body.getReader(), abort };
  }

  /** One piece, verified by its committed hash (or because all of it was), from here or from the server. */
  async piece(wanted: Wanted, index: number): Promise<Bytes> {
    const { file, media } = wanted;
    const id = cacheId(file);
    const entry = await this.#entry(wanted);
    if (entry.state === 'broken') throw broken();
    const kept = await this.cache.piece(id, index);
    if (kept && (entry.state === 'whole' || (media?.chunks && (await pieceMatches(media.chunks, index, kept))))) return kept;
    if (!media?.chunks) {
      // It was here as a whole, and the browser lost some of it.
      if (entry.state === 'whole') await this.cache.put(id, { ...entry, state: 'partial' });
      await this.whole(wanted, () => undefined);
      return (await this.cache.piece(id, index)) ?? this.piece(wanted, index);
    }
    const { to } = pieceSpan(index, file.size);
    const stream = new Pieces((at) => this.#open(file, at, to), to);
    try {
      const piece = await this.#again(() => stream.at(index));
      if (!(await pieceMatches(media.chunks, index, piece))) throw broken();
      await this.cache.keep(id, index, piece);
      return piece;
    } catch (error) {
      if (error instanceof Mismatch) throw broken();
      if (!(error instanceof Problem && error.code === 'not_found')) throw error;
      await this.#markGone(file);
      throw gone();
    } finally {
      stream.close();
    }
  }

  /** Another message has this file as well. */
  async own(wanted: Wanted): Promise<void> {
    await this.#entry(wanted);
  }

  /** The file's own bytes in a verified piece. */
  async opener({ file, media }: Wanted): Promise<Opener> {
    return Opener.create(file, lengthOfFile({ file, media }));
  }
}

/** Bytes of the file itself; without believable facts, everything but the tag. */
export const lengthOfFile = ({ file, media }: Pick<Wanted, 'file' | 'media'>): number => media?.length ?? file.size - 16;

function sameFile(entry: CachedFile, file: ExternalFile): boolean {
  return entry.size === file.size && entry.hash !== null && entry.hash.every((byte, i) => byte === file.hash[i]);
}

/** How long the whole blob is, as the answer says. */
function lengthOf(answer: Response): number | null {
  const text = answer.status === 206 ? /^bytes \d+-\d+\/(\d+)$/.exec(answer.headers.get('Content-Range') ?? '')?.[1] : answer.headers.get('Content-Length');
  return text && /^\d{1,12}$/.test(text) ? Number(text) : null;
}

type Reading = ReadableStreamDefaultReader<Uint8Array>;

/** Cuts the octets of answers into pieces; opens another one where the wanted piece is not what comes next. */
class Pieces {
  #open: { reader: Reading; abort: AbortController } | null = null;
  #at = 0;
  #rest: Uint8Array = new Uint8Array();

  constructor(private readonly open: (from: number) => Promise<{ reader: Reading; abort: AbortController }>, private readonly end: number) {}

  async at(index: number): Promise<Bytes> {
    const [from, to] = [index * PIECE, Math.min((index + 1) * PIECE, this.end)];
    if (this.#open && this.#at !== from) this.close();
    if (!this.#open) {
      this.#open = await this.open(from);
      this.#at = from;
      this.#rest = new Uint8Array();
    }
    const piece = new Uint8Array(to - from);
    for (let filled = 0; filled < piece.length;) {
      if (this.#rest.length === 0) this.#rest = await this.#more();
      const part = this.#rest.subarray(0, piece.length - filled);
      piece.set(part, filled);
      filled += part.length;
      this.#rest = this.#rest.subarray(part.length);
    }
    this.#at = to;
    return piece;
  }

  async #more(): Promise<Uint8Array> {
    const { reader, abort } = this.#open!;
    const silence = setTimeout(() => abort.abort(), SILENCE_MS);
    try {
      const { done, value } = await reader.read();
      if (!done) return value;
    } catch {
      // Broken off; below, as when it ended too early.
    } finally {
      clearTimeout(silence);
    }
    this.close();
    throw offline();
  }

  close(): void {
    this.#open?.abort.abort();
    this.#open = null;
  }
}
