/**
 * Attachments of reported messages that the server no longer has. This device hands in the ciphertext that it holds, as an
 * upload like any other: the server compares it with what the message committed to. Nothing is fetched and nothing opened.
 */
import { piecesOf, shownOf } from '../../protocol/attachments';
import { decodeContent } from '../../protocol/content';
import type { Api } from '../api';
import { Problem } from '../errors';
import type { Home } from '../home';
import { isMessageId } from '../compose';
import type { KeptMessage, MessageRecord } from '../records';
import type { Vault } from '../vault';
import { cacheId, HAND_IN, type PieceCache } from './cache';
import type { Uploads } from './upload';

/** One file to be handed in: which part of which message, and where its ciphertext lies. */
interface Owed { message: string; part: number; cache: string; size: number; blob: string | null }
/** meta/hand-in/<report> */
export interface HandIn { sinceMs: number; owed: Owed[] }
/** What the answer to a report names. */
export interface Missing { message_id: string; part: number }

/** Of a report of one's own: what the server lacks of it now. */
export interface Lacking { report: string; missing?: Missing[] }

/** meta/hand-in-refused/<report>: what the server looked at and did not take. It is not brought again. */
const REFUSED = 'hand-in-refused/';
const LOCK = 'kith:hand-in';
const AGAIN_MS = 60_000;
/** What a server does not take for so long, it does not want. */
const GIVEN_UP_MS = 7 * 24 * 3600 * 1000;
/** What may pass, and what ends with this device's session: tried again later. */
const NOT_NOW = new Set(['offline', 'read_only', 'server', 'conflict', 'limited', 'unauthenticated']);

/** Of what the server misses, the files of the messages that were reported: it can ask for no others. */
function owedOf(rows: readonly MessageRecord[], missing: readonly Missing[]): Owed[] {
  const named = new Set(missing.map(({ message_id, part }) => `${message_id}/${part}`));
  return rows.flatMap(({ id, content }) => (content === null ? [] : shownOf(decodeContent(content)).files).flatMap(({ part, file }) =>
    (file && named.has(`${id}/${part}`) ? [{ message: id, part, cache: cacheId(file), size: file.size, blob: null }] : [])));
}

export class HandIns {
  #cancel: (() => void) | null = null;

  constructor(
    private readonly home: Home, private readonly api: Api, private readonly vault: Vault, private readonly cache: PieceCache,
    private readonly uploads: Uploads, private readonly ended: AbortSignal,
  ) {}

  /** Remembers what a report lacks; on disk when this returns. */
  async keep(report: string, rows: readonly MessageRecord[], missing: readonly Missing[]): Promise<void> {
    const owed = owedOf(rows, missing);
    if (owed.length > 0) await this.vault.save('meta', HAND_IN + report, { sinceMs: this.home.now(), owed } satisfies HandIn);
  }

  /**
   * Remembers what the server says that it lost after it was reported. It names messages by ids that nobody can guess, so it
   * learns nothing of those that were not reported to it.
   */
  async asked(reports: readonly Lacking[]): Promise<void> {
    for (const { report, missing = [] } of reports) {
      if (missing.length === 0 || (await this.vault.get<HandIn>('meta', HAND_IN + report)) !== null) continue;
      const refused = new Set(await this.vault.get<string[]>('meta', REFUSED + report));
      const wanted = missing.filter(({ message_id, part }) => !refused.has(`${message_id}/${part}`));
      await this.keep(report, await this.#rows(new Set(wanted.map(({ message_id }) => message_id))), wanted);
    }
  }

  /** These messages, where they are still here or kept because they can be reported. */
  async #rows(ids: ReadonlySet<string>): Promise<MessageRecord[]> {
    const rows = new Map<string, MessageRecord>();
    for (const { value: { message } } of ids.size > 0 ? await this.vault.range<KeptMessage>('reports', { prefix: '' }) : []) {
      if (ids.has(message.id)) rows.set(message.id, message);
    }
    for (const id of ids) {
      const key = isMessageId(id) ? await this.vault.get<string>('meta', `mid/${id}`) : null;
      const row = key === null ? null : await this.vault.get<MessageRecord>('messages', key);
      if (row !== null) rows.set(id, row);
    }
    return [...rows.values()];
  }

  /** Messages whose files are still to be handed in: their pieces stay. */
  async messages(): Promise<string[]> {
    return (await this.#all()).flatMap(({ value }) => value.owed.map(({ message }) => message));
  }

  #all(): Promise<{ key: string; value: HandIn }[]> {
    return this.vault.range<HandIn>('meta', { prefix: HAND_IN });
  }

  /** Hands in what is owed, in one tab at a time. What cannot be done now is tried again, also after the next start. */
  run(): Promise<void> {
    return this.home.locked(LOCK, async () => {
      for (const { key, value } of await this.#all()) await this.#report(key, value);
    }).catch((error: unknown) => {
      if (this.ended.aborted) return;
      if (!(error instanceof Problem && NOT_NOW.has(error.code))) throw error;
      if (error.code !== 'unauthenticated') this.#later(Math.max(AGAIN_MS, error.more.retry_after_ms ?? 0));
    });
  }

  #later(ms: number): void {
    this.#cancel?.();
    this.#cancel = this.home.after(ms, () => {
      if (!this.ended.aborted) this.run().catch((error: unknown) => console.error('hand-in', error));
    });
  }

  async #report(key: string, { sinceMs, owed }: HandIn): Promise<void> {
    const save = async (left: Owed[]): Promise<void> => this.vault.write(
      left.length > 0 ? await this.vault.put('meta', key, { sinceMs, owed: left } satisfies HandIn) : this.vault.remove('meta', key));
    if (this.home.now() - sinceMs > GIVEN_UP_MS) return save([]);
    for (let left = owed; left.length > 0; left = left.slice(1)) {
      const [file, ...rest] = left as [Owed, ...Owed[]];
      await this.#file(key.slice(HAND_IN.length), file, (blob) => save([{ ...file, blob }, ...rest]));
      await save(rest);
    }
  }

  async #refuse(report: string, what: string): Promise<void> {
    const before = await this.vault.get<string[]>('meta', REFUSED + report);
    await this.vault.save('meta', REFUSED + report, [...new Set([...(before ?? []), what])]);
  }

  /** Hands in one file. Returns as well when there is nothing to be done about it: not all of it is here, or it is not wanted. */
  async #file(report: string, { message, part, cache, size, blob: begun }: Owed, begin: (blob: string) => Promise<void>): Promise<void> {
    if ((await this.cache.present(cache)).size !== piecesOf(size)) return;
    let blob = begun;
    try {
      const reached = blob === null ? null : await this.uploads.reached(blob, this.ended);
      if (blob === null || reached === null) {
        ({ blob } = await this.api.beginBlob(size));
        await begin(blob);
      }
      await this.uploads.pieces({ id: cache, size }, blob, reached ?? 0, this.ended, () => undefined);
      await this.api.handIn(report, { message_id: message, part, blob });
    } catch (error) {
      if (!(error instanceof Problem) || NOT_NOW.has(error.code)) throw error;
      if (error.code === 'invalid') await this.#refuse(report, `${message}/${part}`);
      if (blob !== null) this.api.dropBlob(blob).catch(() => undefined); // else the server forgets it by itself
    }
  }
}
