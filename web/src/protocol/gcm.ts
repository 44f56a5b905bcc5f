/**
 * AES-256-GCM (NIST SP 800-38D) piece by piece, with memory that does not grow with the file.
 *
 * WebCrypto does only whole messages, but what GCM is made of can be had from it at its own speed: the cipher is CTR from
 * counter 2 on, and the tag of an empty message whose additional data is X holds GHASH(X ‖ length). From the second, the
 * GHASH of a long text is put together with one multiplication in GF(2^128) for each piece.
 */
import { equal, type Bytes } from './bytes';

export const KEY_SIZE = 32;
export const NONCE_SIZE = 12;
export const TAG_SIZE = 16;
const BLOCK = 16;

/** x^128 = x^7 + x^2 + x + 1, in GCM's order of bits (section 6.3). */
const REDUCTION = 0xe1n << 120n;

const toNumber = (block: Uint8Array): bigint => block.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);

function toBlock(value: bigint): Bytes {
  const block = new Uint8Array(BLOCK);
  const view = new DataView(block.buffer);
  view.setBigUint64(0, value >> 64n);
  view.setBigUint64(8, value & 0xffff_ffff_ffff_ffffn);
  return block;
}

function multiply(x: bigint, y: bigint): bigint {
  let product = 0n;
  let v = y;
  for (let bit = 127n; bit >= 0n; bit--) {
    if ((x >> bit) & 1n) product ^= v;
    v = v & 1n ? (v >> 1n) ^ REDUCTION : v >> 1n;
  }
  return product;
}

function power(base: bigint, exponent: number): bigint {
  let result = 1n << 127n; // the one of this field
  for (let square = base, left = exponent; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) result = multiply(result, square);
    square = multiply(square, square);
  }
  return result;
}

function counterBlock(nonce: Uint8Array, counter: number): Bytes {
  const block = new Uint8Array(BLOCK);
  block.set(nonce);
  new DataView(block.buffer).setUint32(NONCE_SIZE, counter);
  return block;
}

/** The cipher of GCM alone: what it makes of bytes says nothing about whether they are genuine. */
export class Counter {
  private constructor(private readonly key: CryptoKey, private readonly nonce: Bytes) {}

  static async create(key: Uint8Array, nonce: Uint8Array): Promise<Counter> {
    if (key.length !== KEY_SIZE || nonce.length !== NONCE_SIZE) throw new RangeError('AES-256-GCM takes 32 and 12 bytes');
    return new Counter(await crypto.subtle.importKey('raw', key.slice(), 'AES-CTR', false, ['encrypt']), nonce.slice());
  }

  /** Encrypts or decrypts bytes that lie at `offset` (a multiple of 16) of the whole. */
  async apply(bytes: Uint8Array, offset: number): Promise<Bytes> {
    const counter = counterBlock(this.nonce, 2 + offset / BLOCK);
    return new Uint8Array(await crypto.subtle.encrypt({ name: 'AES-CTR', counter, length: 32 }, this.key, bytes as Bytes));
  }

  /** AES of one block. */
  async block(counter: Bytes): Promise<bigint> {
    return toNumber(new Uint8Array(await crypto.subtle.encrypt({ name: 'AES-CTR', counter, length: 32 }, this.key, new Uint8Array(BLOCK))));
  }

  first(): Bytes {
    return counterBlock(this.nonce, 1);
  }
}

/** The tag of a ciphertext that comes in pieces, without additional data. */
export class Tag {
  /** GHASH of what came so far, times H. */
  #running = 0n;
  #length = 0;
  readonly #powers = new Map<number, bigint>();

  private constructor(
    private readonly key: CryptoKey, private readonly nonce: Bytes, private readonly h: bigint, private readonly mask: bigint,
  ) {}

  static async create(key: Uint8Array, nonce: Uint8Array): Promise<Tag> {
    const counter = await Counter.create(key, nonce);
    const gcm = await crypto.subtle.importKey('raw', key.slice(), 'AES-GCM', false, ['encrypt']);
    return new Tag(gcm, nonce.slice(), await counter.block(new Uint8Array(BLOCK)), await counter.block(counter.first()));
  }

  /** The next ciphertext; all pieces but the last are a multiple of 16 bytes. */
  async update(piece: Uint8Array): Promise<void> {
    if (piece.length === 0) return;
    if (this.#length % BLOCK !== 0) throw new RangeError('only the last piece may end within a block');
    const algorithm = { name: 'AES-GCM', iv: this.nonce, additionalData: piece as Bytes };
    const masked = new Uint8Array(await crypto.subtle.encrypt(algorithm, this.key, new Uint8Array()));
    const own = toNumber(masked) ^ this.mask ^ multiply(BigInt(piece.length * 8) << 64n, this.h);
    this.#running = multiply(this.#running, this.#power(Math.ceil(piece.length / BLOCK))) ^ own;
    this.#length += piece.length;
  }

  #power(blocks: number): bigint {
    const known = this.#powers.get(blocks) ?? power(this.h, blocks);
    this.#powers.set(blocks, known);
    return known;
  }

  digest(): Bytes {
    return toBlock(this.#running ^ multiply(BigInt(this.#length * 8), this.h) ^ this.mask);
  }

  matches(tag: Uint8Array): boolean {
    return equal(this.digest(), tag);
  }
}
