/**
 * Adding a device by approval: the new device shows a code, an own device seals the identity key to it. The code never
 * passes through the server; it proves the new device's one-time key and enters the key that seals (docs/api.md, People).
 */
import { hkdf } from '@noble/hashes/hkdf.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concat, sameInConstantTime, utf8, vector, wipe, type Bytes } from './bytes';
import { readGrouped, showGrouped } from './recovery';

export const LINK_CODE_BYTES = 10;
const CHARACTERS = 16;
const KEY = 32;
const IV = 12;
const SEALED = KEY + IV + 32 + 16;

export interface LinkParties { account: string; device: string }

export const formatLinkCode = (code: Uint8Array): string => showGrouped(code, CHARACTERS);
export const parseLinkCode = (typed: string): Bytes => readGrouped(typed, LINK_CODE_BYTES, CHARACTERS, 'device code');

const derive = (secret: Uint8Array, info: Uint8Array): Bytes => hkdf(sha256, secret, undefined, info, KEY) as Bytes;
const named = ({ account, device }: LinkParties): Bytes => concat(vector(utf8(account)), vector(utf8(device)));

/** The new device's proof that this one-time key is its own. */
export const linkTag = (code: Uint8Array, parties: LinkParties, publicKey: Uint8Array): Bytes =>
  hmac(sha256, derive(code, utf8('kith link tag v1')), concat(named(parties), publicKey)) as Bytes;

export const isTagged = (code: Uint8Array, parties: LinkParties, publicKey: Uint8Array, shown: Uint8Array): boolean =>
  sameInConstantTime(linkTag(code, parties, publicKey), shown);

/** A one-time key; the private half cannot leave. */
export async function oneTimeKey(): Promise<{ privateKey: CryptoKey; publicKey: Bytes }> {
  const pair = (await crypto.subtle.generateKey('X25519', false, ['deriveBits'])) as CryptoKeyPair;
  return { privateKey: pair.privateKey, publicKey: new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey)) };
}

async function sealingKey(
  privateKey: CryptoKey, other: Uint8Array, code: Uint8Array, to: Uint8Array, ephemeral: Uint8Array, use: 'encrypt' | 'decrypt',
): Promise<CryptoKey> {
  const publicKey = await crypto.subtle.importKey('raw', other as Bytes, 'X25519', false, []);
  const shared = new Uint8Array(await crypto.subtle.deriveBits({ name: 'X25519', public: publicKey }, privateKey, 256));
  const raw = derive(concat(shared, code), concat(utf8('kith link seal v1'), to, ephemeral));
  const key = await crypto.subtle.importKey('raw', raw, 'AES-GCM', false, [use]);
  wipe(shared, raw);
  return key;
}

/** e(32) ‖ iv(12) ‖ AES-256-GCM(seed), for the device that showed the code. */
export async function sealForDevice(
  code: Uint8Array, parties: LinkParties, to: Uint8Array, seed: Uint8Array, iv: Bytes,
): Promise<Bytes> {
  const own = await oneTimeKey();
  const key = await sealingKey(own.privateKey, to, code, to, own.publicKey, 'encrypt');
  const box = await crypto.subtle.encrypt({ name: 'AES-GCM', iv, additionalData: named(parties) }, key, seed as Bytes);
  return concat(own.publicKey, iv, new Uint8Array(box));
}

/** The identity seed, or null when it was not sealed to this device under this code. */
export async function openForDevice(
  code: Uint8Array, parties: LinkParties, own: { privateKey: CryptoKey; publicKey: Uint8Array }, sealed: Uint8Array,
): Promise<Bytes | null> {
  if (sealed.length !== SEALED) return null;
  const ephemeral = sealed.slice(0, KEY);
  try {
    const key = await sealingKey(own.privateKey, ephemeral, code, own.publicKey, ephemeral, 'decrypt');
    const algorithm = { name: 'AES-GCM', iv: sealed.slice(KEY, KEY + IV) as Bytes, additionalData: named(parties) };
    return new Uint8Array(await crypto.subtle.decrypt(algorithm, key, sealed.slice(KEY + IV) as Bytes));
  } catch (error) {
    if (error instanceof DOMException) return null; // another key, code or device
    throw error;
  }
}
