/** A chosen file becomes ciphertext on this device, before anything of it leaves. */
import { MOST_CHUNKS, MOST_POSTER, MOST_SEALED, MOST_THUMBHASH, MOST_WAVEFORM, mediaType, Sealer, sealedSize, type Sent } from '../../protocol/attachments';
import { utf8, type Bytes } from '../../protocol/bytes';
import { MOST_FILES, type Outgoing } from '../contract';
import { Problem } from '../errors';
import type { Home } from '../home';
import { cacheId, type PieceCache } from './cache';
import { safeAlt, safeName } from './kinds';

/** A file of a message that waits: what it will be in the message, and how far it is up. */
export interface OutboxFile {
  sent: Sent;
  /** It is on the server, whole: `sent.file` says where. */
  up: boolean;
  /** The upload that was begun, to be gone on with. */
  begun: { blob: string; expiresMs: number } | null;
}

/** Bytes of one message that pictures of films may take, and all that is not words. */
const MOST_POSTERS = 24 * 1024;
const MOST_CONTENT = 60 * 1024;
/** Files of one message together: all of them lie on this device until it has left, within what files may take here. */
const MOST_TOGETHER = 256 * 1024 * 1024;

const tooLarge = (): Problem => new Problem('too_large', 'This file is too large. Kith sends files of up to 64 MB.');

/** Refuses what could not be sent, before anything is sealed. */
export function checkFiles(files: readonly Outgoing[], text: string): void {
  if (files.length > MOST_FILES) throw new Problem('too_large', `One message carries at most ${MOST_FILES} files.`);
  for (const { bytes } of files) {
    if (bytes.size === 0) throw new Problem('invalid', 'This file is empty, so there is nothing to send.');
    if (sealedSize(bytes.size) > MOST_SEALED) throw tooLarge();
  }
  if (files.reduce((sum, { bytes }) => sum + bytes.size, 0) > MOST_TOGETHER) {
    throw new Problem('too_large', 'These files are too large for one message. Send them in several.');
  }
  const words = utf8(text).length + files.reduce((sum, { name, alt }) => sum + 600 + utf8(safeName(name)).length + utf8(safeAlt(alt)).length, 0);
  if (words > MOST_CONTENT - MOST_POSTERS) throw new Problem('too_large', 'That message is too long. Split it in two.');
}

export class Outgoings {
  constructor(private readonly home: Home, private readonly cache: PieceCache) {}

  /** Seals files for one message of the outbox. Only pieces are in memory, never a file. */
  async seal(files: readonly Outgoing[], owner: string): Promise<OutboxFile[]> {
    let chunks = MOST_CHUNKS;
    let posters = MOST_POSTERS;
    const sealed: OutboxFile[] = [];
    for (const file of files) {
      const one = await this.#sealOne(file, owner);
      const { media, poster } = one.sent;
      chunks -= media.chunks?.length ?? 0;
      posters -= poster?.bytes.length ?? 0;
      // What does not fit a message is left out: such a film plays when it is here as a whole, or has no still picture.
      const sent: Sent = { ...one.sent, media: { ...media, chunks: chunks < 0 ? null : media.chunks }, poster: posters < 0 ? null : poster };
      if (chunks < 0) chunks += media.chunks?.length ?? 0;
      if (posters < 0) posters += poster?.bytes.length ?? 0;
      sealed.push({ ...one, sent });
    }
    return sealed;
  }

  async #sealOne(file: Outgoing, owner: string): Promise<OutboxFile> {
    const [key, nonce] = [this.home.random(32), this.home.random(12)];
    const id = cacheId({ key, nonce });
    const sealer = await Sealer.create(key, nonce, file.bytes.size);
    const entry = { hash: null, size: sealer.size, state: 'partial' as const, owners: [owner], usedMs: this.home.now() };
    await this.cache.makeRoom(sealer.size, id);
    await this.cache.put(id, entry);
    let kept: Promise<void> = Promise.resolve();
    for (let index = 0; index < sealer.pieces; index++) {
      const { from, to } = sealer.wanted;
      const piece = await sealer.next(await bytesOf(file.bytes, from, to));
      await kept; // one piece is written while the next is sealed
      kept = this.cache.keep(id, index, piece);
      kept.catch(() => undefined); // seen at the next await
    }
    await kept;
    const { hash, chunks } = sealer.sums();
    await this.cache.put(id, { ...entry, hash, state: 'whole' });
    const played = ['video', 'voice'].includes(file.kind) || /^(?:video|audio)\//.test(file.type);
    return { up: false, begun: null, sent: sentOf(file, { key, nonce, hash, size: sealer.size, blob: '', expires: 0 }, played ? chunks : null) };
  }
}

function sentOf(file: Outgoing, where: Sent['file'], chunks: Bytes[] | null): Sent {
  const { thumbhash, waveform, poster, kind } = file;
  return {
    file: where, contentType: mediaType(file.type), inline: kind === 'photo' || kind === 'video', name: safeName(file.name), description: safeAlt(file.alt),
    media: {
      length: file.bytes.size, width: whole(file.width), height: whole(file.height), durationMs: whole(file.duration_ms),
      thumbhash: thumbhash && thumbhash.length <= MOST_THUMBHASH ? thumbhash : null,
      waveform: waveform && waveform.length <= MOST_WAVEFORM ? waveform : null, chunks, voice: kind === 'voice',
    },
    poster: poster && poster.bytes.length <= MOST_POSTER ? poster : null,
  };
}

const whole = (value: number | null): number | null => (value !== null && Number.isFinite(value) && value >= 1 ? Math.round(value) : null);

async function bytesOf(blob: Blob, from: number, to: number): Promise<Bytes> {
  let bytes: Bytes;
  try {
    bytes = new Uint8Array(await blob.slice(from, to).arrayBuffer());
  } catch {
    throw unreadable(); // moved, changed or locked since it was chosen
  }
  if (bytes.length !== to - from) throw unreadable();
  return bytes;
}

const unreadable = (): Problem => new Problem('unreadable', 'This file cannot be read any more. Choose it again.');
