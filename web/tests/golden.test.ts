import assert from 'node:assert/strict';
import { test } from 'node:test';
import { equal, fromHex, Malformed, toHex } from '../src/protocol/bytes';
import { decodeContent, encodeContent, messageId, roomOf, senderOf, textOf } from '../src/protocol/content';
import {
  aadOf, decodeProof, decodeReportItem, encodeProof, encodeReportItem, frankingTag, serverFrank, tagOf, verifyFrank,
  verifyProof,
} from '../src/protocol/franking';
import {
  decodeDeviceList, encodeDeviceList, hubKeyFor, ManifestRefused, signCertificate, verifiedDeviceList, verifyCertificate,
  verifyManifest,
} from '../src/protocol/identity';
import { signerFromSeed } from '../src/protocol/sign';
import { credentialIdentity, parseCredentialIdentity } from '../src/protocol/uris';
import { golden } from './shared';

interface Named { name: string; bytes: string }
interface Signed { entry: string; signature: string }
interface ContentFile {
  valid: (Named & { message_id: string; sender_uri: string; room_uri: string; plain_text: string })[];
  invalid: (Named & { why: string })[];
}
interface IdentityFile {
  identity: { account_uri: string; device_uri: string; bytes: string };
  bad_identities: Named[];
  certificate: { aik_seed: string; aik_public: string; account_uri: string; device_uri: string; mls_key: string; added_ms: number; signature: string };
  device_list: {
    aik_public: string; account_uri: string; version: number; signed_ms: number; bytes: string; signature: string;
    entries: { device_uri: string; mls_key: string; added_ms: number }[];
  };
  bad_device_lists: Named[];
  manifest: { entries: Signed[]; served: { hub_key_id: number; public_key: string | null }[] };
  bad_manifests: { name: string; entries: Signed[] }[];
  continues: { name: string; old: Signed[]; new: Signed[]; continues: boolean }[];
}
interface FrankingFile {
  hub_key_id: number; hub_key: string; sign_pub: string;
  aad: { tag: string; bytes: string };
  bad_aads: Named[];
  batches: { size: number; tbs: string[]; proofs: string[] }[];
  bad_proofs: { name: string; tbs: string; proof: string }[];
  report: { room_uri: string; items: string[]; message_ids: string[]; texts: string[]; order: number[] };
  unverified: { name: string; item: string; reason: string }[];
}
const contents = golden<ContentFile>('content');
const identities = golden<IdentityFile>('identity');
const frankings = golden<FrankingFile>('franking_extra');
const missing = 'the golden file is not there';

const signed = (entries: Signed[]): { entry: ReturnType<typeof fromHex>; signature: ReturnType<typeof fromHex> }[] =>
  entries.map(({ entry, signature }) => ({ entry: fromHex(entry), signature: fromHex(signature) }));

test('every valid golden content is read, written and identified the same', { skip: contents ? false : missing }, () => {
  for (const item of contents!.valid) {
    const bytes = fromHex(item.bytes);
    const content = decodeContent(bytes);
    assert.equal(toHex(encodeContent(content)), item.bytes, item.name);
    assert.equal(senderOf(content), item.sender_uri, item.name);
    assert.equal(roomOf(content), item.room_uri, item.name);
    assert.equal(toHex(messageId(item.sender_uri, item.room_uri, bytes, content.salt)), item.message_id, item.name);
    assert.equal(textOf(content.part) ?? '', item.plain_text, item.name);
  }
});

test('every invalid golden content is refused', { skip: contents ? false : missing }, () => {
  for (const item of contents!.invalid) assert.throws(() => decodeContent(fromHex(item.bytes)), Malformed, item.name);
});

test('golden credentials and certificates are reproduced, and bad ones refused', { skip: identities ? false : missing }, async () => {
  const { identity, bad_identities: bad, certificate: c } = identities!;
  assert.equal(toHex(credentialIdentity(identity.account_uri, identity.device_uri)), identity.bytes);
  assert.deepEqual(parseCredentialIdentity(fromHex(identity.bytes)), { account: identity.account_uri, device: identity.device_uri });
  for (const item of bad) assert.throws(() => parseCredentialIdentity(fromHex(item.bytes)), Malformed, item.name);
  const certificate = { account: c.account_uri, device: c.device_uri, mlsKey: fromHex(c.mls_key), addedMs: c.added_ms };
  const aik = await signerFromSeed(fromHex(c.aik_seed), fromHex(c.aik_public));
  assert.equal(toHex(await signCertificate(aik, certificate)), c.signature);
  assert.ok(await verifyCertificate(aik.publicKey, certificate, fromHex(c.signature)));
});

test('the golden device list is reproduced, and bad ones refused', { skip: identities ? false : missing }, async () => {
  const { device_list: d, bad_device_lists: bad } = identities!;
  const list = {
    account: d.account_uri, version: d.version, signedMs: d.signed_ms,
    entries: d.entries.map((entry) => ({ device: entry.device_uri, mlsKey: fromHex(entry.mls_key), addedMs: entry.added_ms })),
  };
  assert.equal(toHex(encodeDeviceList(list)), d.bytes);
  assert.deepEqual(await verifiedDeviceList(fromHex(d.aik_public), fromHex(d.bytes), fromHex(d.signature)), list);
  for (const item of bad) assert.throws(() => decodeDeviceList(fromHex(item.bytes)), Malformed, item.name);
});

test('the golden manifest serves the right keys, and broken chains are refused', { skip: identities ? false : missing }, async () => {
  const { manifest, bad_manifests: bad, continues } = identities!;
  const entries = await verifyManifest(signed(manifest.entries), []);
  for (const { hub_key_id: id, public_key: key } of manifest.served) {
    const found = hubKeyFor(entries, id);
    assert.equal(found && toHex(found), key, String(id));
  }
  const refused = (error: unknown): boolean => error instanceof ManifestRefused || error instanceof Malformed;
  for (const item of bad) await assert.rejects(verifyManifest(signed(item.entries), []), refused, item.name);
  for (const item of continues) {
    const again = verifyManifest(signed(item.new), signed(item.old).map(({ entry }) => entry));
    if (item.continues) await again;
    else await assert.rejects(again, refused, item.name);
  }
});

test('golden AADs and batch proofs verify, and what proves nothing does not', { skip: frankings ? false : missing }, async () => {
  const f = frankings!;
  assert.equal(toHex(aadOf(fromHex(f.aad.tag))), f.aad.bytes);
  assert.equal(toHex(tagOf(fromHex(f.aad.bytes))), f.aad.tag);
  for (const item of f.bad_aads) assert.throws(() => tagOf(fromHex(item.bytes)), Malformed, item.name);
  const pub = fromHex(f.sign_pub);
  for (const batch of f.batches) {
    for (const [i, proof] of batch.proofs.entries()) {
      const parsed = decodeProof(fromHex(proof));
      assert.equal(toHex(encodeProof(parsed)), proof);
      assert.ok(await verifyProof(pub, fromHex(batch.tbs[i]!), parsed), `batch of ${batch.size}, ${i}`);
    }
  }
  for (const item of f.bad_proofs) {
    let verified = false;
    try {
      verified = await verifyProof(pub, fromHex(item.tbs), decodeProof(fromHex(item.proof)));
    } catch (error) {
      assert.ok(error instanceof Malformed, item.name);
    }
    assert.equal(verified, false, item.name);
  }
});

test('every item of the golden report verifies as a client sees it', { skip: frankings ? false : missing }, async () => {
  const f = frankings!;
  const byTime = f.report.items.map((hex) => ({ hex, item: decodeReportItem(fromHex(hex)) }))
    .sort((a, b) => a.item.context.roomSeq - b.item.context.roomSeq);
  for (const [i, { hex, item }] of byTime.entries()) {
    assert.equal(toHex(encodeReportItem(item)), hex);
    const content = decodeContent(item.content);
    assert.equal(textOf(content.part), f.report.texts[i]);
    assert.equal(toHex(messageId(senderOf(content), roomOf(content), item.content, content.salt)), f.report.message_ids[i]);
    const frank = serverFrank(fromHex(f.hub_key), frankingTag(content.salt, item.content), item.context);
    assert.ok(equal(frank, item.serverFrank));
    assert.ok(await verifyFrank(fromHex(f.sign_pub), item));
  }
});

test('golden items that prove nothing are not genuine to a client either', { skip: frankings ? false : missing }, async () => {
  const f = frankings!;
  for (const { name, item: hex, reason } of f.unverified) {
    if (['not_member_at_seq', 'key_expired', 'room_mismatch'].includes(reason)) continue; // the server's own knowledge
    let genuine = false;
    try {
      const item = decodeReportItem(fromHex(hex));
      const content = decodeContent(item.content);
      const frank = serverFrank(fromHex(f.hub_key), frankingTag(content.salt, item.content), item.context);
      genuine = senderOf(content) === item.context.senderUri && equal(frank, item.serverFrank) && (await verifyFrank(fromHex(f.sign_pub), item));
    } catch (error) {
      assert.ok(error instanceof Malformed, name);
    }
    assert.equal(genuine, false, name);
  }
});
