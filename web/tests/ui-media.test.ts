/** Files before they are shown or sent: what is claimed is checked, what must not leave stays behind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat, fromBase64, type Bytes } from '../src/protocol/bytes';
import { moving } from '../src/ui/media/animation';
import { isFilmWithBoxes, withoutRecords } from '../src/ui/media/film';
import { shownName } from '../src/ui/media/names';
import { mayOpen, pictureFacts } from '../src/ui/media/picture-facts';
import { lengthText, shape, sizeText } from '../src/ui/media/sizes';
import { bars, BARS, drawnBars } from '../src/ui/media/waveform';
import { FITTING, MOST_SCALE, placed, zoomed } from '../src/ui/media/zoom';

const text = (words: string): Bytes => Uint8Array.from(words, (letter) => letter.charCodeAt(0));
const number = (size: 1 | 2 | 4 | 8, value: number, little = false): Bytes => {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  if (size === 8) view.setBigUint64(0, BigInt(value), little);
  else view[size === 1 ? 'setUint8' : size === 2 ? 'setUint16' : 'setUint32'](0, value, little);
  return bytes;
};
const holds = (bytes: Uint8Array, words: string): boolean => Buffer.from(bytes).includes(Buffer.from(words, 'latin1'));
const SECRET = '+59.9127+010.7461/';

// ---- how large a picture will be ----
const png = (width: number, height: number): Bytes =>
  concat(text('\x89PNG\r\n\x1a\n'), number(4, 13), text('IHDR'), number(4, width), number(4, height), new Uint8Array(9));
const jpeg = (width: number, height: number, notes = 0): Bytes => {
  const note = concat(Uint8Array.of(0xff, 0xe1), number(2, 60_002), new Uint8Array(60_000));
  const frame = concat(Uint8Array.of(0xff, 0xc2), number(2, 17), number(1, 8), number(2, height), number(2, width), new Uint8Array(10));
  return concat(Uint8Array.of(0xff, 0xd8), ...Array.from({ length: notes }, () => note), Uint8Array.of(0xff), frame);
};
const gifHead = (width: number, height: number): Bytes => concat(text('GIF89a'), number(2, width, true), number(2, height, true), Uint8Array.of(0, 0, 0));
const riff = (...chunks: Bytes[]): Bytes => concat(text('RIFF'), number(4, 4 + chunks.reduce((sum, one) => sum + one.length, 0), true), text('WEBP'), ...chunks);
const chunk = (name: string, body: Uint8Array): Bytes => concat(text(name), number(4, body.length, true), body, new Uint8Array(body.length % 2));
const three = (value: number): Bytes => number(4, value, true).slice(0, 3);
const extended = (width: number, height: number, flags: number): Bytes => chunk('VP8X', concat(Uint8Array.of(flags, 0, 0, 0), three(width - 1), three(height - 1)));
const box = (name: string, ...inside: Uint8Array[]): Bytes => {
  const body = concat(...inside);
  return concat(number(4, 8 + body.length), text(name), body);
};
const avif = (width: number, height: number): Bytes =>
  concat(box('ftyp', text('avif'), number(4, 0)), box('meta', number(4, 0), box('iprp', box('ipco', box('ispe', number(4, 0), number(4, width), number(4, height))))));

test('every form of picture says how large it is before anything is decoded', () => {
  const forms: [string, Bytes][] = [
    ['image/png', png(4000, 3000)], ['image/jpeg', jpeg(4000, 3000)], ['image/jpeg', jpeg(4000, 3000, 7)], ['image/gif', gifHead(4000, 3000)],
    ['image/webp', riff(extended(4000, 3000, 0x10))], ['image/avif', avif(4000, 3000)],
    ['image/webp', riff(chunk('VP8 ', concat(new Uint8Array(6), number(2, 4000, true), number(2, 3000, true))))],
    ['image/webp', riff(chunk('VP8L', concat(number(1, 0x2f), number(4, 3999 | (2999 << 14), true))))],
    ['image/bmp', concat(text('BM'), new Uint8Array(16), number(4, 4000, true), number(4, 2 ** 32 - 3000, true))],
  ];
  for (const [type, bytes] of forms) {
    const { moves: _, ...facts } = pictureFacts(bytes)!;
    assert.deepEqual(facts, { type, width: 4000, height: 3000 }, type);
  }
  assert.ok(mayOpen({ width: 4000, height: 3000 }));
});

test('a picture that moves says so, and one that stands still does not', () => {
  const alive = [gifHead(1, 1), riff(extended(2, 2, 2)), concat(png(1, 1), number(4, 0), number(4, 8), text('acTL')), concat(box('ftyp', text('avis')), avif(1, 1).slice(16))];
  for (const bytes of alive) assert.equal(pictureFacts(bytes)?.moves, true, pictureFacts(bytes)?.type);
  for (const bytes of [png(1, 1), jpeg(1, 1), avif(1, 1), riff(extended(2, 2, 0x2c))]) assert.equal(pictureFacts(bytes)?.moves, false);
});

test('a picture that would unfold into gigapixels, or into nothing, is not opened', () => {
  for (const [width, height] of [[65_535, 65_535], [50_000, 1], [0, 100], [100, 0], [10_000, 5001]] as const) {
    assert.equal(mayOpen({ width, height }), false, `${width}×${height}`);
  }
});

test('what is cut off, of another form, or only named like a picture has no size', () => {
  for (const whole of [png(1, 1), jpeg(1, 1, 1), gifHead(1, 1), avif(1, 1), riff(extended(1, 1, 0))]) {
    for (const end of [0, 1, 3, 7, 9]) assert.equal(pictureFacts(whole.slice(0, end)), null);
  }
  for (const other of [text('<svg xmlns="http://www.w3.org/2000/svg"/>'), text('%PDF-1.7'), text('<!doctype html><script>'), new Uint8Array(64)]) {
    assert.equal(pictureFacts(other), null);
  }
  assert.equal(pictureFacts(concat(Uint8Array.of(0xff, 0xd8, 0xff, 0xe1), number(2, 0), new Uint8Array(40))), null);
});

// ---- moving pictures ----
const frame = concat(Uint8Array.of(0x2c), new Uint8Array(8), Uint8Array.of(0), Uint8Array.of(2, 2, 0x4c, 1, 0));
const gif = (...blocks: Bytes[]): Bytes => concat(gifHead(1, 1), ...blocks, Uint8Array.of(0x3b));
const extension = (label: number, ...subs: Bytes[]): Bytes => concat(Uint8Array.of(0x21, label), ...subs.map((sub) => concat(number(1, sub.length), sub)), Uint8Array.of(0));
const repeats = extension(0xff, text('NETSCAPE2.0'), Uint8Array.of(1, 0, 0));

test('a moving GIF keeps its frames and how often it repeats, and loses its notes and its tail', () => {
  const laden = concat(gif(repeats, extension(0xfe, text(SECRET)), frame, extension(0xff, text('XMP DataXMP'), text(SECRET)), frame), text(SECRET));
  assert.ok(holds(laden, SECRET));
  const made = moving(laden);
  assert.deepEqual(made, { bytes: gif(repeats, frame, frame), frames: 2, width: 1, height: 1 });
});

test('a GIF whose frame is larger than its page says the larger size', () => {
  const wide = concat(Uint8Array.of(0x2c), number(2, 0), number(2, 0), number(2, 60_000, true), number(2, 60_000, true), frame.slice(9));
  assert.equal(mayOpen(moving(gif(wide, frame))!), false);
});

test('a moving WebP keeps its frames, loses EXIF, XMP and profile, and no longer announces them', () => {
  const frames = [chunk('ANIM', new Uint8Array(6)), chunk('ANMF', new Uint8Array(24)), chunk('ANMF', new Uint8Array(25))];
  const laden = concat(
    riff(extended(20, 10, 0x2e), chunk('ICCP', text(SECRET)), ...frames, chunk('EXIF', text(SECRET)), chunk('XMP ', text(SECRET)), chunk('what', text(SECRET))), text(SECRET));
  assert.deepEqual(moving(laden), { bytes: riff(extended(20, 10, 0x02), ...frames), frames: 2, width: 20, height: 10 });
});

test('a moving picture that is cut off anywhere is refused, never passed on', () => {
  for (const whole of [gif(repeats, frame, frame), riff(extended(2, 2, 2), chunk('ANMF', new Uint8Array(24)), chunk('ANMF', new Uint8Array(24)))]) {
    for (let end = 0; end < whole.length; end++) {
      const made = moving(whole.slice(0, end));
      assert.ok(made === null || made.frames < 2, String(end));
    }
  }
});

// ---- films ----
const track = (handler: string): Bytes => box('trak',
  box('tkhd', Uint8Array.of(0, 0, 0, 7), number(4, 123_456), number(4, 123_457), number(4, 1)),
  box('mdia', box('mdhd', Uint8Array.of(1, 0, 0, 0), number(8, 99), number(8, 98), number(4, 600)), box('hdlr', number(4, 0), number(4, 0), text(handler), new Uint8Array(12))));
const filmOf = (...tracks: Bytes[]): Bytes => concat(
  box('ftyp', text('mp42'), number(4, 0)),
  box('moov', box('mvhd', Uint8Array.of(0, 0, 0, 0), number(4, 123_456), number(4, 1), number(4, 600)),
    ...tracks, box('udta', box('\xa9xyz', text(SECRET))), box('meta', number(4, 0), box('ilst', text(SECRET)))),
  box('uuid', text(`xmp             ${SECRET}`)),
  concat(number(4, 1), text('mdat'), number(8, 16 + 5), text('FILM!')),
);
const bytesOf = async (blob: Blob): Promise<Bytes> => new Uint8Array(await blob.arrayBuffer());

test('a film loses place and times, and every other byte stays where its index says', async () => {
  const film = filmOf(track('vide'), track('soun'));
  assert.ok(isFilmWithBoxes(film) && holds(film, SECRET) && holds(film, '\0\x01\xe2@'));
  const { film: cleaned, bare } = await withoutRecords(new Blob([film]));
  const bytes = await bytesOf(cleaned);
  assert.equal(bare, true);
  assert.equal(bytes.length, film.length);
  assert.equal(holds(bytes, SECRET), false);
  assert.equal(holds(bytes, '\0\x01\xe2@'), false, 'no time is left');
  assert.equal(Buffer.from(bytes).indexOf('FILM!'), Buffer.from(film).indexOf('FILM!'));
  assert.ok(holds(bytes, 'vide') && holds(bytes, 'soun'));
});

test('a film with a track that may be a log of places is said to be not bare', async () => {
  const { film, bare } = await withoutRecords(new Blob([filmOf(track('vide'), track('meta'))]));
  assert.equal(bare, false);
  assert.equal(holds(await bytesOf(film), SECRET), false, 'what is known is emptied all the same');
});

test('a film that is cut off, lies about its sizes or nests without end is never said to be bare', async () => {
  const whole = filmOf(track('vide'));
  const mdat = Buffer.from(whole).indexOf('mdat') - 4;
  for (const end of [3, 9, 21, 40, mdat - 3]) assert.equal((await withoutRecords(new Blob([whole.slice(0, end)]))).bare, false, String(end));
  let nested: Bytes = box('trak');
  for (let depth = 0; depth < 40; depth++) nested = box('trak', nested);
  for (const lying of [concat(number(4, 4), text('moov')), concat(number(4, 2 ** 31), text('moov')), box('moov', number(4, 3), text('udta')), box('moov', nested)]) {
    const { film, bare } = await withoutRecords(new Blob([lying]));
    assert.equal(bare, false);
    assert.equal(film.size, lying.length);
  }
});

// ---- names, sizes, shapes ----
test('a name can neither hide its ending nor turn it round nor take a second line', () => {
  assert.equal(shownName('photo\u202egnp.exe'), 'photo gnp.exe');
  assert.equal(shownName('\u2067invoice\u2069\u200b\r\n\tpdf.js '), 'invoice pdf.js');
  assert.equal(shownName('\u202e\u200f\n'), '');
  assert.equal(shownName('صورة.jpg'), 'صورة.jpg');
  const long = shownName(`${'a'.repeat(5000)}.pdf.exe`);
  assert.ok(long.length <= 82 && long.endsWith('.pdf.exe') && long.includes('…'));
});

test('sizes and lengths are said as people say them, and nonsense is not said', () => {
  assert.deepEqual([0, 999, 48_000, 7_400_000, 64 * 1024 * 1024].map(sizeText), ['0 bytes', '999 bytes', '48 kB', '7.4 MB', '67 MB']);
  assert.deepEqual([NaN, Infinity, -1].map(sizeText), ['', '', '']);
  assert.deepEqual([0, 14_200, 62_000, 3_729_000].map(lengthText), ['0:00', '0:14', '1:02', '1:02:09']);
  assert.deepEqual([null, NaN, Infinity, -5, 1e18].map(lengthText), ['', '', '', '', '']);
});

test('whatever size a sender claims, the box of a picture has a sane shape', () => {
  assert.equal(shape({ width: 1600, height: 1200 }), 4 / 3);
  for (const [width, height] of [[0, 0], [null, null], [NaN, 5], [5, 0]] as const) assert.equal(shape({ width, height }), 4 / 3);
  assert.equal(shape({ width: 1, height: 4_000_000_000 }), 0.6);
  assert.equal(shape({ width: 4_000_000_000, height: 1 }), 2.2);
});

// ---- voice ----
test('a voice note becomes 64 bars, the loudest at the top and silence flat', () => {
  const tone = Float32Array.from({ length: 8000 }, (_, n) => Math.sin(n) * (n / 8000));
  const made = bars(tone);
  assert.equal(made.length, BARS);
  assert.ok(made[63]! === 255 && made[0]! < 12 && made[32]! > 100);
  assert.ok(bars(new Float32Array(5)).every((bar) => bar === 1));
  assert.ok(bars([NaN, Infinity, -Infinity]).every((bar) => bar >= 1));
});

test('whatever waveform a sender sends, the same number of bars is drawn', () => {
  for (const sent of [null, new Uint8Array(0), Uint8Array.of(9), new Uint8Array(64).fill(255)]) {
    const drawn = drawnBars(sent, 40);
    assert.ok(drawn.length === 40 && drawn.every((bar) => bar > 0 && bar <= 1));
  }
});

// ---- the viewer ----
test('a picture is never smaller than to fit, never larger than eight times, and never leaves the window', () => {
  const [picture, window] = [{ width: 300, height: 200 }, { width: 300, height: 600 }];
  assert.deepEqual(placed({ scale: 0.2, x: 50, y: 50 }, picture, window), FITTING);
  assert.deepEqual(placed({ scale: NaN, x: 0, y: 0 }, picture, window), FITTING);
  assert.deepEqual(placed({ scale: 99, x: 1e9, y: -1e9 }, picture, window), { scale: MOST_SCALE, x: 1050, y: -500 });
});

test('the point under the finger stays where it is', () => {
  const before = { scale: 2, x: 10, y: -20 };
  const at = { x: 80, y: 40 };
  const after = zoomed(before, 1.5, at);
  const under = (place: typeof before): number[] => [(at.x - place.x) / place.scale, (at.y - place.y) / place.scale];
  assert.deepEqual(under(after).map((n) => n.toFixed(9)), under(before).map((n) => n.toFixed(9)));
});

test('the one-pixel GIF of the web is a picture that stands still', () => {
  const pixel = fromBase64('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7');
  assert.equal(moving(pixel)?.frames, 1);
});
