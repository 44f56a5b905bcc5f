/** The files of a session: what screens see of them, and all that can be done with one. */
import { piecesOf, shownOf, type AttachedFile } from '../../protocol/attachments';
import { decodeContent } from '../../protocol/content';
import { toHex } from '../../protocol/bytes';
import type { Api } from '../api';
import { isMessageId, newestContent, storedAt } from '../compose';
import type { FileState, FileView, Happening } from '../contract';
import { Problem } from '../errors';
import type { Home } from '../home';
import type { KeptMessage, MessageRecord, OutboxRecord } from '../records';
import { Unsealable, type Vault } from '../vault';
import { cacheId, PieceCache, type CachedFile } from './cache';
import { Downloads, gone, lengthOfFile, type Wanted } from './download';
import { isSound, kindOf, SNIFFED, sniffed, viewOf } from './kinds';
import { HandIns } from './hand-in';
import { Outgoings, type OutboxFile } from './outgoing';
import { MEDIA_PATH, Playing, serve, type MediaPort } from './play';
import { Throttle } from './throttle';
import { Uploads } from './upload';

/** Photos of chats that come by themselves are at most so long (bytes). */
const MOST_UNASKED = 5 * 1024 * 1024;
const UNASKED_AT_ONCE = 2;
/** So many wait to come by themselves; of more, the oldest come when they are looked at. */
const MOST_UNASKED_WAITING = 50;
/** Addresses that are played at a time; the oldest ends. */
const MOST_PLAYING = 8;

interface Which { room: string; id: string; part: number }
interface Found { attached: AttachedFile; wanted: Wanted }

export class Files {
  readonly cache: PieceCache;
  readonly uploads: Uploads;
  readonly outgoing: Outgoings;
  readonly handIns: HandIns;
  readonly #downloads: Downloads;
  readonly #playing = new Map<string, { playing: Playing; which: Which }>();
  readonly #queue = new Map<string, () => Promise<void>>();
  #working = 0;

  constructor(
    private readonly home: Home, api: Api, private readonly vault: Vault, private readonly emit: (happening: Happening) => void,
    private readonly ended: AbortSignal, budget?: number,
  ) {
    this.cache = new PieceCache(home, vault, budget);
    this.uploads = new Uploads(home, api, this.cache, emit, ended);
    this.outgoing = new Outgoings(home, this.cache);
    this.handIns = new HandIns(home, api, vault, this.cache, this.uploads, ended);
    this.#downloads = new Downloads(home, api, this.cache, ended);
  }

  // ---- what screens see -------------------------------------------------------------------------------------------

  /** The files of a stored message, as its newest version has them. */
  async ofMessage(room: string, row: MessageRecord): Promise<FileView[]> {
    const files = await this.#ofRow(room, row);
    return Promise.all(files.map(async (one) => viewOf(one, await this.#state(one))));
  }

  async #ofRow(room: string, row: MessageRecord): Promise<AttachedFile[]> {
    const content = row.files ? await newestContent(this.vault, room, row) : null;
    return content === null ? [] : shownOf(decodeContent(content)).files;
  }

  ofOutbox(record: OutboxRecord): Promise<FileView[]> {
    return Promise.all(waitingFiles(record).map(async (one) => viewOf(one, await this.#state(one))));
  }

  async #state({ file }: AttachedFile): Promise<FileState> {
    if (file === null) return 'broken';
    const entry = await this.#downloads.known({ file });
    if (entry && entry.state !== 'partial') return entry.state === 'whole' ? 'here' : entry.state;
    return file.expires > 0 && file.expires * 1000 < this.home.now() ? 'gone' : 'remote';
  }

  // ---- fetching ---------------------------------------------------------------------------------------------------

  /** A message of somebody known came in: its small photos are fetched before anybody looks. */
  async arrived(room: string, row: MessageRecord): Promise<void> {
    if (!row.mine) this.#fetchUnasked(room, row.id, await this.ofMessage(room, row));
  }

  #fetchUnasked(room: string, id: string, views: FileView[]): void {
    for (const { part, kind, size, state } of views) {
      const which = `${id}/${part}`;
      if (kind !== 'photo' || state !== 'remote' || size > MOST_UNASKED) continue;
      this.#queue.set(which, () => this.#here(room, id, part).then(() => undefined));
    }
    for (const oldest of [...this.#queue.keys()].slice(0, -MOST_UNASKED_WAITING)) this.#queue.delete(oldest);
    this.#work();
  }

  #work(): void {
    for (const [which, fetch] of this.#queue) {
      if (this.#working >= UNASKED_AT_ONCE) return;
      this.#queue.delete(which);
      this.#working++;
      fetch().catch((error: unknown) => {
        if (!(error instanceof Problem || error instanceof Unsealable)) console.error('file', error);
      }).finally(() => {
        this.#working--;
        this.#work();
      });
    }
  }

  async #find(room: string, id: string, part: number): Promise<Found> {
    const attached = (await this.#attached(room, id)).find((one) => one.part === part);
    if (!attached) throw new Problem('not_found', 'There is no such file.');
    if (attached.file === null) throw new Problem('broken', 'This file cannot be opened by Kith.');
    return { attached, wanted: { file: attached.file, media: attached.media, owner: id } };
  }

  async #attached(room: string, id: string): Promise<AttachedFile[]> {
    if (!isMessageId(id)) {
      const waiting = await this.vault.range<OutboxRecord>('outbox', { prefix: `${room}/` });
      return waiting.filter(({ value }) => value.id === id).flatMap(({ value }) => waitingFiles(value));
    }
    const row = (await storedAt(this.vault, room, id))?.row;
    return row ? this.#ofRow(room, row) : [];
  }

  /** One file, here and verified. */
  async #here(room: string, id: string, part: number): Promise<Found> {
    const found = await this.#find(room, id, part);
    const before = await this.#state(found.attached);
    if (before === 'gone') throw gone();
    const total = found.wanted.file.size;
    const told = new Throttle(this.home, (done) => this.emit({ type: 'transfer', room, id, part, done, total }));
    try {
      await this.#downloads.whole(found.wanted, (done) => told.tell(done));
      told.end();
    } finally {
      if ((await this.#state(found.attached)) !== before) this.emit({ type: 'thread', room });
    }
    return found;
  }

  /** Put together from pieces that the browser keeps outside of this worker's memory. */
  async file({ room, id, part }: Which): Promise<{ blob: Blob }> {
    const { wanted, attached } = await this.#here(room, id, part);
    const opener = await this.#downloads.opener(wanted);
    const parts: Blob[] = [];
    let taken: Promise<unknown> = Promise.resolve();
    let type = sniffed(new Uint8Array(), false);
    for (let index = 0, length = 0; length < lengthOfFile(wanted); index++) {
      const plain = await opener.open(index, await this.#downloads.piece(wanted, index));
      if (index === 0) type = sniffed(plain.subarray(0, SNIFFED), isSound(attached));
      length += plain.length;
      await taken;
      const part = new Blob([plain]);
      parts.push(part);
      taken = part.slice(0, 1).arrayBuffer(); // answered when the browser has the bytes, and this worker lets go of them
    }
    return { blob: new Blob(parts, { type }) };
  }

  // ---- playing ----------------------------------------------------------------------------------------------------

  async play({ room, id, part }: Which): Promise<{ url: string } | null> {
    const { attached, wanted } = await this.#find(room, id, part);
    if (!['video', 'voice', 'file'].includes(kindOf(attached))) return null;
    const state = await this.#state(attached);
    if (state === 'gone') throw gone();
    if (!wanted.media?.chunks || state !== 'remote') await this.#here(room, id, part);
    const token = toHex(this.home.random(16));
    this.#playing.set(token, { playing: new Playing(this.#downloads, wanted, attached), which: { room, id, part } });
    for (const old of [...this.#playing.keys()].slice(0, -MOST_PLAYING)) this.#playing.delete(old);
    return { url: MEDIA_PATH + token };
  }

  /** What was fetched piece by piece may be all of it by now: then it is verified as a whole, and here. Says why it stopped by itself, if it did. */
  async stopPlaying(url: string): Promise<Problem | null> {
    const token = url.slice(MEDIA_PATH.length);
    const played = this.#playing.get(token);
    this.#playing.delete(token);
    if (!played) return null;
    const { which: { room, id, part }, playing: { wanted, why } } = played;
    const present = await this.cache.present(cacheId(wanted.file));
    if (present.size === piecesOf(wanted.file.size)) await this.#here(room, id, part);
    return why;
  }

  serve(path: string, port: MediaPort): void {
    serve(this.ended.aborted ? null : (this.#playing.get(path.slice(MEDIA_PATH.length))?.playing ?? null), port);
  }

  // ---- letting go -------------------------------------------------------------------------------------------------

  /** Pieces of messages that are not on this device any more, neither shown nor kept for a report, are dropped. */
  async sweep(): Promise<void> {
    const kept = await this.vault.range<KeptMessage>('reports', { prefix: '' });
    const reportable = new Set([...kept.map(({ value }) => value.message.id), ...(await this.handIns.messages())]);
    const waiting = new Set((await this.vault.range<OutboxRecord>('outbox', { prefix: '' })).map(({ value }) => value.id));
    await this.cache.sweep(async (owner: string, entry: CachedFile) => {
      if (waiting.has(owner) || reportable.has(owner)) return true;
      if (!isMessageId(owner)) return this.home.now() - entry.usedMs < SEALING_MS; // perhaps still being sealed
      const key = await this.vault.get<string>('meta', `mid/${owner}`);
      const row = key === null ? null : await this.vault.get<MessageRecord>('messages', key);
      return row !== null && row.content !== null;
    });
  }

  /** A message of the outbox was accepted: its files are now that message's. */
  async adopted(files: readonly OutboxFile[], id: string): Promise<void> {
    for (const { sent } of files) await this.#downloads.own({ file: sent.file, media: sent.media, owner: id });
  }
}

/** Nobody seals one file for so long. */
const SEALING_MS = 3600 * 1000;

/** Files of a waiting message, its own or passed on. */
const waitingFiles = ({ files, passedOn }: OutboxRecord): AttachedFile[] =>
  passedOn ? shownOf(decodeContent(passedOn.content)).files : (files ?? []).map(attachedOf);

function attachedOf({ sent }: OutboxFile, part: number): AttachedFile {
  const { file, contentType, inline, name, description, media, poster } = sent;
  return { part, contentType, inline, name, description, file, media, poster };
}
