/**
 * Safety numbers: libsignal's numeric fingerprint, version 0, over the account identity keys. What two people read to
 * each other to know that nobody stands between them; a further device does not change it.
 */
import { sha512 } from '@noble/hashes/sha2.js';
import { concat, sameInConstantTime, type Bytes } from './bytes';

const ITERATIONS = 5_200;
const VERSION = new Uint8Array(2);

/** The 64 bytes of one side, from its identity key and the bytes of its account id. */
export function fingerprint(key: Uint8Array, identifier: Uint8Array): Uint8Array {
  let made = sha512(concat(VERSION, key, identifier, key));
  for (let round = 1; round < ITERATIONS; round++) made = sha512(concat(made, key));
  return made;
}

function digits(side: Uint8Array): string {
  let text = '';
  for (let at = 0; at < 30; at += 5) {
    const group = side.slice(at, at + 5).reduce((value, byte) => value * 256 + byte, 0); // below 2^40: exact
    text += (group % 100_000).toString().padStart(5, '0');
  }
  return text;
}

/** The 60 digits that both sides see alike, as 12 groups of 5. */
export function safetyNumber(mine: Uint8Array, theirs: Uint8Array): string[] {
  return [digits(mine), digits(theirs)].sort().join('').match(/.{5}/g)!;
}

/** What my QR code holds: the version and the first 32 bytes of each side. */
export const scannable = (mine: Uint8Array, theirs: Uint8Array): Bytes =>
  concat(VERSION.slice(0, 1), mine.slice(0, 32), theirs.slice(0, 32));

/** Whether the other side's code is about the same two keys, crosswise. */
export const matches = (scanned: Uint8Array, mine: Uint8Array, theirs: Uint8Array): boolean =>
  sameInConstantTime(scanned, scannable(theirs, mine));
