import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, utf8 } from '../src/protocol/bytes';
import { formatLinkCode, isTagged, linkTag, oneTimeKey, openForDevice, parseLinkCode, sealForDevice } from '../src/protocol/linking';
import { fingerprint, matches, safetyNumber, scannable } from '../src/protocol/safety-number';
import { ladder, readGossip, wanted } from '../src/protocol/transparency';
import { qr } from '../src/ui/qr';

const ALICE = fingerprint(fromHex('0506863bc66d02b40d27b8d49ca7c09e9239236f9d7d25d6fcca5ce13c7064d868'), utf8('+14152222222'));
const BOB = fingerprint(fromHex('05f781b6fb32fed9ba1cf2de978d4d5da28dc34046ae814402b5c0dbd96fda907b'), utf8('+14153333333'));

test('the public vector of libsignal is reproduced', () => {
  const expected = '300354477692869396892869876765458257569162576843440918079131';
  assert.equal(safetyNumber(ALICE, BOB).join(''), expected);
  assert.equal(safetyNumber(BOB, ALICE).join(''), expected);
});

test('what is scanned must be the other side of mine', () => {
  assert.ok(matches(scannable(BOB, ALICE), ALICE, BOB));
  assert.ok(!matches(scannable(ALICE, BOB), ALICE, BOB));
  assert.ok(!matches(scannable(BOB, ALICE).slice(1), ALICE, BOB));
});

test('only the device that showed the code opens what was sealed to it', async () => {
  const parties = { account: 'mimi://kith.test/u/11111111-1111-4111-8111-111111111111', device: 'mimi://kith.test/d/33333333-3333-4333-8333-333333333333' };
  const [code, other] = [crypto.getRandomValues(new Uint8Array(10)), crypto.getRandomValues(new Uint8Array(10))];
  assert.deepEqual(parseLinkCode(formatLinkCode(code).toLowerCase().replaceAll('-', ' ')), code);
  const [own, evil] = [await oneTimeKey(), await oneTimeKey()];
  const tag = linkTag(code, parties, own.publicKey);
  assert.ok(isTagged(code, parties, own.publicKey, tag));
  assert.ok(!isTagged(code, parties, evil.publicKey, tag));
  assert.ok(!isTagged(other, parties, own.publicKey, tag));
  const seed = crypto.getRandomValues(new Uint8Array(32));
  const sealed = await sealForDevice(code, parties, own.publicKey, seed, crypto.getRandomValues(new Uint8Array(12)));
  assert.deepEqual(await openForDevice(code, parties, own, sealed), seed);
  assert.equal(await openForDevice(other, parties, own, sealed), null);
  assert.equal(await openForDevice(code, parties, evil, sealed), null);
  assert.equal(await openForDevice(code, { ...parties, device: parties.account }, own, sealed), null);
  assert.equal(await openForDevice(code, parties, own, new Uint8Array(92)), null);
});

test('ladders are those of the standard', () => {
  assert.deepEqual(ladder(6), [0, 1, 3, 7, 5, 6]);
  assert.deepEqual(ladder(0), [0, 1]);
  assert.deepEqual(wanted(4, 2), [0, 1, 3, 7, 5, 4, 2]);
  assert.deepEqual(wanted(null, 3), [0]);
});

test('gossip of another shape says nothing and harms nothing', () => {
  assert.equal(readGossip('x'), null);
  assert.equal(readGossip([1, new Uint8Array(31), new Uint8Array(64)]), null);
  assert.equal(readGossip([0, new Uint8Array(32), new Uint8Array(64)]), null);
  assert.equal(readGossip([1, new Uint8Array(32), new Uint8Array(64)])?.size, 1);
});

test('a QR code has the size of its version, and what is too long has none', () => {
  assert.equal(qr('a'.repeat(14))?.length, 21);
  assert.equal(qr('a'.repeat(15))?.length, 25);
  assert.equal(qr('a'.repeat(213))?.length, 57);
  assert.equal(qr('a'.repeat(214)), null);
});
