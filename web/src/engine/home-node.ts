/** An engine's home in Node: synthetic people and tests. A folder instead of IndexedDB, a token instead of a cookie. */
import { appendFileSync, closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import WebSocket from 'ws';
import { concat, u32, type Bytes } from '../protocol/bytes';
import { SUBPROTOCOL } from '../protocol/frames';
import { decode, encode } from '../protocol/msgpack';
import {
  pictureOf, posted, storeNames, Unreachable, type Answer, type Backend, type Entry, type Home, type Range, type Socket, type SocketEvents,
  type StoreName, type Write,
} from './home';

const REQUEST_TIMEOUT_MS = 30_000;

export interface NodeOptions {
  /** The server's origin, for example http://127.0.0.1:8010. */
  origin: string;
  /** Where to keep the device; without one it lives in memory. */
  folder?: string;
  /** Whether every transaction waits for the disk. Crowds of synthetic people may leave it out. */
  durable?: boolean;
  now?: () => number;
}

type Tables = Record<StoreName, Map<string, Bytes>>;

function emptyTables(): Tables {
  return Object.fromEntries(storeNames.map((name) => [name, new Map<string, Bytes>()])) as Tables;
}

export function inRange(key: string, { prefix, from, before }: Range): boolean {
  return key.startsWith(prefix) && (from === undefined || key >= from) && (before === undefined || key < before);
}

/** Tables in memory, each transaction appended to a journal file first. A torn last record is dropped at the next start. */
export class FileBackend implements Backend {
  #tables = emptyTables();
  #localKey: Bytes | null = null;
  #file: number | null = null;

  constructor(private readonly folder: string | null, private readonly durable: boolean) {
    if (folder === null) return;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#load();
  }

  #path(name: string): string {
    return join(this.folder!, name);
  }

  #load(): void {
    if (existsSync(this.#path('local.key'))) this.#localKey = new Uint8Array(readFileSync(this.#path('local.key')));
    if (existsSync(this.#path('journal'))) this.#replay(new Uint8Array(readFileSync(this.#path('journal'))));
    this.#compact();
  }

  #replay(journal: Bytes): void {
    const view = new DataView(journal.buffer);
    for (let at = 0; at + 4 <= journal.length;) {
      const length = view.getUint32(at);
      if (at + 4 + length > journal.length) break;
      this.#apply(decode(journal.subarray(at + 4, at + 4 + length)) as [StoreName, string, Uint8Array | null][]);
      at += 4 + length;
    }
  }

  #apply(changes: readonly (readonly [StoreName, string, Uint8Array | null])[]): void {
    for (const [store, key, value] of changes) {
      if (value === null) this.#tables[store].delete(key);
      else this.#tables[store].set(key, value.slice() as Bytes);
    }
  }

  /** Writes what is left after all changes as the new journal. */
  #compact(): void {
    const all = storeNames.flatMap((store) => [...this.#tables[store]].map(([key, value]) => [store, key, value] as const));
    const path = this.#path('journal');
    const body = encode(all);
    writeFileSync(path, all.length > 0 ? concat(u32(body.length), body) : new Uint8Array(), { mode: 0o600 });
    this.#file = openSync(path, 'a', 0o600);
  }

  async get(store: StoreName, key: string): Promise<Bytes | null> {
    return this.#tables[store].get(key)?.slice() as Bytes | undefined ?? null;
  }

  async range(store: StoreName, range: Range): Promise<Entry[]> {
    const found = [...this.#tables[store]].filter(([key]) => inRange(key, range)).sort(([a], [b]) => (a < b ? -1 : 1));
    if (range.reverse) found.reverse();
    return found.slice(0, range.limit).map(([key, value]) => ({ key, value: value.slice() as Bytes }));
  }

  async keys(store: StoreName, range: Range): Promise<string[]> {
    return (await this.range(store, range)).map(({ key }) => key);
  }

  async write(writes: readonly Write[]): Promise<void> {
    const changes = writes.map(({ store, key, value }) => [store, key, value] as const);
    if (this.#file !== null) {
      const body = encode(changes);
      appendFileSync(this.#file, concat(u32(body.length), body));
      if (this.durable) fsyncSync(this.#file);
    }
    this.#apply(changes);
  }

  async localKey(): Promise<CryptoKey> {
    if (this.#localKey === null) {
      this.#localKey = crypto.getRandomValues(new Uint8Array(32));
      if (this.folder !== null) writeFileSync(this.#path('local.key'), this.#localKey, { mode: 0o600 });
    }
    return crypto.subtle.importKey('raw', this.#localKey, 'HKDF', false, ['deriveKey']);
  }

  async erase(): Promise<void> {
    this.#tables = emptyTables();
    this.#localKey = null;
    if (this.folder === null) return;
    if (this.#file !== null) closeSync(this.#file);
    rmSync(this.#path('journal'), { force: true });
    rmSync(this.#path('local.key'), { force: true });
    this.#compact();
  }
}

/** Locks among the engines of this process that share one store. */
class Locks {
  readonly #tails = new Map<string, Promise<unknown>>();

  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(name) ?? Promise.resolve();
    const mine = before.then(work, work);
    this.#tails.set(name, mine.catch(() => undefined));
    return mine;
  }
}

/** What engines on one device share, as tabs of one browser do. */
export class NodeDevice {
  readonly locks = new Locks();
  readonly listeners = new Set<(message: unknown) => void>();
  readonly backend: FileBackend;

  constructor(readonly options: NodeOptions) {
    this.backend = new FileBackend(options.folder ?? null, options.durable ?? true);
  }
}

/** One engine's home. Several homes on one device behave like several tabs. */
export class NodeHome implements Home {
  readonly bearer = true;
  readonly origin: string;
  readonly backend: Backend;
  #token: string | null = null;
  #heard: ((message: unknown) => void) | null = null;
  #timers = new Set<NodeJS.Timeout>();

  constructor(private readonly device: NodeDevice) {
    this.backend = device.backend;
    this.origin = device.options.origin;
  }

  setToken(token: string | null): void {
    this.#token = token;
  }

  now(): number {
    return (this.device.options.now ?? Date.now)();
  }

  random(size: number): Bytes {
    return crypto.getRandomValues(new Uint8Array(size));
  }

  #headers(): Record<string, string> {
    return this.#token === null ? {} : { Authorization: `Bearer ${this.#token}` };
  }

  async request(method: string, path: string, body?: unknown): Promise<Answer> {
    const { headers, ...content } = posted(body);
    const init: RequestInit = { method, headers: { ...headers, ...this.#headers() }, signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) };
    try {
      const response = await fetch(this.origin + path, { ...init, ...content });
      return { status: response.status, body: (await pictureOf(response)) ?? parseBody(await response.text()) };
    } catch (error) {
      throw new Unreachable(error instanceof Error ? error.message : 'no answer');
    }
  }

  async octets(method: string, path: string, headers: Record<string, string>, body: readonly Bytes[] | null, signal: AbortSignal): Promise<Response> {
    return fetch(this.origin + path, { method, headers: { ...headers, ...this.#headers() }, body: body && new Blob([...body]), signal }).catch(() => {
      throw new Unreachable('no answer');
    });
  }

  openSocket(events: SocketEvents): Socket {
    const socket = new WebSocket(`${this.origin.replace(/^http/, 'ws')}/ws`, SUBPROTOCOL, {
      headers: this.#headers(), perMessageDeflate: false, maxPayload: 2 * 1024 * 1024,
    });
    socket.binaryType = 'arraybuffer';
    let over = false;
    const closed = (): void => {
      if (!over) events.closed();
      over = true;
    };
    socket.on('open', () => events.opened());
    socket.on('message', (data: ArrayBuffer) => events.received(new Uint8Array(data)));
    socket.on('close', closed);
    socket.on('error', closed);
    return { send: (bytes) => socket.send(bytes), close: () => socket.terminate() };
  }

  locked<T>(name: string, work: () => Promise<T>): Promise<T> {
    return this.device.locks.run(name, work);
  }

  hold(name: string, signal: AbortSignal, work: () => void): void {
    void this.device.locks.run(name, async () => {
      if (signal.aborted) return;
      const done = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      work();
      await done;
    });
  }

  tell(message: unknown): void {
    for (const listener of this.device.listeners) if (listener !== this.#heard) listener(message);
  }

  listen(heard: (message: unknown) => void): void {
    this.#heard = heard;
    this.device.listeners.add(heard);
  }

  network(): () => void {
    return () => undefined; // Node tells nothing about the network; a dead connection shows by silence
  }

  after(ms: number, work: () => void): () => void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, ms);
    this.#timers.add(timer);
    return () => {
      clearTimeout(timer);
      this.#timers.delete(timer);
    };
  }

  /** Stops timers and listening, so that a process can end. */
  close(): void {
    this.#timers.forEach(clearTimeout);
    this.#timers.clear();
    if (this.#heard) this.device.listeners.delete(this.#heard);
  }

  async unsupported(): Promise<string | null> {
    return null;
  }
}

export function parseBody(text: string): unknown {
  if (text === '') return null;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null; // an error page of something in between; the status says enough
  }
}
