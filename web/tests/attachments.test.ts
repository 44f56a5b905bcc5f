import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat, equal, toHex, type Bytes } from '../src/protocol/bytes';
import {
  blobUri, EXT_MEDIA, externalFile, MOST_SEALED, Opener, padme, PIECE, pieceMatches, piecesOf, pieceSpan, readMedia, Sealer, sealedSize,
  shownOf, Verifier, withFiles, type ExternalFile, type MediaFacts, type Sent,
} from '../src/protocol/attachments';
import { decodeContent, encodeContent, textContent, type Content, type Part } from '../src/protocol/content';
import { Counter, Tag } from '../src/protocol/gcm';

const SERVER = 'kith.test';
const BLOB = 'AAAAAAAAAAAAAAAAAAAAAA';
const KEY = Uint8Array.from({ length: 32 }, (_, i) => i);
const NONCE = Uint8Array.from({ length: 12 }, (_, i) => 0xf0 | i);
const pattern = (length: number): Bytes => Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 7) & 0xff);

async function wholeGcm(plain: Bytes): Promise<Bytes> {
  const key = await crypto.subtle.importKey('raw', KEY, 'AES-GCM', false, ['encrypt']);
  return new Uint8Array(await crypto.subtle.encrypt({ name: 'AES-GCM', iv: NONCE }, key, plain));
}

async function seal(plain: Bytes): Promise<{ pieces: Bytes[]; file: ExternalFile; chunks: Bytes[] }> {
  const sealer = await Sealer.create(KEY, NONCE, plain.length);
  const pieces: Bytes[] = [];
  while (pieces.length < sealer.pieces) pieces.push(await sealer.next(plain.slice(sealer.wanted.from, sealer.wanted.to)));
  const { hash, chunks } = sealer.sums();
  return { pieces, chunks, file: { blob: BLOB, expires: 0, size: sealer.size, key: KEY, nonce: NONCE, hash } };
}

async function genuine(file: ExternalFile, pieces: Bytes[]): Promise<boolean> {
  const verifier = await Verifier.create(file);
  for (const piece of pieces) await verifier.update(piece);
  return verifier.genuine();
}

test('a Padmé bucket is at most 12 % longer and keeps only few bits of the length', () => {
  for (let length = 16; length < 70_000_000; length = Math.ceil(length * 1.37)) {
    const bucket = padme(length);
    assert.ok(bucket >= length && bucket <= length * 1.12, `${length} became ${bucket}`);
    assert.equal(padme(bucket), bucket);
  }
  assert.deepEqual([0, 1, 2, 9, 100, 1000, PIECE + 1].map(padme), [0, 1, 2, 10, 104, 1024, 1_081_344]);
});

test('what is sealed in pieces is exactly what AES-256-GCM makes of the padded whole', async () => {
  for (const length of [0, 1, 15, 16, 17, 1000, PIECE - 16, PIECE - 15, PIECE, 2 * PIECE + 12_345]) {
    const plain = pattern(length);
    const { pieces, file, chunks } = await seal(plain);
    const padded = new Uint8Array(sealedSize(length) - 16);
    padded.set(plain);
    const expected = await wholeGcm(padded);
    assert.ok(equal(concat(...pieces), expected), `length ${length}`);
    assert.equal(toHex(file.hash as Bytes), toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', expected))));
    assert.equal(pieces.length, piecesOf(file.size));
    assert.equal(chunks.length, pieces.length);
    assert.ok(await genuine(file, pieces));
    const opener = await Opener.create(file, length);
    const opened = await Promise.all(pieces.map((piece, i) => opener.open(i, piece)));
    assert.ok(equal(concat(...opened), plain), `length ${length}`);
  }
});

test('a tag that lies in two pieces is found, although Kith never makes one', async () => {
  for (const over of [1, 8, 15]) {
    const whole = await wholeGcm(pattern(PIECE + over - 16));
    const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', whole));
    const file: ExternalFile = { blob: BLOB, expires: 0, size: whole.length, key: KEY, nonce: NONCE, hash };
    const pieces = [0, 1].map((i) => whole.slice(pieceSpan(i, file.size).from, pieceSpan(i, file.size).to));
    assert.ok(await genuine(file, pieces));
    const opener = await Opener.create(file, PIECE + over - 16);
    const opened = await Promise.all(pieces.map((piece, i) => opener.open(i, piece)));
    assert.ok(equal(concat(...opened), pattern(PIECE + over - 16)));
  }
});

test('a piece can be opened alone, and its hash says whether it is the committed one', async () => {
  const plain = pattern(3 * PIECE + 500);
  const { pieces, file, chunks } = await seal(plain);
  const opener = await Opener.create(file, plain.length);
  assert.ok(await pieceMatches(chunks, 2, pieces[2]!));
  assert.ok(equal(await opener.open(2, pieces[2]!), plain.slice(2 * PIECE, 3 * PIECE)));
  const bent = pieces[2]!.slice();
  bent[77]! ^= 1;
  assert.equal(await pieceMatches(chunks, 2, bent), false);
  assert.equal(await pieceMatches(chunks, 1, pieces[2]!), false);
  assert.equal(await pieceMatches(chunks, 9, pieces[2]!), false);
});

test('one changed bit, a missing end, an added byte, swapped pieces, a wrong hash or a wrong tag is never genuine', async () => {
  const { pieces, file } = await seal(pattern(2 * PIECE + 999));
  const hash = async (all: Bytes[]): Promise<Bytes> => new Uint8Array(await crypto.subtle.digest('SHA-256', concat(...all)));
  const bent = pieces.map((piece) => piece.slice());
  bent[1]![5]! ^= 0x10;
  const wrongTag = pieces.map((piece) => piece.slice());
  wrongTag[2]![wrongTag[2]!.length - 1]! ^= 1;
  assert.equal(await genuine(file, bent), false);
  assert.equal(await genuine({ ...file, hash: await hash(bent) }, bent), false, 'the tag stands even where the hash agrees');
  assert.equal(await genuine({ ...file, hash: await hash(wrongTag) }, wrongTag), false);
  assert.equal(await genuine({ ...file, hash: new Uint8Array(32) }, pieces), false);
  assert.equal(await genuine(file, pieces.slice(0, 2)), false);
  assert.equal(await genuine(file, [...pieces, new Uint8Array(1)]), false);
  assert.equal(await genuine(file, [pieces[1]!, pieces[0]!, pieces[2]!]), false);
  assert.equal(await genuine({ ...file, size: file.size - 1 }, pieces), false);
  assert.ok(await genuine(file, pieces), 'untouched, it is');
});

test('only the end of a ciphertext may lie within a block, and keys have their length', async () => {
  const tag = await Tag.create(KEY, NONCE);
  await tag.update(pattern(17));
  await assert.rejects(tag.update(pattern(16)), RangeError);
  await assert.rejects(Counter.create(KEY.slice(1), NONCE), RangeError);
});

// ---- what a message says ----
const facts: MediaFacts = { length: 100, width: null, height: null, thumbhash: null, durationMs: null, waveform: null, chunks: null, voice: false };
const sent = (over: Partial<Sent> = {}): Sent => ({
  file: { blob: BLOB, expires: 1_800_000_000, size: 120, key: KEY, nonce: NONCE, hash: new Uint8Array(32).fill(7) },
  contentType: 'image/png', inline: true, name: 'kite.png', description: 'a kite', media: facts, poster: null, ...over,
});
const words = (text: string): Content => textContent({
  salt: new Uint8Array(16), sender: `mimi://${SERVER}/u/0b0e7c0e-0000-4000-8000-000000000001`,
  room: `mimi://${SERVER}/r/0b0e7c0e-0000-4000-8000-000000000002`, text,
});
const made = (text: string, files: Sent[]): Content => decodeContent(encodeContent(withFiles(words(text), text, files)));

test('words and files come back from a message as they went in', () => {
  const film = sent({
    contentType: 'video/webm', poster: { type: 'image/webp', bytes: pattern(300) },
    media: { ...facts, width: 640, height: 480, durationMs: 31_000, thumbhash: pattern(24), chunks: [pattern(32)] },
  });
  const voice = sent({ inline: false, contentType: 'audio/webm', media: { ...facts, voice: true, durationMs: 4000, waveform: pattern(48) } });
  const shown = shownOf(made('Look', [sent(), film, voice]));
  assert.equal(shown.text, 'Look');
  assert.deepEqual(shown.files.map((one) => one.part), [2, 3, 5]);
  assert.deepEqual(shown.files.map((one) => one.name), ['kite.png', 'kite.png', 'kite.png']);
  assert.deepEqual(shown.files[1]!.media, film.media);
  assert.deepEqual(shown.files[1]!.poster, film.poster);
  assert.deepEqual(shown.files[2]!.media, voice.media);
  assert.equal(shown.files[0]!.poster, null);
});

test('a lone file without words stands alone', () => {
  const content = made('', [sent()]);
  assert.equal(content.part.kind, 'external');
  const shown = shownOf(content);
  assert.equal(shown.text, null);
  assert.equal(shown.files[0]!.part, 0);
});

test('media facts that lie are dropped, and the file stays a plain one', () => {
  const map = (...entries: [number, unknown][]): unknown => [new Map<number, unknown>([[1, 100], ...entries])];
  const lies: unknown[] = [
    undefined, null, 7, [], [null], [new Map()], [new Map([[1, 105]])], [new Map([[1, -1]])], [new Map([[1, '9']])], map([2, -5]), map([2, 0]),
    map([3, 70_000]), map([2, 2 ** 52]), map([4, new Uint8Array(33)]), map([4, new Uint8Array()]), map([5, -1]), map([5, 2n ** 60n]),
    map([6, new Uint8Array(65)]), map([7, new Uint8Array(31)]), map([7, new Uint8Array(64)]), map([7, 'x']), map([8, 1]), [map(), map()],
  ];
  for (const lie of lies) assert.deepEqual(readMedia(lie, [120]), [null], String(lie));
  assert.deepEqual(readMedia(map([99, 'unknown keys are left alone']), [120]), [facts]);
  const content = made('', [sent()]);
  content.extensions.set(EXT_MEDIA, [new Map([[1, 4000]])]);
  assert.equal(shownOf(content).files[0]!.media, null);
});

const external = (over: Partial<Extract<Part, { kind: 'external' }>>): Content => {
  const content = made('', [sent()]);
  return { ...content, part: { ...content.part, ...over } as Part };
};

test('a part of another cipher, key length, place or an impossible size is shown, and never fetched', () => {
  const strange: Parameters<typeof external>[0][] = [
    { encAlg: 1 }, { encAlg: 0 }, { key: KEY.slice(1) }, { nonce: KEY }, { aad: KEY }, { hashAlg: 2 }, { contentHash: KEY.slice(1) },
    { url: `https://evil.example/${BLOB}` }, { url: blobUri('evil.example', BLOB) }, { url: `${blobUri(SERVER, BLOB)}/../..` },
    { url: blobUri(SERVER, 'short') }, { url: '' }, { size: 15n }, { size: BigInt(MOST_SEALED) + 1n }, { size: 2n ** 63n },
  ];
  for (const over of strange) {
    const [file] = shownOf(external(over)).files;
    assert.equal(file!.file, null, JSON.stringify(over, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)));
    assert.equal(file!.media, null);
  }
  assert.notEqual(externalFile(external({}).part as Extract<Part, { kind: 'external' }>, SERVER), null);
});

test('of a single unit with one unknown part nothing is shown; of a choice the first that is known', () => {
  const content = made('Look', [sent()]);
  const parts = (content.part as Extract<Part, { kind: 'multi' }>).parts;
  const odd: Part = { disposition: 1, language: '', kind: 'single', contentType: 'text/html', content: new Uint8Array() };
  const multi = (semantics: 'chooseOne' | 'singleUnit' | 'processAll', ...inner: Part[]): Content => ({
    ...content, part: { disposition: 1, language: '', kind: 'multi', semantics, parts: inner },
  });
  assert.deepEqual(shownOf(multi('singleUnit', ...parts, odd)), { text: null, files: [] });
  assert.equal(shownOf(multi('singleUnit', ...parts)).files.length, 1);
  assert.deepEqual(shownOf(multi('chooseOne', odd, parts[0]!, parts[1]!)), { text: 'Look', files: [] });
  assert.equal(shownOf(multi('chooseOne', odd, parts[1]!, parts[0]!)).files.length, 1);
  assert.equal(shownOf(multi('processAll', odd, ...parts)).text, 'Look');
  assert.equal(shownOf(multi('processAll', ...Array.from({ length: 40 }, () => parts[1]!))).files.length, 10);
  assert.deepEqual(shownOf({ ...content, part: odd }), { text: null, files: [] });
});
