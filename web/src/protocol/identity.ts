/** Who signs for whom: the account identity key, device certificates, device lists and the server's key manifest. */
import { sha256 } from '@noble/hashes/sha2.js';
import { concat, equal, Malformed, Reader, toHex, u32, u64, u8, utf8, vector, whole, type Bytes } from './bytes';
import { signWithLabel, verifyWithLabel, type Signer } from './sign';
import { sameServer, uriField } from './uris';

const KEY_SIZE = 32;
const MAX_DEVICES = 64;

/** The account's word that a device and its MLS key are its own. */
export interface Certificate { account: string; device: string; mlsKey: Bytes; addedMs: number }

export function certificateTbs(certificate: Certificate): Bytes {
  return concat(
    vector(utf8(certificate.account)), vector(utf8(certificate.device)), keyBytes(certificate.mlsKey),
    u64(certificate.addedMs),
  );
}

function keyBytes(key: Uint8Array): Uint8Array {
  if (key.length !== KEY_SIZE) throw new Malformed('a public key has 32 bytes');
  return key;
}

export const signCertificate = (aik: Signer, certificate: Certificate): Promise<Bytes> =>
  signWithLabel(aik, 'KithDevice', certificateTbs(certificate));

export const verifyCertificate = (aik: Uint8Array, certificate: Certificate, signature: Uint8Array): Promise<boolean> =>
  verifyWithLabel(aik, 'KithDevice', certificateTbs(certificate), signature);

export interface DeviceEntry { device: string; mlsKey: Bytes; addedMs: number }
export interface DeviceList { account: string; version: number; signedMs: number; entries: DeviceEntry[] }

function encodeEntry(entry: DeviceEntry): Bytes {
  return concat(vector(utf8(entry.device)), vector(keyBytes(entry.mlsKey)), u64(entry.addedMs));
}

export function encodeDeviceList(list: DeviceList): Bytes {
  return concat(
    vector(utf8(list.account)), u64(list.version), u64(list.signedMs), vector(concat(...list.entries.map(encodeEntry))),
  );
}

export function decodeDeviceList(bytes: Uint8Array): DeviceList {
  return whole(bytes, (reader) => {
    const account = uriField(reader, 'u');
    const version = reader.u64();
    const signedMs = reader.u64();
    const entries = readEntries(reader.vector());
    entries.forEach((entry) => sameServer(account, entry.device));
    return { account, version, signedMs, entries };
  });
}

function readEntries(bytes: Uint8Array): DeviceEntry[] {
  const reader = new Reader(bytes);
  const entries: DeviceEntry[] = [];
  while (reader.left > 0) {
    if (entries.length === MAX_DEVICES) throw new Malformed('too many devices');
    const device = uriField(reader, 'd');
    const mlsKey = reader.vector();
    entries.push({ device, mlsKey: keyBytes(mlsKey) as Bytes, addedMs: reader.u64() });
  }
  for (const names of [entries.map((entry) => entry.device), entries.map((entry) => toHex(entry.mlsKey))]) {
    if (new Set(names).size !== names.length) throw new Malformed('a device or a key appears twice');
  }
  return entries;
}

export const signDeviceList = (aik: Signer, list: DeviceList): Promise<Bytes> =>
  signWithLabel(aik, 'KithDeviceList', encodeDeviceList(list));

/** Parses and verifies a device list; null when the signature is not the account key's. */
export async function verifiedDeviceList(
  aik: Uint8Array, bytes: Uint8Array, signature: Uint8Array,
): Promise<DeviceList | null> {
  const list = decodeDeviceList(bytes);
  return (await verifyWithLabel(aik, 'KithDeviceList', bytes, signature)) ? list : null;
}

/** One entry of the server's key manifest. */
export interface ManifestEntry {
  index: number;
  kind: number;
  publicKey: Bytes;
  firstHubKeyId: number;
  createdMs: number;
  previousHash: Bytes;
}
export interface SignedEntry { entry: Bytes; signature: Bytes }

export const HUB_SIGNING = 1;

export function encodeManifestEntry(entry: ManifestEntry): Bytes {
  return concat(
    u32(entry.index), u8(entry.kind), vector(entry.publicKey), u32(entry.firstHubKeyId), u64(entry.createdMs),
    vector(entry.previousHash),
  );
}

export function decodeManifestEntry(bytes: Uint8Array): ManifestEntry {
  return whole(bytes, (reader) => ({
    index: reader.uint(4),
    kind: reader.uint(1),
    publicKey: reader.vector(),
    firstHubKeyId: reader.uint(4),
    createdMs: reader.u64(),
    previousHash: reader.vector(64),
  }));
}

export const manifestEntryHash = (entry: Uint8Array): Bytes => sha256(entry) as Bytes;

/** The manifest was dropped, altered or is not a chain of signatures: the server must not be trusted further. */
export class ManifestRefused extends Error {
  override readonly name = 'ManifestRefused';
}

/**
 * Verifies a manifest from its first entry, each key signed by its predecessor and the first by itself, and that
 * everything pinned earlier is still there unchanged. Returns the parsed entries.
 */
export async function verifyManifest(served: readonly SignedEntry[], pinned: readonly Uint8Array[]): Promise<ManifestEntry[]> {
  if (served.length === 0) throw new ManifestRefused('The server shows no signing key.');
  pinned.forEach((entry, index) => {
    const now = served[index]?.entry;
    if (!now || !equal(now, entry)) throw new ManifestRefused('The server dropped or changed a signing key it showed before.');
  });
  const entries: ManifestEntry[] = [];
  for (const [index, { entry, signature }] of served.entries()) {
    const parsed = decodeManifestEntry(entry);
    const previous = entries[index - 1];
    checkLink(parsed, index, previous, served[index - 1]?.entry);
    const signer = previous?.publicKey ?? parsed.publicKey;
    if (!(await verifyWithLabel(signer, 'KithKeyManifest', entry, signature))) {
      throw new ManifestRefused('A signing key of the server is not signed by the one before it.');
    }
    entries.push(parsed);
  }
  return entries;
}

function checkLink(entry: ManifestEntry, index: number, previous: ManifestEntry | undefined, bytes: Uint8Array | undefined): void {
  const hash = bytes ? manifestEntryHash(bytes) : new Uint8Array();
  const rising = !previous || (entry.firstHubKeyId > previous.firstHubKeyId && entry.createdMs >= previous.createdMs);
  const sound = entry.index === index && entry.kind === HUB_SIGNING && entry.publicKey.length === KEY_SIZE;
  if (!rising || !sound || !equal(entry.previousHash, hash)) {
    throw new ManifestRefused('The list of the server’s signing keys is not a chain.');
  }
}

/** The public key that serves a hub_key_id: from its first id up to the next entry's first - 1. */
export function hubKeyFor(entries: readonly ManifestEntry[], hubKeyId: number): Bytes | null {
  const serving = entries.filter((entry) => entry.firstHubKeyId <= hubKeyId).at(-1);
  return serving?.publicKey ?? null;
}
