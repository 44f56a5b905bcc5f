/**
 * What a message must pass before anything of it is stored or shown (franking profile, section 7).
 *
 * Pure apart from one signature check: takes what MLS authenticated, what the hub said and where the thread stands,
 * and returns the message with its proof, or why there is none.
 */
import { equal, fromUtf8, Malformed, toHex, type Bytes } from '../protocol/bytes';
import { shownOf as partsShown } from '../protocol/attachments';
import { decodeContent, messageId, roomOf, senderOf, type Content } from '../protocol/content';
import type { HubRecord } from '../protocol/frames';
import { decodeProof, frankingTag, tagOf, verifyFrank, type Frank, type FrankingContext } from '../protocol/franking';
import { misplaced } from '../protocol/ephemeral';
import { lifeOf } from '../protocol/timer';
import { parseUri } from '../protocol/uris';
import { kindOf } from './attachments/kinds';
import { effectOf, forwardsOf, shownOf } from './effects';
import type { Identity } from './mls';
import type { FrankRecord, MessageRecord } from './records';

export interface Arrival {
  /** account and device of the MLS leaf that sent it */
  sender: Identity;
  epoch: number;
  aad: Bytes;
  plaintext: Bytes;
  hub: HubRecord | null;
  roomUri: string;
}

export type Flaw =
  | 'untagged' | 'unfranked' | 'cbor' | 'tag' | 'sender' | 'room' | 'frank' | 'sequence' | 'time';
/** `signed`: the hub did sign this, although it cannot have this place; perhaps evidence against the hub. */
export type Verdict = { ok: true; message: Genuine } | { ok: false; flaw: Flaw; signed?: FrankRecord };
export interface Genuine { content: Content; bytes: Bytes; id: Bytes; frank: FrankRecord }

/** Where the thread stands: the next message must come after this. */
export interface Place { seq: number; timestampMs: number }

/** No hole is larger, a restored server's included. A number further ahead, once believed, would make every honest one after it a repetition. */
const FARTHEST_SEQ = 1_000_000_000;
const LARGEST_SEQ = 2 ** 40;

export async function judge(arrival: Arrival, place: Place, hubKey: (id: number) => Promise<Bytes | null>): Promise<Verdict> {
  const { hub } = arrival;
  if (hub === null) return { ok: false, flaw: 'unfranked' };
  const opened = openContent(arrival);
  if (typeof opened === 'string') return { ok: false, flaw: opened };
  if (senderOf(opened) !== arrival.sender.account) return { ok: false, flaw: 'sender' };
  if (roomOf(opened) !== arrival.roomUri) return { ok: false, flaw: 'room' };
  const frank = await proven(contextOf(arrival, hub), hub, hubKey);
  if (frank === null) return { ok: false, flaw: 'frank' };
  if (hub.roomSeq <= place.seq || tooFar(hub.roomSeq, place.seq)) return { ok: false, flaw: 'sequence', signed: frank };
  if (hub.timestamp < place.timestampMs) return { ok: false, flaw: 'time' };
  const id = messageId(arrival.sender.account, arrival.roomUri, arrival.plaintext, opened.salt);
  return { ok: true, message: { content: opened, bytes: arrival.plaintext, id, frank } };
}

/** Whether a room_seq cannot be true after the last one (0: a device that joined just now may begin anywhere). */
export function tooFar(seq: number, last: number): boolean {
  return seq > (last > 0 ? last + FARTHEST_SEQ : LARGEST_SEQ);
}

function openContent({ aad, plaintext }: Arrival): Content | 'untagged' | 'cbor' | 'tag' {
  let tag: Bytes;
  try {
    tag = tagOf(aad);
  } catch (error) {
    return expected(error, 'untagged');
  }
  let content: Content;
  try {
    content = decodeContent(plaintext);
  } catch (error) {
    return expected(error, 'cbor');
  }
  return equal(frankingTag(content.salt, plaintext), tag) ? content : 'tag';
}

function expected<T extends string>(error: unknown, flaw: T): T {
  if (error instanceof Malformed) return flaw;
  throw error;
}

/** Rebuilt from what MLS authenticated and what this device knows; only the hub's own fields come from the hub. */
export function contextOf({ sender, epoch, roomUri }: Pick<Arrival, 'sender' | 'epoch' | 'roomUri'>, hub: HubRecord): FrankingContext {
  return {
    senderUri: sender.account, roomUri, acceptedTimestamp: hub.timestamp, senderDevice: sender.device, epoch,
    roomSeq: hub.roomSeq, hubKeyId: hub.hubKeyId,
  };
}

/** The record to keep when the hub's signature over this context holds, else null. */
export async function proven(
  context: FrankingContext, hub: HubRecord, hubKey: (id: number) => Promise<Bytes | null>,
): Promise<FrankRecord | null> {
  const key = await hubKey(hub.hubKeyId);
  let frank: Frank;
  try {
    frank = { context, serverFrank: hub.serverFrank, suite: hub.suite, proof: decodeProof(hub.proof) };
  } catch (error) {
    if (error instanceof Malformed) return null;
    throw error;
  }
  if (key === null || !(await verifyFrank(key, frank))) return null;
  return { ...context, serverFrank: hub.serverFrank, suite: hub.suite, proof: hub.proof };
}

/** The frank of a stored record, as reports and checks need it. */
export function frankOf(record: FrankRecord): Frank {
  const { serverFrank, suite, proof, ...context } = record;
  return { context, serverFrank, suite, proof: decodeProof(proof) };
}

/** The row that a genuine message becomes. Only text is shown; the rest says that it cannot be shown here. */
export function rowOf(message: Genuine, pos: number, self: string): MessageRecord {
  const { content, frank } = message;
  const sender = parseUri(frank.senderUri, 'u').id;
  const { kind, text } = shownOf(content);
  const forwarded = forwardsOf(content);
  const { files } = partsShown(content);
  return {
    kind: effectOf(content) !== null || misplaced(content.part) ? 'effect' : kind,
    id: toHex(message.id), pos, seq: frank.roomSeq, atMs: frank.acceptedTimestamp, mine: sender === self, sender, text,
    replyTo: content.inReplyTo && toHex(content.inReplyTo), content: message.bytes, frank, ...(forwarded > 0 ? { forwarded } : {}),
    ...(lifeOf(content) === null ? {} : { expiresS: lifeOf(content)! }),
    ...(files.length > 0 ? { files: files.map(kindOf) } : {}),
  };
}

export function tombstone(pos: number, atMs: number, sender: string): MessageRecord {
  return {
    kind: 'tombstone', id: `pos-${pos}`, pos, seq: null, atMs, mine: false, sender, text: '', replyTo: null,
    content: null, frank: null,
  };
}

export function info(pos: number, atMs: number, text: string, salt: string): MessageRecord {
  return {
    kind: 'info', id: `info-${pos}-${salt}`, pos, seq: null, atMs, mine: false, sender: '', text, replyTo: null,
    content: null, frank: null,
  };
}

/** JSON bodies of roster and notice mail. */
export function jsonBody(body: Bytes): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(fromUtf8(body));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof Malformed)) throw error;
  }
  throw new Malformed('a mail body is not a JSON object');
}
