/** A chosen file as it leaves this device: pictures drawn anew, films without their records, everything else as it is. */
import type { FileKind, Outgoing } from '../../engine/contract';
import { t } from '../../i18n';
import { preparingWorker } from '../../script-url';
import { filmFacts } from './film-facts';
import { isFilmWithBoxes } from './film';
import { HEAD_BYTES, pictureFacts } from './picture-facts';
import type { Answered, Asked, Drawn } from './prepared';
import { sizeText } from './sizes';

/** What one file may hold: a little less than the server's limit, so that the number that is said is a round one. */
export const MOST_BYTES = 64_000_000;
/** A photo is made small before it leaves, so it may be larger at first; but it has to be read. */
const MOST_PHOTO_BYTES = 150 * 1024 * 1024;

/** What a person should know before it is sent; every one is a sentence of the catalogue. */
export type Note = 'attach.note.film' | 'attach.note.as_is' | 'attach.note.picture_as_file' | 'attach.note.film_as_file';
export interface Prepared { outgoing: Outgoing; note: Note | null }

/** A file cannot be sent, and why, in words. */
export class Refused extends Error {
  override readonly name = 'Refused';
}

export async function prepare(file: File, wanted: 'media' | 'file' | 'any'): Promise<Prepared> {
  if (file.size === 0) throw new Refused(t('attach.empty'));
  const head = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
  const [picture, film] = [pictureFacts(head) !== null, isFilm(head)];
  if (picture && wanted !== 'file' && file.size <= MOST_PHOTO_BYTES) return photo(file);
  if (file.size > MOST_BYTES) throw tooLarge(file.size, film);
  if (film && wanted !== 'file') return video(file, head);
  return { outgoing: asItIs(file, 'file', file.name), note: picture || film ? 'attach.note.as_is' : null };
}

function tooLarge(size: number, film = false): Refused {
  const holes = { most: sizeText(MOST_BYTES), size: sizeText(size) };
  return new Refused(film ? t('attach.film_large', holes) : t('attach.large', holes));
}

const isFilm = (head: Uint8Array): boolean => {
  const matroska = head[0] === 0x1a && head[1] === 0x45 && head[2] === 0xdf && head[3] === 0xa3;
  return matroska || (isFilmWithBoxes(head) && pictureFacts(head) === null);
};

const asItIs = (bytes: Blob, kind: FileKind, name: string): Outgoing => ({
  bytes, kind, name, type: plainType(bytes.type), alt: '', width: null, height: null, thumbhash: null, duration_ms: null, waveform: null, poster: null,
});
const plainType = (type: string): string => type.toLowerCase().split(';')[0]!.trim() || 'application/octet-stream';

async function photo(file: File): Promise<Prepared> {
  const answer = await asked('picture', file);
  const drawn: Drawn = answer && 'picture' in answer ? answer.picture : { refused: 'unreadable' };
  if (drawn.refused === 'huge') throw new Refused(t('attach.huge'));
  if (drawn.refused) {
    if (file.size > MOST_BYTES) throw tooLarge(file.size);
    return { outgoing: asItIs(file, 'file', file.name), note: 'attach.note.picture_as_file' };
  }
  const { bytes, type, width, height, thumbhash } = drawn;
  if (bytes.size > MOST_BYTES) throw tooLarge(bytes.size);
  // Cameras write the day and the minute into the name.
  return { outgoing: { ...asItIs(bytes, 'photo', `photo.${type.slice('image/'.length)}`), width, height, thumbhash }, note: null };
}

async function video(file: File, head: Uint8Array): Promise<Prepared> {
  const boxes = isFilmWithBoxes(head);
  const answer = boxes ? await asked('film', file) : null;
  const cleaned = answer && 'film' in answer ? answer.film : { film: file, bare: false };
  const type = boxes ? 'video/mp4' : 'video/webm';
  const bytes = new Blob([cleaned.film], { type });
  const facts = await filmFacts(bytes);
  if (!facts) {
    const as = { ...asItIs(file, 'file', file.name), bytes: cleaned.film };
    return { outgoing: as, note: cleaned.bare ? null : 'attach.note.film_as_file' };
  }
  return {
    outgoing: { ...asItIs(bytes, 'video', boxes ? 'video.mp4' : 'video.webm'), ...facts },
    note: cleaned.bare ? null : 'attach.note.film',
  };
}

let worker: Worker | null = null;
let nextId = 1;
const waiting = new Map<number, (done: Answered['done']) => void>();

/** Asks the worker, which is started when it is first needed. Null: it could not work on this file. */
function asked(what: Asked['what'], file: Blob): Promise<Answered['done']> {
  worker ??= started();
  const id = nextId++;
  return new Promise((resolve) => {
    waiting.set(id, resolve);
    worker?.postMessage({ id, what, file } satisfies Asked);
  });
}

function started(): Worker {
  const made = preparingWorker();
  made.onmessage = ({ data }: MessageEvent<Answered>) => {
    waiting.get(data.id)?.(data.done);
    waiting.delete(data.id);
  };
  made.onerror = () => {
    // It ended, out of memory for example: what waits is told, and the next file gets a new one.
    waiting.forEach((resolve) => resolve(null));
    waiting.clear();
    made.terminate();
    worker = null;
  };
  return made;
}
