/**
 * MIMI content (draft -08) in deterministic CBOR (RFC 8949 section 4.2.1).
 *
 * `decodeContent` accepts exactly the bytes that `encodeContent` would produce for the same message (see cbor.ts).
 * Hashes are always over the bytes as received.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { concat, fromUtf8, Malformed, u16, utf8, type Bytes } from './bytes';
import { decode, encode } from './cbor';

export const SALT_SIZE = 16;
export const MAX_CONTENT = 64 * 1024;
const MAX_DEPTH = 4;
const MAX_EXTENSION_VALUE = 4095;
const MAX_TEXT_KEY = 255;

export const TEXT_TYPE = 'text/markdown;variant=GFM-MIMI';
export const PLAIN_TYPE = 'text/plain;charset=utf-8';
export const EXT_SENDER = 1;
export const EXT_ROOM = 2;
export const EXT_LAST_SEEN = -1;
export const EXT_TREE_HEAD = -2;
export const EXT_FORWARDS = -3;
/** Facts about the attached files, in the order of their parts. */
export const EXT_MEDIA = -4;

export const dispositions = [
  'unspecified', 'render', 'reaction', 'profile', 'inline', 'icon', 'attachment', 'session', 'preview',
] as const;
export type Disposition = (typeof dispositions)[number];
export const semantics = ['chooseOne', 'singleUnit', 'processAll'] as const;
export type Semantics = (typeof semantics)[number];

interface PartHead { disposition: number; language: string }
export type Part = PartHead & (
  | { kind: 'null' }
  | { kind: 'single'; contentType: string; content: Uint8Array }
  | {
      kind: 'external'; contentType: string; url: string; expires: number; size: bigint; encAlg: number;
      key: Uint8Array; nonce: Uint8Array; aad: Uint8Array; hashAlg: number; contentHash: Uint8Array;
      description: string; filename: string;
    }
  | { kind: 'multi'; semantics: Semantics; parts: Part[] }
);

export interface Content {
  salt: Uint8Array;
  replaces: Uint8Array | null;
  topicId: Uint8Array;
  expires: { relative: boolean; time: number } | null;
  inReplyTo: Uint8Array | null;
  /** Keys are integers or texts; unknown ones are kept because they are hashed. */
  extensions: Map<number | bigint | string, unknown>;
  part: Part;
}

export function disposition(name: Disposition): number {
  return dispositions.indexOf(name);
}

/** What every message commits to. */
export interface Head { salt: Uint8Array; sender: string; room: string; lastSeen?: Uint8Array; treeHead?: unknown[] }

/**
 * A message of one part, committed to its sender and room. `forwards`: how often its words were passed on by now.
 * `carries`: the message whose files the part still has.
 */
export function contentOf(
  head: Head, part: Part, also: Partial<Pick<Content, 'replaces' | 'inReplyTo'>> & { forwards?: number; carries?: Content } = {},
): Content {
  const extensions = new Map<number | bigint | string, unknown>([[EXT_SENDER, head.sender], [EXT_ROOM, head.room]]);
  if (head.lastSeen) extensions.set(EXT_LAST_SEEN, head.lastSeen);
  if (head.treeHead) extensions.set(EXT_TREE_HEAD, head.treeHead);
  if (also.forwards) extensions.set(EXT_FORWARDS, also.forwards);
  const media = also.carries?.extensions.get(EXT_MEDIA);
  if (media !== undefined) extensions.set(EXT_MEDIA, media);
  return {
    salt: head.salt, replaces: also.replaces ?? null, topicId: new Uint8Array(), expires: null, inReplyTo: also.inReplyTo ?? null,
    extensions, part,
  };
}

export const textPart = (text: string): Part => ({
  disposition: disposition('render'), language: '', kind: 'single', contentType: TEXT_TYPE, content: utf8(text),
});
/** One reaction; of several, each is a part or a message of its own. */
export const reactionPart = (symbol: string): Part => ({
  disposition: disposition('reaction'), language: '', kind: 'single', contentType: PLAIN_TYPE, content: utf8(symbol),
});
/** Takes back what `replaces` names. */
export const nullPart = (): Part => ({ disposition: disposition('render'), language: '', kind: 'null' });

/** One text message. */
export function textContent({ text, inReplyTo, ...head }: Head & { text: string; inReplyTo?: Uint8Array }): Content {
  return contentOf(head, textPart(text), inReplyTo ? { inReplyTo } : {});
}

/** The same part with other words: its attachments stay as they are, and with no words only they are left. */
export function withWords(part: Part, text: string): Part {
  const parts = part.kind === 'multi' && part.semantics === 'processAll' ? part.parts : [part];
  const carried = parts.filter((one) => !(one.kind === 'single' && isText(one.contentType)) && one.kind !== 'null');
  if (carried.length === 0) return textPart(text);
  const all = text === '' ? carried : [textPart(text), ...carried];
  return all.length === 1 ? all[0]! : { disposition: part.disposition, language: part.language, kind: 'multi', semantics: 'processAll', parts: all };
}

function encodePart(part: Part): unknown[] {
  switch (part.kind) {
    case 'null':
      return [part.disposition, part.language, 0];
    case 'single':
      return [part.disposition, part.language, 1, part.contentType, part.content];
    case 'external':
      return [
        part.disposition, part.language, 2, part.contentType, part.url, part.expires, part.size, part.encAlg, part.key,
        part.nonce, part.aad, part.hashAlg, part.contentHash, part.description, part.filename,
      ];
    case 'multi':
      return [
        part.disposition, part.language, 3, semantics.indexOf(part.semantics), part.parts.map(encodePart),
      ];
    default:
      return part satisfies never;
  }
}

/** The deterministic bytes of a message. Refuses what `decodeContent` would refuse. */
export function encodeContent(content: Content): Bytes {
  const bytes = encode([
    content.salt,
    content.replaces,
    content.topicId,
    content.expires === null ? null : [content.expires.relative, content.expires.time],
    content.inReplyTo,
    content.extensions,
    encodePart(content.part),
  ]);
  decodeContent(bytes);
  return bytes;
}

/** Parses untrusted bytes; anything but the one deterministic encoding of a valid message is `Malformed`. */
export function decodeContent(bytes: Uint8Array): Content {
  if (bytes.length > MAX_CONTENT) throw new Malformed('the message is too large');
  return readContent(decode(bytes));
}

const fail = (what: string): never => {
  throw new Malformed(what);
};
const bstr = (value: unknown, what: string): Uint8Array => (value instanceof Uint8Array ? value : fail(`${what} is not bytes`));
const tstr = (value: unknown, what: string): string => (typeof value === 'string' ? value : fail(`${what} is not text`));
function uint(value: unknown, what: string, bits: 8 | 16 | 32): number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** bits
    ? value : fail(`${what} is not a ${bits}-bit number`);
}
function uint64(value: unknown, what: string): bigint {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return BigInt(value);
  return typeof value === 'bigint' && value >= 0n && value < 2n ** 64n ? value : fail(`${what} is not a 64-bit number`);
}
function messageIdOrNull(value: unknown, what: string): Uint8Array | null {
  if (value === null) return null;
  const id = bstr(value, what);
  return id.length === 32 ? id : fail(`${what} is not 32 bytes`);
}

function readContent(value: unknown): Content {
  if (!Array.isArray(value) || value.length !== 7) return fail('a message has seven elements');
  const [salt, replaces, topicId, expires, inReplyTo, extensions, part] = value as unknown[];
  if (bstr(salt, 'salt').length !== SALT_SIZE) fail('salt is not 16 bytes');
  return {
    salt: bstr(salt, 'salt'),
    replaces: messageIdOrNull(replaces, 'replaces'),
    topicId: bstr(topicId, 'topicId'),
    expires: readExpires(expires),
    inReplyTo: messageIdOrNull(inReplyTo, 'inReplyTo'),
    extensions: readExtensions(extensions),
    part: readPart(part, 1),
  };
}

function readExpires(value: unknown): Content['expires'] {
  if (value === null) return null;
  if (!Array.isArray(value) || value.length !== 2 || typeof value[0] !== 'boolean') return fail('expires is malformed');
  return { relative: value[0], time: uint(value[1], 'expires', 32) };
}

function readExtensions(value: unknown): Content['extensions'] {
  if (!(value instanceof Map)) return fail('extensions are not a map');
  for (const [key, entry] of value as Map<unknown, unknown>) {
    const short = typeof key !== 'string' || (key.length > 0 && utf8(key).length <= MAX_TEXT_KEY);
    if (!short) fail('a text extension key is not 1 to 255 bytes');
    if (encode(entry).length > MAX_EXTENSION_VALUE) fail('an extension value is too long');
  }
  const extensions = value as Content['extensions'];
  tstr(extensions.get(EXT_SENDER), 'sender');
  tstr(extensions.get(EXT_ROOM), 'room');
  if (extensions.has(EXT_LAST_SEEN) && messageIdOrNull(extensions.get(EXT_LAST_SEEN), 'last seen id') === null) fail('last seen id is null');
  if (extensions.has(EXT_FORWARDS)) uint(extensions.get(EXT_FORWARDS), 'forward counter', 32);
  return extensions;
}

function readPart(value: unknown, depth: number): Part {
  if (depth > MAX_DEPTH) return fail('parts are nested too deeply');
  if (!Array.isArray(value) || value.length < 3) return fail('a part has at least three elements');
  const items = value as unknown[];
  const head = { disposition: uint(items[0], 'disposition', 8), language: tstr(items[1], 'language') };
  switch (items[2]) {
    case 0:
      return exactly(items, 3, { ...head, kind: 'null' });
    case 1:
      return exactly(items, 5, {
        ...head, kind: 'single', contentType: tstr(items[3], 'content type'), content: bstr(items[4], 'content'),
      });
    case 2:
      return exactly(items, 15, () => readExternal(head, items));
    case 3:
      return exactly(items, 5, () => readMulti(head, items, depth));
    default:
      return fail('unknown cardinality');
  }
}

function exactly(items: unknown[], count: number, part: Part | (() => Part)): Part {
  if (items.length !== count) return fail(`this part has ${count} elements`);
  return typeof part === 'function' ? part() : part;
}

function readExternal(head: PartHead, items: unknown[]): Part {
  return {
    ...head, kind: 'external',
    contentType: tstr(items[3], 'content type'), url: tstr(items[4], 'url'), expires: uint(items[5], 'expires', 32),
    size: uint64(items[6], 'size'), encAlg: uint(items[7], 'encAlg', 16), key: bstr(items[8], 'key'),
    nonce: bstr(items[9], 'nonce'), aad: bstr(items[10], 'aad'), hashAlg: uint(items[11], 'hashAlg', 8),
    contentHash: bstr(items[12], 'contentHash'), description: tstr(items[13], 'description'),
    filename: tstr(items[14], 'filename'),
  };
}

function readMulti(head: PartHead, items: unknown[], depth: number): Part {
  const name = semantics[uint(items[3], 'semantics', 8)] ?? fail('unknown semantics');
  const parts = items[4];
  if (!Array.isArray(parts) || parts.length < 2) return fail('a multi part holds at least two parts');
  return { ...head, kind: 'multi', semantics: name, parts: parts.map((part) => readPart(part, depth + 1)) };
}

export const senderOf = (content: Content): string => content.extensions.get(EXT_SENDER) as string;
export const roomOf = (content: Content): string => content.extensions.get(EXT_ROOM) as string;

/** 0x01 ‖ first 31 bytes of SHA-256(len ‖ sender ‖ len ‖ room ‖ M ‖ salt). */
export function messageId(sender: string, room: string, bytes: Uint8Array, salt: Uint8Array): Bytes {
  const [s, r] = [utf8(sender), utf8(room)];
  const digest = sha256(concat(u16(s.length), s, u16(r.length), r, bytes, salt));
  return concat(Uint8Array.of(1), digest.subarray(0, 31));
}

/** What a thread can show of a part: its words, or null when nothing of it is known. */
export function textOf(part: Part): string | null {
  switch (part.kind) {
    case 'single':
      return isText(part.contentType) ? readableText(part.content) : null;
    case 'multi':
      return textOfMulti(part.semantics, part.parts.map(textOf));
    case 'null':
    case 'external':
      return null;
    default:
      return part satisfies never;
  }
}

/** A media type without its parameters, lower case. Around it only blanks and tabs count as space (RFC 9110 section 5.6.3). */
export const bareType = (contentType: string): string => /^[ \t]*([^ \t;]*)[ \t]*(?:;|$)/.exec(contentType)?.[1]!.toLowerCase() ?? '';

const isText = (contentType: string): boolean => ['text/markdown', 'text/plain'].includes(bareType(contentType));

function readableText(bytes: Uint8Array): string | null {
  try {
    return fromUtf8(bytes).replace(/^\ufeff+/, ''); // a byte order mark says nothing, and some readers drop it: nobody shows it
  } catch (error) {
    if (error instanceof Malformed) return null;
    throw error;
  }
}

/** `singleUnit` is all or nothing: with one unknown part, nothing of it is shown. */
function textOfMulti(how: Semantics, texts: (string | null)[]): string | null {
  const known = texts.filter((text): text is string => text !== null);
  if (known.length === 0 || (how === 'singleUnit' && known.length < texts.length)) return null;
  return how === 'chooseOne' ? known[0]! : known.join('\n');
}
