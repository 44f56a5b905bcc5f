/**
 * What this device keeps, sealed under a key that exists only while the device is signed in.
 *
 * root = HKDF-SHA256(ikm = K_local, salt = share, info = "kith at-rest v1" ‖ account ‖ device). K_local is here, the
 * share is released by the server to the live session and never stored; signing out destroys it, and with it
 * everything sealed here. A record is iv(12) ‖ AES-256-GCM, with `store ‖ 00 ‖ key` as AAD so that records cannot be
 * exchanged.
 */
import { concat, utf8, type Bytes } from '../protocol/bytes';
import { decode, encode } from '../protocol/msgpack';
import type { Backend, Home, Range, StoreName, Write } from './home';

const IV_SIZE = 12;

/** A record that this root did not seal at this place. */
export class Unsealable extends Error {
  override readonly name = 'Unsealable';
}

export async function rootKey(local: CryptoKey, share: Uint8Array, account: string, device: string): Promise<CryptoKey> {
  const algorithm = {
    name: 'HKDF', hash: 'SHA-256', salt: share as Bytes, info: concat(utf8('kith at-rest v1'), utf8(account), utf8(device)),
  };
  return crypto.subtle.deriveKey(algorithm, local, { name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']);
}

export class Vault {
  readonly #backend: Backend;
  #closed = false;

  constructor(private readonly home: Home, private readonly root: CryptoKey) {
    this.#backend = home.backend;
  }

  /** After this nothing is read or written any more: work that is still under way ends with `Unsealable`. */
  close(): void {
    this.#closed = true;
  }

  #checkOpen(): void {
    if (this.#closed) throw new Unsealable('This device was locked.');
  }

  #algorithm(iv: Bytes, store: StoreName, key: string): AesGcmParams {
    return { name: 'AES-GCM', iv, additionalData: concat(utf8(store), Uint8Array.of(0), utf8(key)) };
  }

  /** A change that puts `value`, sealed. All sealing happens before the transaction is opened. */
  async put(store: StoreName, key: string, value: unknown): Promise<Write> {
    const iv = this.home.random(IV_SIZE);
    const sealed = await crypto.subtle.encrypt(this.#algorithm(iv, store, key), this.root, encode(value));
    return { store, key, value: concat(iv, new Uint8Array(sealed)) };
  }

  remove(store: StoreName, key: string): Write {
    return { store, key, value: null };
  }

  async #open(store: StoreName, key: string, sealed: Bytes): Promise<unknown> {
    this.#checkOpen();
    let plain: ArrayBuffer;
    try {
      const iv = sealed.slice(0, IV_SIZE);
      plain = await crypto.subtle.decrypt(this.#algorithm(iv, store, key), this.root, sealed.slice(IV_SIZE));
    } catch {
      throw new Unsealable(`A stored record of ${store} cannot be opened.`);
    }
    return decode(new Uint8Array(plain));
  }

  async get<T>(store: StoreName, key: string): Promise<T | null> {
    const sealed = await this.#backend.get(store, key);
    return sealed === null ? null : ((await this.#open(store, key, sealed)) as T);
  }

  /** The sealed bytes as stored: equal bytes mean that nobody wrote in between, because every sealing has its own iv. */
  raw(store: StoreName, key: string): Promise<Bytes | null> {
    return this.#backend.get(store, key);
  }

  async opened<T>(store: StoreName, key: string, sealed: Bytes): Promise<T> {
    return (await this.#open(store, key, sealed)) as T;
  }

  async range<T>(store: StoreName, range: Range): Promise<{ key: string; value: T }[]> {
    const entries = await this.#backend.range(store, range);
    return Promise.all(entries.map(async ({ key, value }) => ({ key, value: (await this.#open(store, key, value)) as T })));
  }

  /** One strict transaction. */
  async write(...writes: Write[]): Promise<void> {
    this.#checkOpen();
    await this.#backend.write(writes);
  }

  async save(store: StoreName, key: string, value: unknown): Promise<void> {
    await this.write(await this.put(store, key, value));
  }
}
