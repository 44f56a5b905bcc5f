/**
 * Suite 1 of RFC 9420 (X25519, AES-128-GCM, SHA-256, Ed25519) and no other, all of it WebCrypto's: the library's own
 * provider would bring every suite along. The vectors of RFC 9420 are checked on this one.
 */
import { Aes128Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core';
import type { CiphersuiteImpl } from 'ts-mls';
import { makeHashImpl } from 'ts-mls/crypto/implementation/default/makeHashImpl.js';
import { makeKdfImpl } from 'ts-mls/crypto/implementation/default/makeKdfImpl.js';
import { makeGenericHpke } from 'ts-mls/crypto/implementation/hpke.js';
import type { Bytes } from '../protocol/bytes';

export const SUITE = 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519' as const;
const HPKE = { kem: 'DHKEM-X25519-HKDF-SHA256', kdf: 'HKDF-SHA256', aead: 'AES128GCM' } as const;

type Seal = (key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, data: Uint8Array) => Promise<Uint8Array>;

const aesGcm = (use: 'encrypt' | 'decrypt'): Seal => async (key, nonce, aad, data) => {
  const handle = await crypto.subtle.importKey('raw', key as Bytes, 'AES-GCM', false, [use]);
  const params = { name: 'AES-GCM', iv: nonce as Bytes, additionalData: aad as Bytes };
  return new Uint8Array(await crypto.subtle[use](params, handle, data as Bytes));
};

/** Everything of the suite but a signature key: `verify` judges others, who signs is the caller's matter. */
export async function suite(signature: Omit<CiphersuiteImpl['signature'], 'verify'>): Promise<CiphersuiteImpl> {
  const hpke = new CipherSuite({ kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes128Gcm() });
  return {
    name: SUITE,
    hash: makeHashImpl(crypto.subtle, 'SHA-256'),
    kdf: makeKdfImpl(new HkdfSha256()),
    hpke: await makeGenericHpke(HPKE, { encrypt: aesGcm('encrypt'), decrypt: aesGcm('decrypt') }, hpke),
    rng: { randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)) },
    signature: { ...signature, verify },
  };
}

async function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  const key = await crypto.subtle.importKey('raw', publicKey as Bytes, 'Ed25519', false, ['verify']);
  return crypto.subtle.verify('Ed25519', key, signature as Bytes, message as Bytes);
}
