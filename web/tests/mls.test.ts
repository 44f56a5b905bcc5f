import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeMlsMessage, encodeMlsMessage, type MLSMessage } from 'ts-mls';
import { concat, equal, toHex, u8, utf8, type Bytes } from '../src/protocol/bytes';
import { newSeed, signerFromSeed } from '../src/protocol/sign';
import { accountUri, deviceUri, uuidBytes } from '../src/protocol/uris';
import {
  BUCKETS, epochAuthenticator, epochOf, inspect, members, MlsEngine, MlsError, ownLeaf, restore, serialise, wipeSpent,
  type Group, type Judge, type KeyPackageSecret, type Processed,
} from '../src/engine/mls';
import { account } from './shared';

const room = uuidBytes(account(0xf1));
const everybody: Judge = async () => true;
const aad = utf8('the tag');

interface Device { engine: MlsEngine; name: string }
async function device(person: number, number: number, now = Date.now): Promise<Device> {
  const { seed, publicKey } = await newSeed();
  const self = { account: accountUri('h.example', account(person)), device: deviceUri('h.example', account(number)) };
  return { engine: await MlsEngine.create(self, await signerFromSeed(seed, publicKey), now), name: self.device };
}

/** A group of `count` devices, all joined at epoch 1. */
async function groupOf(count: number): Promise<{ devices: Device[]; groups: Group[] }> {
  const devices = await Promise.all(Array.from({ length: count }, (_, i) => device(i + 1, i + 100)));
  const packages = await Promise.all(devices.slice(1).map((one) => one.engine.newKeyPackage()));
  const founder = await devices[0]!.engine.createGroup(room, everybody);
  const made = await devices[0]!.engine.commit(founder, { adds: packages.map((p) => p.message), removes: [] }, everybody);
  wipeSpent(made.spent);
  const joined = await Promise.all(devices.slice(1).map((one, i) => one.engine.join(made.welcome!, packages[i]!.secret, everybody)));
  return { devices, groups: [made.next, ...joined] };
}

const fault = (kind: MlsError['fault'] | MlsError['fault'][]) => (error: unknown): boolean =>
  error instanceof MlsError && [kind].flat().includes(error.fault);

/** Stores and reads back, as a restart would. */
function restarted(group: Group): Group {
  const { tree, ratchets } = serialise(group);
  return restore(tree, ratchets);
}

function application(processed: Processed): Extract<Processed, { kind: 'application' }> {
  if (processed.kind !== 'application') throw new assert.AssertionError({ message: 'not an application message' });
  return processed;
}

test('a message names its sender and carries its AAD across a restart of both sides', async () => {
  const { devices: [a, b], groups: [ga, gb] } = await groupOf(2);
  const sent = await a!.engine.protect(restarted(ga!), utf8('hello'), aad);
  wipeSpent(sent.spent);
  const got = application(await b!.engine.process(restarted(gb!), sent.message, everybody));
  assert.deepEqual(got.plaintext, utf8('hello'));
  assert.deepEqual(got.aad, aad);
  assert.equal(got.sender.device, a!.name);
  assert.equal(got.sender.leaf, 0);
  assert.equal(got.epoch, 1);
  wipeSpent(got.spent);
  const second = await a!.engine.protect(restarted(sent.next), utf8('again'), aad);
  assert.deepEqual(application(await b!.engine.process(restarted(got.next), second.message, everybody)).plaintext, utf8('again'));
  assert.deepEqual(epochAuthenticator(ga!), epochAuthenticator(gb!));
  assert.deepEqual(await a!.engine.exporter(ga!, 'x', utf8('c'), 32), await b!.engine.exporter(gb!, 'x', utf8('c'), 32));
});

test('a replay is refused live and after a restart', async () => {
  const { devices: [a, b], groups: [ga, gb] } = await groupOf(2);
  const sent = await a!.engine.protect(ga!, utf8('once'), aad);
  const got = application(await b!.engine.process(gb!, sent.message, everybody));
  await assert.rejects(b!.engine.process(got.next, sent.message, everybody), fault('Replay'));
  await assert.rejects(b!.engine.process(restarted(got.next), sent.message, everybody), fault('Replay'));
});

test('no key of a skipped or read message can be found in the stored state', async () => {
  const { devices: [a, b], groups: [ga, gb] } = await groupOf(2);
  const messages: Bytes[] = [];
  let sender = ga!;
  for (let i = 0; i < 4; i++) {
    const sent = await a!.engine.protect(sender, utf8(`message ${i}`), aad);
    messages.push(sent.message);
    sender = sent.next;
  }
  let reader = gb!;
  for (const i of [1, 2, 3]) {
    const got = application(await b!.engine.process(reader, messages[i]!, everybody));
    wipeSpent(got.spent);
    reader = got.next;
  }
  // Message 0 was skipped, 1 to 3 were read: from the state kept now, none of them opens again.
  for (const message of messages) await assert.rejects(b!.engine.process(restarted(reader), message, everybody), MlsError);
  for (const node of reader.state.secretTree) assert.deepEqual(node?.application.unusedGenerations ?? {}, {});
});

test('a tampered copy is refused and the genuine message still opens afterwards', async () => {
  const { devices: [a, b], groups: [ga, gb] } = await groupOf(2);
  const sent = await a!.engine.protect(ga!, utf8('genuine'), aad);
  for (let at = 0; at < sent.message.length; at += 7) {
    const bad = sent.message.slice();
    bad[at]! ^= 0x10;
    await assert.rejects(b!.engine.process(gb!, bad, everybody), MlsError, `byte ${at}`);
  }
  for (const bad of [sent.message.slice(0, -1), concat(sent.message, u8(0)), new Uint8Array(), new Uint8Array(200).fill(0xff)]) {
    await assert.rejects(b!.engine.process(gb!, bad, everybody), fault(['Malformed', 'BadTag']));
  }
  assert.deepEqual(application(await b!.engine.process(gb!, sent.message, everybody)).plaintext, utf8('genuine'));
});

test('an altered AAD is refused', async () => {
  const { devices: [a, b], groups: [ga, gb] } = await groupOf(2);
  const sent = await a!.engine.protect(ga!, utf8('x'), aad);
  const [decoded] = decodeMlsMessage(sent.message, 0)!;
  if (decoded.wireformat !== 'mls_private_message') assert.fail();
  const altered: MLSMessage = { ...decoded, privateMessage: { ...decoded.privateMessage, authenticatedData: utf8('THE TAG') } };
  await assert.rejects(b!.engine.process(gb!, encodeMlsMessage(altered), everybody), fault('BadTag'));
});

test('every length of message is padded to a bucket', async () => {
  const { devices: [a], groups: [ga] } = await groupOf(2);
  const sizes = new Set<number>();
  for (const length of [0, 1, 63, 64, 100, 187, 188, 189, 400, 900, 1900, 4000, 9000, 16000, 30000]) {
    sizes.add((await a!.engine.protect(ga!, new Uint8Array(length), aad)).message.length);
  }
  assert.equal(sizes.size, BUCKETS.length);
  const of = async (length: number): Promise<number> => (await a!.engine.protect(ga!, new Uint8Array(length), aad)).message.length;
  assert.equal(await of(5), await of(180));
  assert.notEqual(await of(5), await of(400));
});

test('adding, rotating and removing keep everybody in step, and the removed device reads nothing more', async () => {
  const { devices: [a, b, c], groups: [ga, gb, gc] } = await groupOf(3);
  const d = await device(9, 900);
  const kp = await d.engine.newKeyPackage();
  assert.equal(a!.engine.identityOf(kp.message).device, d.name);
  const add = await b!.engine.commit(gb!, { adds: [kp.message], removes: [] }, everybody);
  assert.equal(inspect(add.commit).kind, 'commit');
  assert.equal(inspect(add.groupInfo).kind, 'group_info');
  const envelope = inspect(add.welcome!);
  assert.ok(envelope.kind === 'welcome' && equal(envelope.refs[0]!, kp.secret.ref));
  const ga2 = await a!.engine.process(ga!, add.commit, everybody);
  const gc2 = await c!.engine.process(gc!, add.commit, everybody);
  const gd2 = await d.engine.join(add.welcome!, kp.secret, everybody);
  if (ga2.kind !== 'commit' || gc2.kind !== 'commit') assert.fail();
  assert.deepEqual(ga2.added.map((m) => m.device), [d.name]);
  assert.deepEqual(epochAuthenticator(gd2), epochAuthenticator(ga2.next));
  const rotate = await d.engine.commit(gd2, { adds: [], removes: [] }, everybody);
  const ga3 = await a!.engine.process(ga2.next, rotate.commit, everybody);
  const gb3 = await b!.engine.process(add.next, rotate.commit, everybody);
  const gc3 = await c!.engine.process(gc2.next, rotate.commit, everybody);
  if (ga3.kind !== 'commit' || gb3.kind !== 'commit' || gc3.kind !== 'commit') assert.fail();
  assert.deepEqual(epochAuthenticator(ga3.next), epochAuthenticator(gc3.next));
  const leaf = members(ga3.next).find((m) => m.device === c!.name)!.leaf;
  const remove = await a!.engine.commit(ga3.next, { adds: [], removes: [leaf] }, everybody);
  const gb4 = await b!.engine.process(gb3.next, remove.commit, everybody);
  const gc4 = await c!.engine.process(gc3.next, remove.commit, everybody);
  if (gb4.kind !== 'commit' || gc4.kind !== 'commit') assert.fail();
  assert.deepEqual(gb4.removed.map((m) => m.device), [c!.name]);
  assert.equal(gc4.removedMe, true);
  const secret = await a!.engine.protect(remove.next, utf8('without c'), aad);
  assert.deepEqual(application(await b!.engine.process(gb4.next, secret.message, everybody)).plaintext, utf8('without c'));
  await assert.rejects(c!.engine.process(gc4.next, secret.message, everybody), MlsError);
  const late = await c!.engine.protect(gc3.next, utf8('late'), aad);
  await assert.rejects(b!.engine.process(gb4.next, late.message, everybody), fault('TooOld'));
});

test('a message of an epoch that is not here yet says so', async () => {
  const { devices: [a, b], groups: [ga, gb] } = await groupOf(2);
  const rotate = await a!.engine.commit(ga!, { adds: [], removes: [] }, everybody);
  const sent = await a!.engine.protect(rotate.next, utf8('early'), aad);
  await assert.rejects(b!.engine.process(gb!, sent.message, everybody), fault('WrongEpoch'));
});

test('after a commit nothing of the past epoch is kept', async () => {
  const { devices: [a, b], groups: [ga, gb] } = await groupOf(2);
  const sent = await a!.engine.protect(ga!, utf8('epoch 1'), aad);
  const rotate = await a!.engine.commit(ga!, { adds: [], removes: [] }, everybody);
  const after = await b!.engine.process(gb!, rotate.commit, everybody);
  if (after.kind !== 'commit') assert.fail();
  assert.equal(after.next.state.historicalReceiverData.size, 0);
  assert.equal(rotate.next.state.historicalReceiverData.size, 0);
  wipeSpent(after.spent);
  await assert.rejects(b!.engine.process(after.next, sent.message, everybody), fault('TooOld'));
});

test('a device that the directory does not know is refused at join, at add and in a commit', async () => {
  const { devices: [a, b], groups: [ga, gb] } = await groupOf(2);
  const stranger = await device(7, 700);
  const kp = await stranger.engine.newKeyPackage();
  const known: Judge = async (who) => who.device !== stranger.name;
  await assert.rejects(a!.engine.commit(ga!, { adds: [kp.message], removes: [] }, known), MlsError);
  const add = await a!.engine.commit(ga!, { adds: [kp.message], removes: [] }, everybody);
  await assert.rejects(b!.engine.process(gb!, add.commit, known), MlsError);
  assert.equal(epochOf(gb!), 1);
  await assert.rejects(stranger.engine.join(add.welcome!, kp.secret, async (who) => who.device !== a!.name), MlsError);
});

test('a restored group is judged by our directory again, not by the default that accepts all', async () => {
  const { devices: [a, b], groups: [ga, gb] } = await groupOf(2);
  const sent = await a!.engine.protect(ga!, utf8('x'), aad);
  await assert.rejects(b!.engine.process(restarted(gb!), sent.message, async () => false), fault('PolicyRefused'));
});

test('an unreachable directory is not a verdict: the error passes and the message can be processed later', async () => {
  const { devices: [a, b], groups: [ga, gb] } = await groupOf(2);
  const rotate = await a!.engine.commit(ga!, { adds: [], removes: [] }, everybody);
  const offline = new Error('offline');
  await assert.rejects(b!.engine.process(gb!, rotate.commit, async () => { throw offline; }), (error) => error === offline);
  assert.equal((await b!.engine.process(gb!, rotate.commit, everybody)).kind, 'commit');
});

test('an expired key package is not added, and one that lives too long is not either', async () => {
  const { devices: [a], groups: [ga] } = await groupOf(2);
  const past = await device(5, 500, () => Date.now() - 100 * 24 * 3600 * 1000);
  const expired = await past.engine.newKeyPackage();
  await assert.rejects(a!.engine.commit(ga!, { adds: [expired.message], removes: [] }, everybody), MlsError);
  const [decoded] = decodeMlsMessage(expired.message, 0)!;
  if (decoded.wireformat !== 'mls_key_package' || decoded.keyPackage.leafNode.leafNodeSource !== 'key_package') assert.fail();
  const { leafNode } = decoded.keyPackage;
  const eternal = encodeMlsMessage({
    ...decoded, keyPackage: { ...decoded.keyPackage, leafNode: { ...leafNode, lifetime: { notBefore: 0n, notAfter: 2n ** 63n - 1n } } },
  });
  await assert.rejects(a!.engine.commit(ga!, { adds: [eternal], removes: [] }, everybody), fault('PolicyRefused'));
});

test('the same device is not added twice', async () => {
  const { devices: [a, b], groups: [ga] } = await groupOf(2);
  const again = await b!.engine.newKeyPackage();
  await assert.rejects(a!.engine.commit(ga!, { adds: [again.message], removes: [] }, everybody), MlsError);
});

test('a commit with a key that is already in the tree is refused', async () => {
  const { devices: [a, b], groups: [ga, gb] } = await groupOf(3);
  const rotate = await a!.engine.commit(ga!, { adds: [], removes: [] }, everybody);
  const [decoded] = decodeMlsMessage(rotate.commit, 0)!;
  if (decoded.wireformat !== 'mls_public_message' || decoded.publicMessage.content.contentType !== 'commit') assert.fail();
  const { content } = decoded.publicMessage;
  const path = content.commit.path!;
  const taken = gb!.state.ratchetTree[2 * ownLeaf(gb!)];
  if (taken?.nodeType !== 'leaf') assert.fail();
  for (const key of [taken.leaf.hpkePublicKey, path.leafNode.hpkePublicKey]) {
    const nodes = path.nodes.map((node) => ({ ...node, hpkePublicKey: key }));
    const forged = encodeMlsMessage({
      ...decoded,
      publicMessage: { ...decoded.publicMessage, content: { ...content, commit: { ...content.commit, path: { ...path, nodes } } } },
    } as MLSMessage);
    await assert.rejects(b!.engine.process(gb!, forged, everybody), fault('PolicyRefused'));
  }
});

test('mutated commits and Welcomes are refused without a crash, and the genuine ones still work', async () => {
  const { devices: [a, b], groups: [ga, gb] } = await groupOf(2);
  const d = await device(9, 900);
  const kp = await d.engine.newKeyPackage();
  const add = await a!.engine.commit(ga!, { adds: [kp.message], removes: [] }, everybody);
  for (let at = 0; at < add.commit.length; at += 23) {
    const bad = add.commit.slice();
    bad[at]! ^= 0x04;
    await assert.rejects(b!.engine.process(gb!, bad, everybody), MlsError, `commit byte ${at}`);
  }
  for (let at = 0; at < add.welcome!.length; at += 23) {
    const bad = add.welcome!.slice();
    bad[at]! ^= 0x04;
    await assert.rejects(d.engine.join(bad, kp.secret, everybody), MlsError, `welcome byte ${at}`);
  }
  assert.equal((await b!.engine.process(gb!, add.commit, everybody)).kind, 'commit');
  assert.equal(members(await d.engine.join(add.welcome!, kp.secret, everybody)).length, 3);
});

test('a message larger than any frame is refused before it is decoded', () => {
  assert.throws(() => inspect(new Uint8Array(2 * 1024 * 1024)), fault('Malformed'));
  assert.throws(() => inspect(Uint8Array.of(0, 1, 0, 2, 0xbf, 0xff, 0xff, 0xff)), fault('Malformed'));
});

test('the stored state holds no signature key', async () => {
  const { seed, publicKey } = await newSeed();
  const self = { account: accountUri('h.example', account(1)), device: deviceUri('h.example', account(2)) };
  const engine = await MlsEngine.create(self, await signerFromSeed(seed, publicKey), Date.now);
  const group = await engine.createGroup(room, everybody);
  const { tree, ratchets } = serialise(group);
  const secret: KeyPackageSecret = (await engine.newKeyPackage()).secret;
  for (const bytes of [tree, ratchets, secret.publicPart, secret.init, secret.hpke]) {
    assert.ok(!toHex(bytes).includes(toHex(seed)));
  }
});

test('joining costs hashes in proportion to the room, not to its square', async () => {
  const [founder, joiner, ...others] = await Promise.all(Array.from({ length: 64 }, (_, i) => device(i + 1, i + 100)));
  const packages = await Promise.all(others.map((one) => one.engine.newKeyPackage()));
  const founded = await founder!.engine.createGroup(room, everybody);
  const made = await founder!.engine.commit(founded, { adds: packages.map((one) => one.message), removes: [] }, everybody);
  const renewed = await founder!.engine.commit(made.next, { adds: [], removes: [] }, everybody);
  const { message, secret } = await joiner!.engine.newKeyPackage();
  const { welcome } = await founder!.engine.commit(renewed.next, { adds: [message], removes: [] }, everybody);
  const digest = crypto.subtle.digest.bind(crypto.subtle);
  let hashes = 0;
  crypto.subtle.digest = (...given) => {
    hashes++;
    return digest(...given);
  };
  try {
    await joiner!.engine.join(welcome!, secret, everybody);
  } finally {
    crypto.subtle.digest = digest;
  }
  assert.ok(hashes < 64 * 8, `${hashes} hashes for 64 leaves`); // every node once or twice
});
