/** An engine's home in a browser worker: IndexedDB, navigator.locks, BroadcastChannel, the session cookie. */
import { openDB, type DBSchema, type IDBPDatabase } from 'idb';
import type { Bytes } from '../protocol/bytes';
import { SUBPROTOCOL } from '../protocol/frames';
import {
  pictureOf, posted, storeNames, Unreachable, type Answer, type Backend, type Entry, type Home, type Range, type Socket, type SocketEvents,
  type StoreName, type Write,
} from './home';

const DATABASE = 'kith';
/** 2: the pieces of attachments. */
const VERSION = 2;
const LOCAL_KEY = 'local';
const REQUEST_TIMEOUT_MS = 30_000;
/** Sorts after every key, because keys are ASCII. */
const LAST = '\uffff';

type Stored = Bytes | CryptoKey;
type Schema = DBSchema & Record<StoreName, { key: string; value: Stored }>;

class IndexedBackend implements Backend {
  #opening: Promise<IDBPDatabase<Schema>> | null = null;

  #database(): Promise<IDBPDatabase<Schema>> {
    this.#opening ??= openDB<Schema>(DATABASE, VERSION, {
      upgrade: (database) => storeNames.forEach((name) => {
        if (!database.objectStoreNames.contains(name)) database.createObjectStore(name);
      }),
      // A tab with a newer version waits for this one to let go; what is asked here after that fails, until it is reloaded.
      blocking: (_current, _wanted, event) => (event.target as IDBDatabase).close(),
    });
    return this.#opening;
  }

  async get(store: StoreName, key: string): Promise<Bytes | null> {
    const found = await (await this.#database()).get(store, key);
    return found instanceof Uint8Array ? found : null;
  }

  async range(store: StoreName, { prefix, from, before, reverse, limit }: Range): Promise<Entry[]> {
    const span = IDBKeyRange.bound(from ?? prefix, before ?? prefix + LAST, false, true);
    const transaction = (await this.#database()).transaction(store);
    const found: Entry[] = [];
    let cursor = await transaction.store.openCursor(span, reverse ? 'prev' : 'next');
    while (cursor && (limit === undefined || found.length < limit)) {
      if (cursor.value instanceof Uint8Array && cursor.key.startsWith(prefix)) found.push({ key: cursor.key, value: cursor.value });
      cursor = await cursor.continue();
    }
    return found;
  }

  async keys(store: StoreName, { prefix, from, before, reverse, limit }: Range): Promise<string[]> {
    const span = IDBKeyRange.bound(from ?? prefix, before ?? prefix + LAST, false, true);
    const found = (await (await this.#database()).getAllKeys(store, span)).filter((key) => key.startsWith(prefix));
    return (reverse ? found.reverse() : found).slice(0, limit);
  }

  async write(writes: readonly Write[]): Promise<void> {
    const stores = [...new Set(writes.map((write) => write.store))];
    if (stores.length === 0) return;
    // A transaction commits itself when anything but its own requests is awaited: all sealing is done before this.
    const durability = stores.every((name) => name === 'blobs') ? 'relaxed' : 'strict';
    const transaction = (await this.#database()).transaction(stores, 'readwrite', { durability });
    const requests = writes.map(({ store, key, value }) =>
      value === null ? transaction.objectStore(store).delete(key) : transaction.objectStore(store).put(value, key));
    await Promise.all([...requests, transaction.done]);
  }

  async localKey(): Promise<CryptoKey> {
    const database = await this.#database();
    const found = await database.get('keys', LOCAL_KEY);
    if (found instanceof CryptoKey) return found;
    const raw = crypto.getRandomValues(new Uint8Array(32));
    const key = await crypto.subtle.importKey('raw', raw, 'HKDF', false, ['deriveKey']);
    raw.fill(0);
    await database.put('keys', key, LOCAL_KEY);
    return key;
  }

  async erase(): Promise<void> {
    const database = await this.#database();
    const transaction = database.transaction([...storeNames], 'readwrite', { durability: 'strict' });
    await Promise.all([...storeNames.map((name) => transaction.objectStore(name).clear()), transaction.done]);
  }
}

export class BrowserHome implements Home {
  readonly backend = new IndexedBackend();
  readonly bearer = false;
  readonly origin = self.location.origin;
  readonly #channel = new BroadcastChannel('kith');

  setToken(): void {
    // The cookie is the browser's business.
  }

  now(): number {
    return Date.now();
  }

  random(size: number): Bytes {
    return crypto.getRandomValues(new Uint8Array(size));
  }

  async request(method: string, path: string, body?: unknown): Promise<Answer> {
    const init: RequestInit = {
      method, credentials: 'same-origin', cache: 'no-store', redirect: 'error', signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    };
    try {
      const response = await fetch(path, { ...init, ...posted(body) });
      const picture = await pictureOf(response);
      if (picture) return { status: response.status, body: picture };
      const json = response.headers.get('Content-Type')?.includes('json') ?? false;
      return { status: response.status, body: json ? ((await response.json()) as unknown) : null };
    } catch {
      throw new Unreachable('no answer, or half of one');
    }
  }

  async octets(method: string, path: string, headers: Record<string, string>, body: readonly Bytes[] | null, signal: AbortSignal): Promise<Response> {
    // Octets of a blob go straight from the browser’s own store; an array would be copied through this thread.
    const init: RequestInit = { method, headers, body: body && new Blob([...body]), signal, credentials: 'same-origin', cache: 'no-store', redirect: 'error' };
    return fetch(path, init).catch(() => {
      throw new Unreachable('no answer');
    });
  }

  openSocket(events: SocketEvents): Socket {
    const socket = new WebSocket(`${this.origin.replace(/^http/, 'ws')}/ws`, SUBPROTOCOL);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => events.opened();
    socket.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (data instanceof ArrayBuffer) events.received(new Uint8Array(data));
    };
    socket.onclose = () => events.closed();
    return { send: (bytes) => socket.send(bytes as Bytes), close: () => socket.close() };
  }

  locked<T>(name: string, work: () => Promise<T>): Promise<T> {
    return navigator.locks.request(name, { mode: 'exclusive' }, work) as Promise<T>;
  }

  hold(name: string, signal: AbortSignal, work: () => void): void {
    const until = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    const held = navigator.locks.request(name, { mode: 'exclusive', signal }, () => {
      work();
      return until;
    });
    held.catch((error: unknown) => {
      if (!(error instanceof DOMException && error.name === 'AbortError')) throw error;
    });
  }

  tell(message: unknown): void {
    this.#channel.postMessage(message);
  }

  listen(heard: (message: unknown) => void): void {
    this.#channel.onmessage = ({ data }: MessageEvent<unknown>) => heard(data);
  }

  after(ms: number, work: () => void): () => void {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  }

  network(changed: () => void): () => void {
    const names = ['online', 'offline'];
    names.forEach((name) => self.addEventListener(name, changed));
    return () => names.forEach((name) => self.removeEventListener(name, changed));
  }

  async unsupported(): Promise<string | null> {
    if (!self.isSecureContext || !crypto.subtle) return 'Kith needs a secure connection (https).';
    if (!('locks' in navigator) || !('indexedDB' in self) || typeof BigInt !== 'function') return TOO_OLD;
    try {
      await Promise.all([
        crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify']),
        crypto.subtle.generateKey('X25519', false, ['deriveBits']),
        this.backend.get('meta', 'probe'),
      ]);
      return null;
    } catch {
      return TOO_OLD;
    }
  }
}

const TOO_OLD = 'This browser is too old for Kith, or does not let it keep data. Try a current Firefox, Chrome or Safari.';
