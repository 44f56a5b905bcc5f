import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat, fromHex, Malformed, toHex, utf8, u8, vector, type Bytes } from '../src/protocol/bytes';
import { decodeContent, encodeContent, messageId, textContent, textOf } from '../src/protocol/content';
import {
  aadOf, batchTbs, decodeContext, decodeReportItem, encodeContext, encodeReportItem, frankingTag, integrityTbs, leafHash,
  merkle, serverFrank, SUITE, tagOf, verifyFrank, type Frank, type FrankingContext, signSingle, contradicts,
} from '../src/protocol/franking';
import { newSeed, publicKeyOf, signerFromSeed, signWithLabel, type Signer } from '../src/protocol/sign';
import { readJson, vectorsFolder } from './shared';

interface Vector {
  salt: string; content: string; message_id: string; franking_tag: string; aad: string; ctx_bytes: string;
  hub_key: string; server_frank: string; sign_seed: string; sign_pub: string; tbs: string; signature: string;
  ctx: {
    sender_uri: string; room_uri: string; accepted_timestamp: number; sender_device: string; epoch: number;
    room_seq: number; hub_key_id: number;
  };
}
const folder = vectorsFolder();
const v = folder === null ? null : readJson<Vector>(`${folder}/franking/frank_vectors.json`);
const skip = v === null ? 'the shared vectors are not here (set KITH_VECTORS)' : false;

const uri = (kind: string, n: number): string => `mimi://h.example/${kind}/0b0e7c0e-0000-4000-8000-${String(n).padStart(12, '0')}`;
const context: FrankingContext = {
  senderUri: uri('u', 1), roomUri: uri('r', 2), acceptedTimestamp: 1_700_000_000_000, senderDevice: uri('d', 3),
  epoch: 1, roomSeq: 7, hubKeyId: 3,
};

async function newSigner(): Promise<Signer> {
  const { seed, publicKey } = await newSeed();
  return signerFromSeed(seed, publicKey);
}

/** Context k of a batch: the same room, one sequence number later each. */
async function batch(hub: Signer, size: number): Promise<Frank[]> {
  const franks = Array.from({ length: size }, (_, k) => {
    const own = { ...context, roomSeq: context.roomSeq + k };
    return { context: own, serverFrank: serverFrank(new Uint8Array(32).fill(9), new Uint8Array(32).fill(k), own), suite: SUITE };
  });
  const leaves = franks.map((frank) => leafHash(integrityTbs(frank.serverFrank, SUITE, frank.context)));
  const signature = await signWithLabel(hub, 'FrankingBatchTBS', batchTbs(size, merkle(leaves, 0).root));
  return franks.map((frank, k) => ({
    ...frank, proof: { kind: 'batch', leafIndex: k, batchSize: size, path: merkle(leaves, k).path, signature },
  }));
}

test('the shared franking vector is reproduced byte for byte', { skip }, async () => {
  const content = fromHex(v!.content);
  const parsed = decodeContent(content);
  assert.equal(toHex(encodeContent(parsed)), v!.content);
  assert.equal(textOf(parsed.part), 'hello');
  assert.equal(toHex(messageId(v!.ctx.sender_uri, v!.ctx.room_uri, content, fromHex(v!.salt))), v!.message_id);
  const tag = frankingTag(fromHex(v!.salt), content);
  assert.equal(toHex(tag), v!.franking_tag);
  assert.equal(toHex(aadOf(tag)), v!.aad);
  assert.equal(toHex(tagOf(fromHex(v!.aad))), v!.franking_tag);
  const ctx = decodeContext(fromHex(v!.ctx_bytes));
  assert.deepEqual(ctx, {
    senderUri: v!.ctx.sender_uri, roomUri: v!.ctx.room_uri, acceptedTimestamp: v!.ctx.accepted_timestamp,
    senderDevice: v!.ctx.sender_device, epoch: v!.ctx.epoch, roomSeq: v!.ctx.room_seq, hubKeyId: v!.ctx.hub_key_id,
  });
  assert.equal(toHex(encodeContext(ctx)), v!.ctx_bytes);
  const frank = serverFrank(fromHex(v!.hub_key), tag, ctx);
  assert.equal(toHex(frank), v!.server_frank);
  assert.equal(toHex(integrityTbs(frank, SUITE, ctx)), v!.tbs);
  assert.equal(toHex(await publicKeyOf(fromHex(v!.sign_seed))), v!.sign_pub);
  const hub = await signerFromSeed(fromHex(v!.sign_seed), fromHex(v!.sign_pub));
  const proof = await signSingle(hub, frank, ctx);
  assert.equal(toHex(proof.signature), v!.signature);
  assert.ok(await verifyFrank(hub.publicKey, { context: ctx, serverFrank: frank, suite: SUITE, proof }));
});

test('our own text message is built like the shared vector', { skip }, () => {
  const bytes = encodeContent(textContent({
    salt: fromHex(v!.salt), sender: v!.ctx.sender_uri, room: v!.ctx.room_uri, text: 'hello',
  }));
  assert.equal(toHex(bytes), v!.content);
});

test('a frank with any field altered alone does not verify', async () => {
  const hub = await newSigner();
  const frank = serverFrank(new Uint8Array(32), new Uint8Array(32), context);
  const honest: Frank = { context, serverFrank: frank, suite: SUITE, proof: await signSingle(hub, frank, context) };
  assert.ok(await verifyFrank(hub.publicKey, honest));
  const changed: Partial<FrankingContext>[] = [
    { senderUri: uri('u', 9) }, { roomUri: uri('r', 9) }, { acceptedTimestamp: 1 }, { senderDevice: uri('d', 9) },
    { epoch: 2 }, { roomSeq: 8 }, { hubKeyId: 4 },
  ];
  for (const change of changed) {
    assert.equal(await verifyFrank(hub.publicKey, { ...honest, context: { ...context, ...change } }), false, JSON.stringify(change));
  }
  assert.equal(await verifyFrank(hub.publicKey, { ...honest, suite: 2 }), false);
  assert.equal(await verifyFrank(hub.publicKey, { ...honest, serverFrank: frank.map((b) => b ^ 1) as Bytes }), false);
  assert.equal(await verifyFrank((await newSigner()).publicKey, honest), false);
});

test('every leaf of every batch size from 2 to 9 verifies, and no tampered path does', async () => {
  const hub = await newSigner();
  for (let size = 2; size <= 9; size++) {
    for (const frank of await batch(hub, size)) {
      assert.ok(await verifyFrank(hub.publicKey, frank));
      if (frank.proof.kind !== 'batch') assert.fail();
      const { proof } = frank;
      const bad: Frank['proof'][] = [
        { ...proof, leafIndex: (proof.leafIndex + 1) % size },
        { ...proof, leafIndex: size },
        { ...proof, batchSize: size + 1 },
        { ...proof, path: proof.path.slice(1) },
        { ...proof, path: [...proof.path, new Uint8Array(32)] },
        { ...proof, path: proof.path.map((node, i) => (i === 0 ? (node.map((b) => b ^ 1) as Bytes) : node)) },
        { kind: 'single', signature: proof.signature },
      ];
      for (const wrong of bad) assert.equal(await verifyFrank(hub.publicKey, { ...frank, proof: wrong }), false);
    }
  }
});

test('a single signature does not pass as a batch of one', async () => {
  const hub = await newSigner();
  const frank = serverFrank(new Uint8Array(32), new Uint8Array(32), context);
  const { signature } = await signSingle(hub, frank, context);
  const proof: Frank['proof'] = { kind: 'batch', leafIndex: 0, batchSize: 1, path: [], signature };
  assert.equal(await verifyFrank(hub.publicKey, { context, serverFrank: frank, suite: SUITE, proof }), false);
});

test('the AAD holds exactly one tag of 32 bytes', () => {
  const tag = new Uint8Array(32).fill(7);
  const good = aadOf(tag);
  assert.equal(good.length, 36);
  const item = good.slice(1);
  const bad = [
    new Uint8Array(), good.slice(0, 35), concat(good, u8(0)), vector(concat(item, item)), vector(new Uint8Array()),
    vector(concat(u8(0), u8(0x21), vector(tag))), vector(concat(u8(0), u8(0x20), vector(tag.slice(1)))),
    concat(u8(0x40), u8(0x23), item), concat(u8(0xc0), new Uint8Array(40)),
  ];
  for (const bytes of bad) assert.throws(() => tagOf(bytes), Malformed, toHex(bytes));
});

test('a salt of 15 or 17 bytes makes no tag', () => {
  for (const size of [0, 15, 17]) assert.throws(() => frankingTag(new Uint8Array(size), utf8('x')), Malformed);
});

test('a report item keeps the exact content bytes and comes back the same', async () => {
  const hub = await newSigner();
  for (const frank of [...(await batch(hub, 3)), {
    context, serverFrank: new Uint8Array(32), suite: SUITE, proof: await signSingle(hub, new Uint8Array(32), context),
  }]) {
    const item = { ...frank, content: utf8('exactly these bytes') };
    const bytes = encodeReportItem(item);
    assert.deepEqual(decodeReportItem(bytes), item);
    assert.throws(() => decodeReportItem(concat(bytes, u8(0))), Malformed);
    assert.throws(() => decodeReportItem(bytes.slice(0, -1)), Malformed);
  }
});

test('two signed items with one room_seq contradict each other', async () => {
  const hub = await newSigner();
  const make = async (fill: number): Promise<Frank> => {
    const frank = new Uint8Array(32).fill(fill);
    return { context, serverFrank: frank, suite: SUITE, proof: await signSingle(hub, frank, context) };
  };
  assert.ok(contradicts(await make(1), await make(2)));
  assert.equal(contradicts(await make(1), await make(1)), false);
});
