/** Ed25519 through WebCrypto, and SignWithLabel of RFC 9420 section 5.1.2. */
import { Malformed, utf8, vector, concat, type Bytes } from './bytes';

const PKCS8_ED25519 = Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20);

/** Signs, without showing the key: the seed is inside a non-extractable CryptoKey. */
export interface Signer {
  readonly publicKey: Bytes;
  sign(message: Uint8Array): Promise<Bytes>;
}

function labelled(label: string, content: Uint8Array): Bytes {
  return concat(vector(utf8(`MLS 1.0 ${label}`)), vector(content));
}

export async function signWithLabel(signer: Signer, label: string, content: Uint8Array): Promise<Bytes> {
  return signer.sign(labelled(label, content));
}

/** Whether `signature` is `publicKey`'s over the labelled content. Never throws for bad bytes. */
export async function verifyWithLabel(
  publicKey: Uint8Array,
  label: string,
  content: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  const key = await publicKeyHandle(publicKey);
  if (key === null) return false;
  return crypto.subtle.verify('Ed25519', key, signature as Bytes, labelled(label, content));
}

async function publicKeyHandle(raw: Uint8Array): Promise<CryptoKey | null> {
  try {
    return await crypto.subtle.importKey('raw', raw as Bytes, 'Ed25519', false, ['verify']);
  } catch (error) {
    if (error instanceof DOMException) return null; // not a point on the curve
    throw error;
  }
}

/** A signer from a 32-byte seed. The caller wipes the seed; the handle cannot be exported. */
export async function signerFromSeed(seed: Uint8Array, publicKey: Uint8Array): Promise<Signer> {
  if (seed.length !== 32 || publicKey.length !== 32) throw new Malformed('an Ed25519 key has 32 bytes');
  const pkcs8 = concat(PKCS8_ED25519, seed);
  const key = await crypto.subtle.importKey('pkcs8', pkcs8, 'Ed25519', false, ['sign']);
  pkcs8.fill(0);
  return {
    publicKey: publicKey.slice() as Bytes,
    sign: async (message) => new Uint8Array(await crypto.subtle.sign('Ed25519', key, message as Bytes)),
  };
}

/** A new Ed25519 seed and its public key. The only moment at which a seed is in our hands; seal it and wipe it. */
export async function newSeed(): Promise<{ seed: Bytes; publicKey: Bytes }> {
  const pair = (await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as CryptoKeyPair;
  const pkcs8 = new Uint8Array(await crypto.subtle.exportKey('pkcs8', pair.privateKey));
  const publicKey = new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey));
  const seed = pkcs8.slice(-32);
  pkcs8.fill(0);
  return { seed, publicKey };
}

/** The public key of a seed: needed when a seed comes back from a sealed copy. */
export async function publicKeyOf(seed: Uint8Array): Promise<Bytes> {
  const pkcs8 = concat(PKCS8_ED25519, seed);
  const key = await crypto.subtle.importKey('pkcs8', pkcs8, 'Ed25519', true, ['sign']);
  pkcs8.fill(0);
  const jwk = await crypto.subtle.exportKey('jwk', key);
  const base64 = (jwk.x ?? '').replaceAll('-', '+').replaceAll('_', '/');
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}
