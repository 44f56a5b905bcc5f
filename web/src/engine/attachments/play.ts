/**
 * Answers the player's range requests while a film is still coming. The service worker asks over a port of its own for
 * each request; nothing but verified bytes goes out, and only as fast as they are taken.
 */
import { PIECE } from '../../protocol/attachments';
import { lengthOfFile, type Downloads, type Wanted } from './download';
import { isSound, OCTETS, SNIFFED, sniffed } from './kinds';
import type { AttachedFile } from '../../protocol/attachments';
import { Problem } from '../errors';

export const MEDIA_PATH = '/media/';
/** Pieces that are fetched before the player asks for them. */
const AHEAD = 2;

/** What the service worker says on a request's port: first the range, then `more` for each part, or `stop`. */
export type MediaAsk = { range: string | null } | 'more' | 'stop';
/** And what it is told: the head, then parts, then the end; or that there is nothing. */
export type MediaTell = { head: MediaHead } | { part: ArrayBuffer } | 'end' | 'failed';
export interface MediaHead { type: string; length: number; from: number; to: number; partial: boolean }
export interface MediaPort { postMessage(message: MediaTell, transfer?: Transferable[]): void; onmessage: ((event: MessageEvent<MediaAsk>) => void) | null }

/** One file that is being played. */
export class Playing {
  /** Why the last piece that was asked for did not come. */
  why: Problem | null = null;
  readonly #pieces = new Map<number, Promise<Uint8Array<ArrayBuffer>>>();

  constructor(private readonly downloads: Downloads, readonly wanted: Wanted, private readonly attached: AttachedFile) {}

  get length(): number {
    return lengthOfFile(this.wanted);
  }

  async type(): Promise<string> {
    return sniffed((await this.piece(0)).subarray(0, SNIFFED), isSound(this.attached));
  }

  /** The file's bytes in one piece. A few are remembered, because players ask in small steps. */
  piece(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const known = this.#pieces.get(index) ?? this.#fetch(index);
    this.#pieces.delete(index);
    this.#pieces.set(index, known);
    known.then(() => { this.why = null; }, (error: unknown) => {
      this.#pieces.delete(index);
      if (error instanceof Problem) this.why = error;
    });
    for (const old of [...this.#pieces.keys()].slice(0, -(AHEAD + 2))) this.#pieces.delete(old);
    return known;
  }

  async #fetch(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const [opener, piece] = await Promise.all([this.downloads.opener(this.wanted), this.downloads.piece(this.wanted, index)]);
    return opener.open(index, piece);
  }

  ahead(index: number): void {
    for (let next = index + 1; next <= index + AHEAD && next * PIECE < this.length; next++) this.piece(next).catch(() => undefined);
  }
}

/** A range that RFC 9110 section 14.1.2 allows and this file has; null: the answer is 416. */
export function rangeOf(range: string | null, length: number): { from: number; to: number; partial: boolean } | null {
  const asked = /^bytes=(\d*)-(\d*)$/.exec(range ?? '');
  if (!asked || (asked[1] === '' && asked[2] === '')) return { from: 0, to: length, partial: false };
  const [first, last] = asked.slice(1).map((text) => (text === '' ? null : Number(text))) as [number | null, number | null];
  if (first === null) return last === 0 ? null : { from: Math.max(0, length - last!), to: length, partial: true };
  const to = last === null ? length : Math.min(last + 1, length);
  return first < to ? { from: first, to, partial: true } : null;
}

/** Serves one request. */
export function serve(playing: Playing | null, port: MediaPort): void {
  let at = 0;
  let end = 0;
  let turn: Promise<void> = Promise.resolve();
  const fail = (): void => port.postMessage('failed');
  const begin = async (range: string | null): Promise<void> => {
    const type = playing ? await playing.type() : OCTETS;
    const span = playing && rangeOf(range, playing.length);
    if (!span || type === OCTETS) return fail();
    [at, end] = [span.from, span.to];
    port.postMessage({ head: { type, length: playing.length, ...span } });
  };
  const more = async (): Promise<void> => {
    if (at >= end) return port.postMessage('end');
    const index = Math.floor(at / PIECE);
    playing!.ahead(index);
    const part = (await playing!.piece(index)).slice(at - index * PIECE, end - index * PIECE).buffer;
    at += part.byteLength;
    port.postMessage({ part }, [part]);
  };
  port.onmessage = ({ data }) => {
    if (data === 'stop') {
      end = 0;
      port.onmessage = null;
    } else turn = turn.then(() => (data === 'more' ? more() : begin(data.range))).catch(fail);
  };
}
