/**
 * What the ephemeral class may carry: receipts and typing. Everything else in it is dropped.
 *
 * Both are message content like any other, one single part of their media type with disposition "session". They are
 * never rendered and never reported, so nothing but these two may travel where no frank is made; and neither counts
 * when it comes franked.
 */
import type { Bytes } from './bytes';
import { decode, encode } from './cbor';
import { contentOf, disposition, type Content, type Head, type Part } from './content';

export const STATUS_TYPE = 'application/mimi-message-status';
export const TYPING_TYPE = 'application/x.kith.typing';
export const MAX_RECEIPTS = 16;
/** This message and everything before it has been read: the only status that Kith sends. */
export const READ = 2;
const LAST_STATUS = 6;
const MESSAGE_ID = 32;

export type Signal = { what: 'typing' } | { what: 'receipts'; read: Bytes[] };

const signal = (head: Head, contentType: string, content: Uint8Array): Content =>
  contentOf(head, { disposition: disposition('session'), language: '', kind: 'single', contentType, content });

export const typingContent = (head: Head): Content => signal(head, TYPING_TYPE, new Uint8Array());

export function receiptsContent(head: Head, read: readonly Bytes[]): Content {
  const body = encode(read.map((id) => [id, READ]));
  if (receiptsOf(body) === null) throw new RangeError('these are not receipts');
  return signal(head, STATUS_TYPE, body);
}

/** What content of the ephemeral class says; null for all that is dropped. */
export function signalOf(content: Content): Signal | null {
  const { part, replaces, inReplyTo, expires } = content;
  if (replaces !== null || inReplyTo !== null || expires !== null) return null;
  if (part.kind !== 'single' || part.disposition !== disposition('session')) return null;
  if (part.contentType === TYPING_TYPE) return part.content.length === 0 ? { what: 'typing' } : null;
  return part.contentType === STATUS_TYPE ? receiptsOf(part.content) : null;
}

function receiptsOf(body: Uint8Array): Signal | null {
  let value: unknown;
  try {
    value = decode(body);
  } catch {
    return null; // whatever it is, it is no receipts
  }
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_RECEIPTS || !value.every(isReceipt)) return null;
  const pairs = value as [Uint8Array, number][];
  return { what: 'receipts', read: pairs.filter(([, status]) => status === READ).map(([id]) => id.slice() as Bytes) };
}

function isReceipt(value: unknown): boolean {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [id, status] = value as [unknown, unknown];
  return id instanceof Uint8Array && id.length === MESSAGE_ID && Number.isInteger(status) && (status as number) >= 0 && (status as number) <= LAST_STATUS;
}

/** Whether a durable message carries what belongs into the ephemeral class: nothing of it is shown. */
export function misplaced(part: Part): boolean {
  if (part.kind === 'multi') return part.parts.some(misplaced);
  return part.kind === 'single' && (part.contentType === STATUS_TYPE || part.contentType === TYPING_TYPE);
}
