/**
 * Where an engine lives. One engine runs in a browser worker and in Node; everything that differs is behind `Home`.
 */
import type { Bytes } from '../protocol/bytes';
import type { Picture } from './contract';

/**
 * Stores of the device. Values are sealed (vault.ts), except the few of `keys` that are needed before unlocking, and
 * `blobs`: pieces of attachments as the server has them, ciphertext whose keys are in sealed records only.
 */
export const storeNames = ['keys', 'groups', 'trees', 'messages', 'outbox', 'meta', 'reports', 'blobs'] as const;
export type StoreName = (typeof storeNames)[number];

/** One change of a transaction; null removes. */
export interface Write { store: StoreName; key: string; value: Bytes | null }
export interface Entry { key: string; value: Bytes }

/** Keys from `prefix`, optionally only those at or after `from` and before `before`, in order or newest first. */
export interface Range { prefix: string; from?: string; before?: string; reverse?: boolean; limit?: number }

/** Durable storage of bytes under opaque keys. */
export interface Backend {
  get(store: StoreName, key: string): Promise<Bytes | null>;
  range(store: StoreName, range: Range): Promise<Entry[]>;
  keys(store: StoreName, range: Range): Promise<string[]>;
  /** All or nothing, and on disk when it returns; pieces of attachments alone may reach the disk later. */
  write(writes: readonly Write[]): Promise<void>;
  /** K_local: this device's half of the at-rest key, an HKDF base key. Made at the first call. */
  localKey(): Promise<CryptoKey>;
  /** Forgets everything, K_local included. */
  erase(): Promise<void>;
}

export interface SocketEvents {
  opened(): void;
  received(bytes: Uint8Array): void;
  closed(): void;
}
export interface Socket {
  send(bytes: Uint8Array): void;
  close(): void;
}

/** Of a picture `body` is a `Picture`; it goes to the server in the same way. */
export interface Answer { status: number; body: unknown }

const isPicture = (body: unknown): body is Picture =>
  typeof body === 'object' && body !== null && 'bytes' in body && body.bytes instanceof Uint8Array;

/** A body and its type as `fetch` takes them: a picture as it is, anything else as JSON. */
export function posted(body: unknown): { headers: Record<string, string>; body?: BodyInit } {
  if (body === undefined) return { headers: {} };
  if (isPicture(body)) return { headers: { 'Content-Type': body.type }, body: body.bytes };
  return { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
}

/** The picture of an answer, or null when it is something else. */
export async function pictureOf(response: Response): Promise<Picture | null> {
  const type = response.headers.get('Content-Type') ?? '';
  return type.startsWith('image/') ? { type, bytes: new Uint8Array(await response.arrayBuffer()) } : null;
}

/** The server cannot be reached now. Never a verdict about anything. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

export interface Home {
  readonly backend: Backend;
  /** True where sessions are bearer tokens (Node) instead of a cookie. */
  readonly bearer: boolean;
  /** The token for the following requests; kept by the caller. */
  setToken(token: string | null): void;
  now(): number;
  random(size: number): Bytes;
  /** One HTTP exchange with the own server; throws `Unreachable`. */
  request(method: string, path: string, body?: unknown): Promise<Answer>;
  /** One exchange of octets with the own server; throws `Unreachable`. The answer's body is read as it comes. */
  octets(method: string, path: string, headers: Record<string, string>, body: readonly Bytes[] | null, signal: AbortSignal): Promise<Response>;
  openSocket(events: SocketEvents): Socket;
  /** Runs `work` while nobody else on this device holds the lock of that name. */
  locked<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** Holds the lock until the signal, beginning whenever it becomes free; `work` starts then. */
  hold(name: string, signal: AbortSignal, work: () => void): void;
  /** Tells the other tabs; ids and states only, never content. */
  tell(message: unknown): void;
  listen(heard: (message: unknown) => void): void;
  /** Calls once after `ms`; returns how to call it off. */
  after(ms: number, work: () => void): () => void;
  /** Calls whenever the device's network came, went or changed; returns how to stop. */
  network(changed: () => void): () => void;
  /** Why this place cannot run the engine, or null. */
  unsupported(): Promise<string | null>;
  /** The origin that invitation links start with. */
  readonly origin: string;
}
