/**
 * Files of waiting messages go up in pieces, one message after another in each chat. What was begun is gone on with: the
 * ciphertext lies on this device and the server says how far it came. Only the tab that holds the stream does this.
 */
import { PIECE, pieceSpan } from '../../protocol/attachments';
import type { Bytes } from '../../protocol/bytes';
import type { Api } from '../api';
import type { Happening } from '../contract';
import { Problem } from '../errors';
import type { Home } from '../home';
import type { OutboxRecord } from '../records';
import { cacheId, type PieceCache } from './cache';
import type { OutboxFile } from './outgoing';
import { Throttle } from './throttle';

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;
/** A limit that ends sooner is waited for; a later one is for the person to know. */
const WAITED_FOR_MS = 2 * 60 * 1000;
const PATCH_TIMEOUT_MS = 120_000;
/** After a piece that took less than this, the next call carries more. */
const QUICK_MS = 700;
const NOT_NOW = new Set(['offline', 'read_only', 'server', 'conflict']);

/** Changes a waiting message under its chat's lock; false: it is not there any more. */
export type Amend = (id: string, change: (record: OutboxRecord) => OutboxRecord) => Promise<boolean>;

/** Ciphertext in the cache. */
interface Local { id: string; size: number }

class TakenBack extends Error {}

/** A message that waited for long must not arrive with files that are about to go. */
const LEFT_MS = 7 * 24 * 3600 * 1000;
const expiresSoon = (file: OutboxFile, now: number): boolean => file.begun !== null && file.begun.expiresMs < now + LEFT_MS;

/** Whether files of a waiting message must go up before it is sealed. */
export const needsUpload = ({ stage, files }: OutboxRecord, now: number): boolean =>
  stage === 'uploading' || (stage === 'plain' && (files ?? []).some((file) => !file.up || expiresSoon(file, now)));

export class Uploads {
  readonly #running = new Map<string, { abort: AbortController; wake: () => void }>();

  constructor(
    private readonly home: Home, private readonly api: Api, private readonly cache: PieceCache,
    private readonly emit: (happening: Happening) => void, private readonly ended: AbortSignal,
  ) {}

  /** Brings the files of a message up, then calls `done`. Asked again while it waits, it tries at once. */
  begin(record: OutboxRecord, amend: Amend, done: () => void): void {
    const running = this.#running.get(record.id);
    if (running) return running.wake();
    if (this.ended.aborted) return;
    const abort = new AbortController();
    this.#running.set(record.id, { abort, wake: () => undefined });
    this.#run(record, amend, AbortSignal.any([abort.signal, this.ended])).then(done, (error: unknown) => {
      if (!this.ended.aborted && !abort.signal.aborted) console.error('upload', error);
    }).finally(() => this.#running.delete(record.id));
  }

  /** The person took the message back. */
  cancel(record: OutboxRecord): void {
    this.#running.get(record.id)?.abort.abort();
    this.#forget(record.files ?? []);
  }

  async #run(record: OutboxRecord, amend: Amend, signal: AbortSignal): Promise<void> {
    for (let wait = FIRST_WAIT_MS; !signal.aborted; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
      try {
        await this.#files(record, amend, signal);
        return;
      } catch (error) {
        if (error instanceof TakenBack) return;
        if (!(error instanceof Problem)) throw error;
        const later = error.more.retry_after_ms;
        const passing = NOT_NOW.has(error.code) || (error.code === 'limited' && later !== undefined && later <= WAITED_FOR_MS);
        if (error.code === 'unauthenticated' || signal.aborted) return;
        if (!passing) return void (await amend(record.id, (now) => ({ ...now, stage: 'failed', failure: error.code, sentence: error.message })));
        await this.#pause(record.id, Math.max(wait, later ?? 0), signal);
      }
    }
  }

  #pause(id: string, ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.home.after(ms, resolve);
      const wake = (): void => {
        cancel();
        resolve();
      };
      const running = this.#running.get(id);
      if (running) running.wake = wake;
      signal.addEventListener('abort', wake, { once: true });
    });
  }

  async #files(record: OutboxRecord, amend: Amend, signal: AbortSignal): Promise<void> {
    for (const index of (record.files ?? []).keys()) await this.#file(record, index, amend, signal);
    const ready = await amend(record.id, (now) => ({ ...now, stage: 'plain' }));
    if (!ready) this.#forget(record.files ?? []);
  }

  async #file(record: OutboxRecord, index: number, amend: Amend, signal: AbortSignal): Promise<void> {
    const change = async (to: Partial<OutboxFile>): Promise<OutboxFile> => {
      const file = (record.files![index] = { ...record.files![index]!, ...to });
      const there = await amend(record.id, (now) => ({ ...now, files: now.files!.map((one, i) => (i === index ? file : one)) }));
      if (there) return file;
      this.#forget(record.files!);
      throw new TakenBack();
    };
    let file = record.files![index]!;
    if (file.up && !expiresSoon(file, this.home.now())) return;
    const begun = file.begun && !expiresSoon(file, this.home.now()) && (await this.reached(file.begun.blob, signal));
    if (begun === null || begun === false) {
      const { blob, expires_ms } = await this.api.beginBlob(file.sent.file.size);
      file = await change({ begun: { blob, expiresMs: expires_ms } });
    }
    const { blob, expiresMs } = file.begun!;
    const told = new Throttle(this.home, (done) => this.emit({ type: 'transfer', room: record.room, id: record.id, part: index, done, total: file.sent.file.size }));
    const { size } = file.sent.file;
    await this.pieces({ id: cacheId(file.sent.file), size }, blob, begun || 0, signal, (done) => told.tell(done));
    told.end();
    await change({ up: true, sent: { ...file.sent, file: { ...file.sent.file, blob, expires: Math.floor(expiresMs / 1000) } } });
  }

  /** How far an upload came; null: the server does not know it any more. */
  async reached(blob: string, signal: AbortSignal): Promise<number | null> {
    try {
      const answer = await this.api.octets('HEAD', `/blobs/${blob}`, {}, null, signal);
      return offsetOf(answer);
    } catch (error) {
      if (error instanceof Problem && error.code === 'not_found') return null;
      throw error;
    }
  }

  /** Brings the ciphertext that lies here under `id` up, from an offset on. */
  async pieces(file: Local, blob: string, from: number, signal: AbortSignal, tell: (done: number) => void): Promise<void> {
    const { size } = file;
    let most = 1;
    for (let offset = from; offset < size;) {
      const octets = await this.#octets(file, offset, most);
      const began = this.home.now();
      const headers = { 'Content-Type': 'application/octet-stream', 'Upload-Offset': String(offset) };
      const patience = AbortSignal.any([signal, AbortSignal.timeout(PATCH_TIMEOUT_MS)]);
      const answer = await this.api.octets('PATCH', `/blobs/${blob}`, headers, octets, patience);
      const next = offsetOf(answer);
      if (next === null || next > size || (answer.ok && next <= offset)) throw new Problem('server', 'The server lost its place in this file.');
      if (!answer.ok && next === offset) throw new Problem('conflict', 'Another device or tab is sending this file.');
      most = this.home.now() - began < QUICK_MS ? Math.min(most * 2, 4) : 1;
      offset = next;
      tell(offset);
    }
  }

  /** The ciphertext from `offset` on, as far as so many pieces reach. */
  async #octets({ id, size }: Local, offset: number, most: number): Promise<Bytes[]> {
    const pieces: Bytes[] = [];
    const first = Math.floor(offset / PIECE);
    for (let index = first; index < first + most && pieceSpan(index, size).from < size; index++) {
      const piece = await this.cache.piece(id, index);
      if (piece === null) throw new Problem('lost', 'This file is not on this device any more. Choose it again.');
      pieces.push(index === first ? (piece.subarray(offset - index * PIECE) as Bytes) : piece);
    }
    return pieces;
  }

  /** What was kept and uploaded for nothing. If the server cannot be told now, it forgets it by itself. */
  #forget(files: readonly OutboxFile[]): void {
    for (const { begun, sent } of files) {
      if (begun) this.api.dropBlob(begun.blob).catch(() => undefined);
      this.cache.drop(cacheId(sent.file)).catch(() => undefined); // if the device was locked meanwhile, the next sweep
    }
  }
}

function offsetOf(answer: Response): number | null {
  const text = answer.headers.get('Upload-Offset') ?? '';
  return /^\d{1,12}$/.test(text) ? Number(text) : null;
}
