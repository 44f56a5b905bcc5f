import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat, fromHex, Malformed, toHex, u8, utf8, type Bytes } from '../src/protocol/bytes';
import {
  decodeDeviceList, encodeDeviceList, encodeManifestEntry, hubKeyFor, HUB_SIGNING, manifestEntryHash, ManifestRefused,
  signCertificate, signDeviceList, verifiedDeviceList, verifyCertificate, verifyManifest, type Certificate,
  type DeviceList, type ManifestEntry, type SignedEntry,
} from '../src/protocol/identity';
import { formatCode, openAik, parseCode, recoveryAuth, sealAik } from '../src/protocol/recovery';
import { newSeed, publicKeyOf, signerFromSeed, signWithLabel, type Signer } from '../src/protocol/sign';
import { accountUri, credentialIdentity, deviceUri, parseCredentialIdentity, uuidBytes, uuidFromBytes } from '../src/protocol/uris';
import { account } from './shared';

const newSigner = async (): Promise<Signer> => {
  const { seed, publicKey } = await newSeed();
  return signerFromSeed(seed, publicKey);
};
const alice = accountUri('h.example', account(1));
const phone = deviceUri('h.example', account(2));
const mlsKey = new Uint8Array(32).fill(5);

/** A chain of signed entries, each key signed by its predecessor. */
async function chain(length: number): Promise<{ served: SignedEntry[]; keys: Signer[] }> {
  const served: SignedEntry[] = [];
  const keys: Signer[] = [];
  for (let index = 0; index < length; index++) {
    const key = await newSigner();
    const entry: ManifestEntry = {
      index, kind: HUB_SIGNING, publicKey: key.publicKey, firstHubKeyId: index * 10 + 1, createdMs: 1000 + index,
      previousHash: index === 0 ? new Uint8Array() : manifestEntryHash(served[index - 1]!.entry),
    };
    const bytes = encodeManifestEntry(entry);
    served.push({ entry: bytes, signature: await signWithLabel(keys[index - 1] ?? key, 'KithKeyManifest', bytes) });
    keys.push(key);
  }
  return { served, keys };
}

test('a certificate holds for its own account, device, key and time only', async () => {
  const aik = await newSigner();
  const certificate: Certificate = { account: alice, device: phone, mlsKey, addedMs: 5 };
  const signature = await signCertificate(aik, certificate);
  assert.ok(await verifyCertificate(aik.publicKey, certificate, signature));
  const others: Partial<Certificate>[] = [
    { account: accountUri('h.example', account(9)) }, { device: deviceUri('h.example', account(9)) },
    { mlsKey: new Uint8Array(32) }, { addedMs: 6 },
  ];
  for (const change of others) assert.equal(await verifyCertificate(aik.publicKey, { ...certificate, ...change }, signature), false);
  assert.equal(await verifyCertificate((await newSigner()).publicKey, certificate, signature), false);
});

test('a device list comes back as signed, and not when a byte differs', async () => {
  const aik = await newSigner();
  const list: DeviceList = { account: alice, version: 3, signedMs: 7, entries: [{ device: phone, mlsKey, addedMs: 5 }] };
  const bytes = encodeDeviceList(list);
  const signature = await signDeviceList(aik, list);
  assert.deepEqual(await verifiedDeviceList(aik.publicKey, bytes, signature), list);
  const altered = encodeDeviceList({ ...list, version: 4 });
  assert.equal(await verifiedDeviceList(aik.publicKey, altered, signature), null);
  assert.throws(() => decodeDeviceList(concat(bytes, u8(0))), Malformed);
  assert.throws(() => decodeDeviceList(encodeDeviceList({ ...list, entries: [...list.entries, ...list.entries] })), Malformed);
});

test('a credential names one account and one device', () => {
  assert.deepEqual(parseCredentialIdentity(credentialIdentity(alice, phone)), { account: alice, device: phone });
  assert.throws(() => parseCredentialIdentity(credentialIdentity(phone, alice)), Malformed);
  assert.throws(() => parseCredentialIdentity(utf8(alice)), Malformed);
  assert.equal(uuidFromBytes(uuidBytes(account(1))), account(1));
});

test('a manifest verifies as a chain and serves each hub key id with its own key', async () => {
  const { served, keys } = await chain(3);
  const entries = await verifyManifest(served, []);
  assert.equal(hubKeyFor(entries, 0), null);
  assert.deepEqual(hubKeyFor(entries, 1), keys[0]!.publicKey);
  assert.deepEqual(hubKeyFor(entries, 10), keys[0]!.publicKey);
  assert.deepEqual(hubKeyFor(entries, 11), keys[1]!.publicKey);
  assert.deepEqual(hubKeyFor(entries, 999), keys[2]!.publicKey);
});

test('a manifest that drops, replaces or breaks an entry is refused', async () => {
  const { served } = await chain(3);
  const other = await chain(3);
  const pinned = served.map((item) => item.entry);
  await verifyManifest(served, pinned);
  const bad: [string, SignedEntry[], Bytes[]][] = [
    ['empty', [], []],
    ['dropped', served.slice(0, 2), pinned],
    ['replaced', other.served, pinned],
    ['later entry from elsewhere', [served[0]!, other.served[1]!], []],
    ['out of order', [served[1]!, served[0]!], []],
    ['wrong signature', [{ ...served[0]!, signature: served[1]!.signature }], []],
  ];
  for (const [name, list, pins] of bad) await assert.rejects(verifyManifest(list, pins), ManifestRefused, name);
});

test('a recovery code survives being typed badly and notices a wrong letter', () => {
  const bytes = Uint8Array.from({ length: 20 }, (_, i) => i * 13);
  const shown = formatCode(bytes);
  assert.match(shown, /^(?:[0-9A-HJKMNP-TV-Z]{4}-){8}[0-9A-HJKMNP-TV-Z]{2}$/);
  assert.deepEqual(parseCode(shown), bytes);
  assert.deepEqual(parseCode(shown.toLowerCase().replaceAll('-', ' ').replaceAll('0', 'o').replaceAll('1', 'l')), bytes);
  let noticed = 0;
  const letters = shown.replaceAll('-', '');
  for (let i = 0; i < letters.length; i++) {
    const wrong = letters.slice(0, i) + (letters[i] === 'Z' ? '2' : 'Z') + letters.slice(i + 1);
    try {
      parseCode(wrong);
    } catch (error) {
      assert.ok(error instanceof Malformed);
      noticed++;
    }
  }
  assert.ok(noticed >= letters.length - 1);
  assert.throws(() => parseCode(''), Malformed);
  assert.throws(() => parseCode(`U${letters.slice(1)}`), Malformed);
});

test('the sealed identity key opens with its own code and account only', async () => {
  const code = new Uint8Array(20).fill(3);
  const { seed, publicKey } = await newSeed();
  assert.deepEqual(await publicKeyOf(seed), publicKey);
  const sealed = await sealAik(code, seed, alice, new Uint8Array(12).fill(1));
  assert.equal(sealed.length, 60);
  assert.deepEqual(await openAik(code, sealed, alice), seed);
  assert.equal(await openAik(new Uint8Array(20), sealed, alice), null);
  assert.equal(await openAik(code, sealed, accountUri('h.example', account(7))), null);
  assert.equal(await openAik(code, sealed.slice(1), alice), null);
  assert.notEqual(toHex(recoveryAuth(code)), toHex(recoveryAuth(fromHex('00'.repeat(20)))));
});
