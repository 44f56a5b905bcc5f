import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode, rfc8949EncodeOptions } from 'cborg';
import { concat, fromHex, Malformed, toHex, utf8 } from '../src/protocol/bytes';
import {
  decodeContent, encodeContent, EXT_LAST_SEEN, MAX_CONTENT, TEXT_TYPE, textContent, textOf, type Content, type Part,
} from '../src/protocol/content';

const sender = 'mimi://h.example/u/0b0e7c0e-0000-4000-8000-00000000000a';
const room = 'mimi://h.example/r/0b0e7c0e-0000-4000-8000-0000000000f1';
const salt = fromHex('000102030405060708090a0b0c0d0e0f');
const hello = textContent({ salt, sender, room, text: 'hello' });
const single = (text: string): Part => ({
  disposition: 1, language: '', kind: 'single', contentType: TEXT_TYPE, content: utf8(text),
});
const external: Part = {
  disposition: 6, language: '', kind: 'external', contentType: 'image/png', url: 'https://h.example/b/1', expires: 0,
  size: 2n ** 60n, encAlg: 2, key: new Uint8Array(32), nonce: new Uint8Array(12), aad: new Uint8Array(), hashAlg: 1,
  contentHash: new Uint8Array(32), description: 'a tree', filename: 'tree.png',
};
const nested = (depth: number): Part =>
  depth === 1 ? single('x') : { disposition: 1, language: '', kind: 'multi', semantics: 'processAll', parts: [nested(depth - 1), single('y')] };

/** Deterministic bytes of any value, valid message or not. */
const raw = (value: unknown): Uint8Array => encode(value, rfc8949EncodeOptions);
const extensions = new Map<number | string, unknown>([[1, sender], [2, room]]);
const message = (change: Record<number, unknown>): Uint8Array => {
  const fields: unknown[] = [salt, null, new Uint8Array(), null, null, extensions, [1, '', 1, TEXT_TYPE, utf8('hello')]];
  for (const [at, value] of Object.entries(change)) fields[Number(at)] = value;
  return raw(fields);
};

test('every kind of part comes back as it went in', () => {
  const contents: Content[] = [
    hello,
    { ...hello, replaces: new Uint8Array(32).fill(1), part: { disposition: 1, language: '', kind: 'null' } },
    { ...hello, inReplyTo: new Uint8Array(32).fill(2), expires: { relative: true, time: 60 } },
    { ...hello, part: external },
    { ...hello, part: nested(4), topicId: utf8('t') },
    { ...hello, extensions: new Map<number | bigint | string, unknown>([...hello.extensions, [EXT_LAST_SEEN, new Uint8Array(32)], ['x', null]]) },
  ];
  for (const content of contents) {
    const bytes = encodeContent(content);
    const back = decodeContent(bytes);
    assert.equal(toHex(encodeContent(back)), toHex(bytes));
    assert.equal(back.part.kind, content.part.kind);
  }
});

test('unknown extensions are kept, because they are hashed', () => {
  const bytes = message({ 5: new Map<number | string, unknown>([[1, sender], [2, room], [24, 'later'], [-40, [1, 2]]]) });
  assert.equal(decodeContent(bytes).extensions.get(24), 'later');
});

test('bytes that are not deterministic are refused', () => {
  const good = message({});
  assert.ok(decodeContent(good));
  const hex = toHex(good);
  assert.ok(hex.includes('40f6f6a2017837'));
  const bad: [string, string][] = [
    ['non-minimal array head', hex.replace(/^87/, '9807')],
    ['non-minimal integer key', hex.replace('a2017837', 'a218017837')],
    ['indefinite array', `9f${hex.slice(2)}ff`],
    ['trailing byte', `${hex}00`],
    ['ends too early', hex.slice(0, -2)],
    ['empty', ''],
    ['invalid UTF-8', hex.replace(toHex(utf8('mimi://h.example/u')), `ff${toHex(utf8('imi://h.example/u'))}`)],
    ['tagged', `c0${hex}`],
    ['null written as undefined', hex.replace('40f6f6a2', '40f6f7a2')],
  ];
  for (const [name, text] of bad) assert.throws(() => decodeContent(fromHex(text)), Malformed, name);
});

test('map keys out of order and duplicate keys are refused', () => {
  const key = (n: number, text: string): Uint8Array => concat(raw(n), raw(text));
  const good = message({});
  const from = toHex(good).indexOf('a2017837') / 2;
  const map = raw(extensions);
  const splice = (other: Uint8Array): Uint8Array => concat(good.slice(0, from), other, good.slice(from + map.length));
  assert.ok(decodeContent(splice(map)));
  assert.throws(() => decodeContent(splice(concat(Uint8Array.of(0xa2), key(2, room), key(1, sender)))), Malformed);
  assert.throws(() => decodeContent(splice(concat(Uint8Array.of(0xa3), key(1, sender), key(1, sender), key(2, room)))), Malformed);
});

test('values that break a rule of the format are refused', () => {
  const bad: [string, Uint8Array][] = [
    ['salt of 15', message({ 0: salt.slice(1) })],
    ['salt of 17', message({ 0: concat(salt, Uint8Array.of(0)) })],
    ['message id of 31', message({ 1: new Uint8Array(31) })],
    ['reply id of 33', message({ 4: new Uint8Array(33) })],
    ['topic as text', message({ 2: 'x' })],
    ['expires with a number for a flag', message({ 3: [1, 60] })],
    ['expires too large', message({ 3: [true, 2 ** 32] })],
    ['no sender', message({ 5: new Map([[2, room]]) })],
    ['no room', message({ 5: new Map([[1, sender]]) })],
    ['sender as bytes', message({ 5: new Map<number, unknown>([[1, utf8(sender)], [2, room]]) })],
    ['extension value of 4096', message({ 5: new Map<number, unknown>([[1, sender], [2, room], [9, new Uint8Array(4093)]]) })],
    ['text key of 256', message({ 5: new Map<number | string, unknown>([[1, sender], [2, room], ['k'.repeat(256), 1]]) })],
    ['float', message({ 5: new Map<number, unknown>([[1, sender], [2, room], [9, 1.5]]) })],
    ['unknown cardinality', message({ 6: [1, '', 4] })],
    ['null part with a fourth element', message({ 6: [1, '', 0, 0] })],
    ['single part with four', message({ 6: [1, '', 1, TEXT_TYPE] })],
    ['external with fourteen', message({ 6: [1, '', 2, 'a', 'b', 0, 0, 2, salt, salt, salt, 1, salt, 'd'] })],
    ['external with sixteen', message({ 6: [1, '', 2, 'a', 'b', 0, 0, 2, salt, salt, salt, 1, salt, 'd', 'f', 0] })],
    ['multi of one', message({ 6: [1, '', 3, 0, [[1, '', 0]]] })],
    ['unknown semantics', message({ 6: [1, '', 3, 3, [[1, '', 0], [1, '', 0]]] })],
    ['disposition below zero', message({ 6: [-1, '', 0] })],
    ['six elements', raw([salt, null, new Uint8Array(), null, null, extensions])],
    ['not an array', raw('hello')],
  ];
  for (const [name, bytes] of bad) assert.throws(() => decodeContent(bytes), Malformed, name);
  assert.throws(() => encodeContent({ ...hello, part: nested(5) }), Malformed, 'depth 5');
});

test('a content of 64 KiB is read and one byte more is not', () => {
  const overhead = encodeContent(textContent({ salt, sender, room, text: 'x'.repeat(60_000) })).length - 60_000;
  assert.ok(decodeContent(encodeContent(textContent({ salt, sender, room, text: 'x'.repeat(MAX_CONTENT - overhead) }))));
  // Past 65535 the length head grows, so build the larger one by hand.
  assert.throws(() => encodeContent(textContent({ salt, sender, room, text: 'x'.repeat(MAX_CONTENT - overhead + 1) })), Malformed);
});

test('a run of array heads is refused without exhausting the stack', () => {
  assert.throws(() => decodeContent(new Uint8Array(MAX_CONTENT).fill(0x81)), Malformed);
  assert.throws(() => decodeContent(fromHex('9bffffffffffffffff')), Malformed);
  assert.throws(() => decodeContent(fromHex('5bffffffffffffffff')), Malformed);
});

test('what is shown of a multi part follows its semantics', () => {
  const multi = (semantics: 'chooseOne' | 'singleUnit' | 'processAll', parts: Part[]): Part =>
    ({ disposition: 1, language: '', kind: 'multi', semantics, parts });
  assert.equal(textOf(multi('chooseOne', [external, single('a'), single('b')])), 'a');
  assert.equal(textOf(multi('processAll', [single('a'), external, single('b')])), 'a\nb');
  assert.equal(textOf(multi('singleUnit', [single('a'), external])), null);
  assert.equal(textOf(external), null);
});
