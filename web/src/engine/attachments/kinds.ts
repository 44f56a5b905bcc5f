/** What a file is for screens: its kind, a name that does no harm, and a type found out from its bytes. Pure. */
import { MOST_THUMBHASH, MOST_WAVEFORM, type AttachedFile } from '../../protocol/attachments';
import { cacheId } from './cache';
import type { FileKind, FileState, FileView } from '../contract';

/** Pictures that browsers decode without running anything; SVG is a document and never among them. */
const PHOTOS = ['image/jpeg', 'image/png', 'image/webp', 'image/gif', 'image/avif'];
const FILMS = ['video/mp4', 'video/webm', 'video/quicktime'];
const SOUNDS = ['audio/webm', 'audio/ogg', 'audio/mp4', 'audio/mpeg', 'audio/wav', 'audio/aac', 'audio/flac'];
export const OCTETS = 'application/octet-stream';

/** Longest name and description in characters. */
const LONGEST_NAME = 120;
const LONGEST_ALT = 300;

/** Control characters, and those that turn or hide what is beside them. */
const INVISIBLE = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
const FORBIDDEN = /[<>:"/\\|?*]/g;
const RESERVED = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)/i;

/** A name that can be shown and saved under everywhere: no folders, nothing hidden or turned round, not too long. */
export function safeName(name: string): string {
  const clean = name.normalize('NFC').toWellFormed().replace(INVISIBLE, '').replace(FORBIDDEN, '_').replace(/^[.\s]+/, '').replace(/(?<![.\s])[.\s]+$/, '');
  const [whole, stem, ending] = /^(.*?)(\.[^.\s]{1,10})?$/su.exec(clean)!;
  const room = LONGEST_NAME - (ending?.length ?? 0);
  const short = whole.length <= LONGEST_NAME ? whole : `${cut(stem!, room)}${ending ?? ''}`;
  return RESERVED.test(short) ? `_${short}` : short;
}

/** At most so many UTF-16 units, no character halved. */
export const cut = (text: string, most: number): string => text.slice(0, most).toWellFormed().replace(/\ufffd$/u, '');

export function safeAlt(alt: string): string {
  return cut(alt.toWellFormed().replace(INVISIBLE, ' ').trim(), LONGEST_ALT);
}

export function kindOf({ contentType, inline, media, file }: Pick<AttachedFile, 'contentType' | 'inline' | 'media' | 'file'>): FileKind {
  if (file === null || media === null) return 'file';
  if (media.voice) return SOUNDS.includes(contentType) ? 'voice' : 'file';
  if (inline && PHOTOS.includes(contentType)) return 'photo';
  return inline && FILMS.includes(contentType) ? 'video' : 'file';
}

export function viewOf(attached: AttachedFile, state: FileState): FileView {
  const { media, file, poster } = attached;
  const fits = (bytes: Uint8Array | null, most: number): Uint8Array | null => (bytes && bytes.length <= most ? bytes : null);
  return {
    mark: file ? cacheId(file) : '', part: attached.part, kind: kindOf(attached), name: safeName(attached.name), type: attached.contentType,
    size: media?.length ?? Math.max(0, (file?.size ?? 0) - 16), alt: safeAlt(attached.description),
    width: media?.width ?? null, height: media?.height ?? null, thumbhash: fits(media?.thumbhash ?? null, MOST_THUMBHASH),
    duration_ms: media?.durationMs ?? null, waveform: fits(media?.waveform ?? null, MOST_WAVEFORM),
    poster: poster && { type: poster.type, bytes: poster.bytes.slice() }, state,
  };
}

/** Bytes enough to tell what a file is. */
export const SNIFFED = 64;

/**
 * The type of a picture, film or sound, from its first bytes and nothing else; `application/octet-stream` for everything
 * that is not one of the few. `sound`: whether it was sent as one, for the containers that hold both.
 */
export function sniffed(head: Uint8Array, sound: boolean): string {
  const ascii = String.fromCharCode(...head.subarray(0, SNIFFED));
  const starts = (...bytes: number[]): boolean => bytes.every((byte, i) => head[i] === byte);
  if (starts(0xff, 0xd8, 0xff)) return 'image/jpeg';
  if (starts(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return 'image/png';
  if (/^GIF8[79]a/.test(ascii)) return 'image/gif';
  if (/^RIFF.{4}WEBP/s.test(ascii)) return 'image/webp';
  if (/^RIFF.{4}WAVE/s.test(ascii)) return 'audio/wav';
  if (ascii.startsWith('OggS')) return 'audio/ogg';
  if (ascii.startsWith('fLaC')) return 'audio/flac';
  if (ascii.startsWith('ID3') || (starts(0xff) && (head[1]! & 0xe6) === 0xe2)) return 'audio/mpeg';
  if (starts(0xff) && (head[1]! & 0xf6) === 0xf0) return 'audio/aac';
  if (starts(0x1a, 0x45, 0xdf, 0xa3)) return sound ? 'audio/webm' : 'video/webm';
  return ascii.startsWith('ftyp', 4) ? isoType(ascii, sound) : OCTETS;
}

function isoType(ascii: string, sound: boolean): string {
  const brand = ascii.slice(8, 12);
  if (['avif', 'avis'].includes(brand)) return 'image/avif';
  if (['heic', 'heix', 'mif1', 'msf1'].includes(brand)) return OCTETS;
  return sound || brand === 'M4A ' ? 'audio/mp4' : 'video/mp4';
}

export const isSound = (attached: Pick<AttachedFile, 'contentType'>): boolean => attached.contentType.startsWith('audio/');
