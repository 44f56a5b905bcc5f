import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode, encode } from '@msgpack/msgpack';
import { Malformed } from '../src/protocol/bytes';
import { decodeFrame, encodeFrame, MAX_FRAME } from '../src/protocol/frames';
import { account } from './shared';

const room = account(1);
const key = new Uint8Array(16).fill(1);
const frank = [5, 6, 7, new Uint8Array(32), 1, new Uint8Array(66)];
const read = (frame: unknown[]): ReturnType<typeof decodeFrame> => decodeFrame(encode(frame));

test('client frames are the arrays of the contract', () => {
  const body = new Uint8Array([1, 2, 3]);
  assert.deepEqual(decode(encodeFrame({ kind: 'submit', key, room, message: body })), [1, key, room, body]);
  assert.deepEqual(
    decode(encodeFrame({ kind: 'commit', key, room, commit: body, welcome: null, groupInfo: body })),
    [2, key, room, body, null, body],
  );
  assert.deepEqual(decode(encodeFrame({ kind: 'ack', mailIds: [1, 2] })), [3, [1, 2]]);
  assert.deepEqual(decode(encodeFrame({ kind: 'ping' })), [5]);
});

test('a submission larger than a frame may be is refused before it is sent', () => {
  assert.throws(() => encodeFrame({ kind: 'submit', key, room, message: new Uint8Array(MAX_FRAME) }), Malformed);
});

test('server frames are read with their types', () => {
  assert.deepEqual(read([16, 9, room]), { kind: 'hello', timeMs: 9, device: room });
  const accepted = read([17, key, 3, 5, 6, 7, new Uint8Array(32), 1, new Uint8Array(66)]);
  assert.ok(accepted.kind === 'accepted' && accepted.hub?.roomSeq === 6 && accepted.hub.timestamp === 5);
  const commit = read([17, key, 3, 5, null, null, null, null, null]);
  assert.ok(commit.kind === 'accepted' && commit.hub === null);
  assert.deepEqual(read([18, key, 'limited', 'Wait.', 500]), {
    kind: 'refused', key, code: 'limited', details: 'Wait.', retryAfterMs: 500,
  });
  const mail = read([19, 4, 1, room, 8, new Uint8Array(2), frank]);
  assert.ok(mail.kind === 'mail' && mail.mail === 'message' && mail.hub?.hubKeyId === 7);
  const notice = read([19, 0, 5, null, 0, new Uint8Array(2), null]);
  assert.ok(notice.kind === 'mail' && notice.mail === 'notice' && notice.room === null);
  assert.deepEqual(read([21, 'signed_out']), { kind: 'bye', code: 'signed_out' });
  assert.deepEqual(read([23, room, 4]), { kind: 'delivered', room, roomPos: 4 });
});

test('an unknown kind of frame is ignored and a malformed known one is refused', () => {
  assert.deepEqual(read([99, 'whatever']), { kind: 'unknown' });
  const bad: unknown[][] = [
    [], ['hello'], [16, 9], [16, 9, 'phone'], [16, 9, room, 1], [16, -1, room], [16, 1.5, room],
    [17, new Uint8Array(15), 3, 5, null, null, null, null, null], [18, key, 5, '', null],
    [19, 4, 9, room, 8, new Uint8Array(2), null], [19, 4, 1, room, 8, 'text', null], [19, 4, 1, room, 8, key, [1]],
    [23, room],
  ];
  for (const frame of bad) assert.throws(() => read(frame), Malformed, JSON.stringify(frame));
  for (const bytes of [new Uint8Array(), Uint8Array.of(0xc1), Uint8Array.of(0xdd, 255, 255, 255, 255), Uint8Array.of(1)]) {
    assert.throws(() => decodeFrame(bytes), Malformed);
  }
});
