/**
 * The recovery code: 160 random bits that only the person keeps.
 *
 * It is shown once as 32 characters of Crockford base32 and 2 check characters, in groups. One key derived from it
 * proves to the server that the code is known; another, which never leaves the device, seals the identity key.
 */
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { Malformed, utf8, wipe, concat, type Bytes } from './bytes';

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
export const CODE_BYTES = 20;
const CODE_CHARACTERS = 32;
const CHECK_CHARACTERS = 2;
const IV_SIZE = 12;

function base32(bytes: Uint8Array, characters: number): string {
  let bits = 0;
  let held = 0;
  let text = '';
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5 && text.length < characters) {
      bits -= 5;
      text += ALPHABET[(held >> bits) & 31];
    }
    held &= (1 << bits) - 1;
  }
  return text;
}

/** The first 10 bits of SHA-256 of the code bytes: one in 1,024 mistyped codes passes. */
function checkOf(bytes: Uint8Array): string {
  return base32(sha256(bytes), CHECK_CHARACTERS);
}

/** How a code is shown: `XXXX-XXXX-…-XX`. */
export function formatCode(bytes: Uint8Array): string {
  if (bytes.length !== CODE_BYTES) throw new Malformed('a recovery code has 160 bits');
  return showGrouped(bytes, CODE_CHARACTERS);
}

/** Reads what a person typed: any case, spaces or hyphens, and the letters that look like digits. */
export const parseCode = (typed: string): Bytes => readGrouped(typed, CODE_BYTES, CODE_CHARACTERS, 'recovery code');

/** A code with its check characters, in groups of four. */
export const showGrouped = (bytes: Uint8Array, characters: number): string =>
  (base32(bytes, characters) + checkOf(bytes)).match(/.{1,4}/g)!.join('-');

/** The bytes of a typed code, or a sentence about what is wrong with it. */
export function readGrouped(typed: string, size: number, characters: number, called: string): Bytes {
  const text = typed.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1');
  if (text.length !== characters + CHECK_CHARACTERS) throw new Malformed(`The ${called} has ${characters + CHECK_CHARACTERS} characters.`);
  const bytes = new Uint8Array(size);
  let held = 0;
  let bits = 0;
  let at = 0;
  for (const letter of text.slice(0, characters)) {
    const value = ALPHABET.indexOf(letter);
    if (value < 0) throw new Malformed(`The ${called} has a character that is never used in one.`);
    held = ((held << 5) | value) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = (held >> bits) & 0xff;
    }
  }
  if (checkOf(bytes) !== text.slice(characters)) throw new Malformed(`That ${called} has a typing mistake.`);
  return bytes;
}

function derive(code: Uint8Array, info: string): Bytes {
  return hkdf(sha256, code, undefined, utf8(info), 32) as Bytes;
}

/** Sent to the server, which keeps only a hash: proves knowledge of the code. */
export const recoveryAuth = (code: Uint8Array): Bytes => derive(code, 'kith recovery auth v1');

async function kek(code: Uint8Array, use: 'encrypt' | 'decrypt'): Promise<CryptoKey> {
  const raw = derive(code, 'kith recovery kek v1');
  const key = await crypto.subtle.importKey('raw', raw, 'AES-GCM', false, [use]);
  wipe(raw);
  return key;
}

/** iv(12) ‖ AES-256-GCM(kek, seed, AAD = account URI). */
export async function sealAik(code: Uint8Array, seed: Uint8Array, account: string, iv: Bytes): Promise<Bytes> {
  const algorithm = { name: 'AES-GCM', iv, additionalData: utf8(account) };
  return concat(iv, new Uint8Array(await crypto.subtle.encrypt(algorithm, await kek(code, 'encrypt'), seed as Bytes)));
}

/** The identity seed, or null when this code or account did not seal it. */
export async function openAik(code: Uint8Array, sealed: Uint8Array, account: string): Promise<Bytes | null> {
  if (sealed.length !== IV_SIZE + 32 + 16) return null;
  const algorithm = { name: 'AES-GCM', iv: sealed.slice(0, IV_SIZE) as Bytes, additionalData: utf8(account) };
  try {
    const opened = await crypto.subtle.decrypt(algorithm, await kek(code, 'decrypt'), sealed.slice(IV_SIZE) as Bytes);
    return new Uint8Array(opened);
  } catch (error) {
    if (error instanceof DOMException) return null; // the authentication tag does not match
    throw error;
  }
}
