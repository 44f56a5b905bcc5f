/** Frames of the stream `/ws` (subprotocol kith.v1): msgpack arrays, parsed strictly. Unknown server kinds are ignored. */
import { Malformed, type Bytes } from './bytes';
import { decode, encode, type Bounds } from './msgpack';
import { isUuid } from './uris';

export const SUBPROTOCOL = 'kith.v1';
export const MAX_FRAME = 80 * 1024;
export const MAX_COMMIT_FRAME = 1024 * 1024;
const IN_A_FRAME: Bounds = { array: 64, maps: false };
/** Mail ids in one ACK. */
export const MAX_ACKS = 4096;

export type ClientFrame =
  | { kind: 'submit'; key: Uint8Array; room: string; message: Uint8Array }
  | { kind: 'commit'; key: Uint8Array; room: string; commit: Uint8Array; welcome: Uint8Array | null; groupInfo: Uint8Array }
  | { kind: 'ack'; mailIds: readonly number[] }
  | { kind: 'ephemeral'; room: string; message: Uint8Array }
  | { kind: 'ping' };

export type MailId = number;
export type MailKind = 'message' | 'commit' | 'welcome' | 'roster' | 'notice';
export interface HubRecord {
  timestamp: number; roomSeq: number; hubKeyId: number; serverFrank: Bytes; suite: number; proof: Bytes;
}
export interface Mail { kind: 'mail'; mailId: MailId; mail: MailKind; room: string | null; roomPos: number; body: Bytes; hub: HubRecord | null }
export interface Accepted { kind: 'accepted'; key: Bytes; roomPos: number; timestamp: number; hub: HubRecord | null }
export interface Refused { kind: 'refused'; key: Bytes; code: string; details: string; retryAfterMs: number | null }

export type ServerFrame =
  | { kind: 'hello'; timeMs: number; device: string }
  | Accepted
  | Refused
  | Mail
  | { kind: 'ephemeral'; room: string; afterPos: number; body: Bytes }
  | { kind: 'bye'; code: string }
  | { kind: 'pong'; timeMs: number }
  | { kind: 'delivered'; room: string; roomPos: number }
  | { kind: 'unknown' };

const MAIL_KINDS: readonly (MailKind | undefined)[] = [undefined, 'message', 'commit', 'welcome', 'roster', 'notice'];

export function encodeFrame(frame: ClientFrame): Bytes {
  const bytes = encode(toArray(frame));
  const limit = frame.kind === 'commit' ? MAX_COMMIT_FRAME : MAX_FRAME;
  if (bytes.length > limit) throw new Malformed('That is too long to send.');
  return bytes;
}

function toArray(frame: ClientFrame): unknown[] {
  switch (frame.kind) {
    case 'submit': return [1, frame.key, frame.room, frame.message];
    case 'commit': return [2, frame.key, frame.room, frame.commit, frame.welcome, frame.groupInfo];
    case 'ack': return [3, [...frame.mailIds]];
    case 'ephemeral': return [4, frame.room, frame.message];
    case 'ping': return [5];
    default: return frame satisfies never;
  }
}

export function decodeFrame(bytes: Uint8Array): ServerFrame {
  if (bytes.length > MAX_COMMIT_FRAME) throw new Malformed('a frame is too large');
  const value = decode(bytes, IN_A_FRAME);
  if (!Array.isArray(value)) throw new Malformed('a frame is an array');
  return fromArray(value as unknown[]);
}

function fromArray([kind, ...rest]: unknown[]): ServerFrame {
  const fields = new Fields(rest);
  switch (kind) {
    case 16: return fields.all(() => ({ kind: 'hello', timeMs: fields.time(), device: fields.uuid() }));
    case 17: return fields.all(() => readAccepted(fields));
    case 18: return fields.all(() => readRefused(fields));
    case 19: return fields.all(() => readMail(fields));
    case 20:
      return fields.all(() => ({ kind: 'ephemeral', room: fields.uuid(), afterPos: fields.count(), body: fields.bytes() }));
    case 21: return fields.all(() => ({ kind: 'bye', code: fields.text() }));
    case 22: return fields.all(() => ({ kind: 'pong', timeMs: fields.time() }));
    case 23: return fields.all(() => ({ kind: 'delivered', room: fields.uuid(), roomPos: fields.count() }));
    default:
      if (typeof kind !== 'number') throw new Malformed('a frame starts with its kind');
      return { kind: 'unknown' };
  }
}

function readAccepted(fields: Fields): Accepted {
  const key = fields.bytes(16);
  const roomPos = fields.count();
  const timestamp = fields.time();
  const [roomSeq, hubKeyId, serverFrank, suite, proof] = fields.take(5);
  if (roomSeq === null || roomSeq === undefined) return { kind: 'accepted', key, roomPos, timestamp, hub: null };
  return { kind: 'accepted', key, roomPos, timestamp, hub: hubRecord([timestamp, roomSeq, hubKeyId, serverFrank, suite, proof]) };
}

function hubRecord(values: unknown[]): HubRecord {
  const fields = new Fields(values);
  return fields.all(() => ({
    timestamp: fields.time(), roomSeq: fields.count(), hubKeyId: fields.count(), serverFrank: fields.bytes(32),
    suite: fields.count(), proof: fields.bytes(),
  }));
}

function readRefused(fields: Fields): Refused {
  return {
    kind: 'refused', key: fields.bytes(16), code: fields.text(), details: fields.optional(() => fields.text()) ?? '',
    retryAfterMs: fields.optional(() => fields.count()),
  };
}

function readMail(fields: Fields): Mail {
  const mailId = fields.count();
  const mail = MAIL_KINDS[fields.count()];
  if (mail === undefined) throw new Malformed('unknown kind of mail');
  const room = fields.optional(() => fields.uuid());
  const roomPos = fields.count();
  const body = fields.bytes();
  const hub = fields.optional(() => hubRecord(fields.array()));
  return { kind: 'mail', mailId, mail, room, roomPos, body, hub };
}

/** Takes the elements of a frame one by one, each with its type. */
class Fields {
  #at = 0;

  constructor(private readonly values: unknown[]) {}

  /** Reads a frame and demands that all elements were used. */
  all<T>(read: () => T): T {
    const value = read();
    if (this.#at !== this.values.length) throw new Malformed('a frame has another number of elements');
    return value;
  }

  take(count: number): unknown[] {
    const part = this.values.slice(this.#at, this.#at + count);
    this.#at += count;
    return part;
  }

  #next(): unknown {
    if (this.#at >= this.values.length) throw new Malformed('a frame ends too early');
    return this.values[this.#at++];
  }

  optional<T>(read: () => T): T | null {
    if (this.values[this.#at] === null || this.values[this.#at] === undefined) {
      this.#next();
      return null;
    }
    return read();
  }

  count(): number {
    const value = this.#next();
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
    throw new Malformed('a frame holds something else where a count belongs');
  }

  time(): number {
    return this.count();
  }

  text(): string {
    const value = this.#next();
    if (typeof value === 'string') return value;
    throw new Malformed('a frame holds something else where text belongs');
  }

  uuid(): string {
    const value = this.text();
    if (isUuid(value)) return value;
    throw new Malformed('a frame holds something else where an id belongs');
  }

  bytes(length?: number): Bytes {
    const value = this.#next();
    if (value instanceof Uint8Array && (length === undefined || value.length === length)) return value.slice() as Bytes;
    throw new Malformed('a frame holds something else where bytes belong');
  }

  array(): unknown[] {
    const value = this.#next();
    if (Array.isArray(value)) return value as unknown[];
    throw new Malformed('a frame holds something else where a list belongs');
  }
}
