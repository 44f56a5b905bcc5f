/** What a browser's encoder adds to the pixels does not leave the device. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bare, MAX_PICTURE_BYTES } from '../src/engine/picture';
import { concat, fromBase64, type Bytes } from '../src/protocol/bytes';

// Colour gradients of 8 by 8 pixels, with nothing but pixels.
const JPEG = fromBase64(
  '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAYEBQYFBAYGBQYHBwYIChAKCgkJChQODwwQFxQYGBcUFhYaHSUfGhsjHBYWICwgIyYnKSopGR8tMC0oMCUoKSj/2wBDAQcHBwoIChMKChMoGhYaKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCj/wAARCAAIAAgDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAT/xAAYEAEBAAMAAAAAAAAAAAAAAAAABiIyof/EABQBAQAAAAAAAAAAAAAAAAAAAAX/xAAcEQABAwUAAAAAAAAAAAAAAAAEAAEDAhITITH/2gAMAwEAAhEDEQA/AK5Sd0w4AFJIkyPtJDwUWcX/2Q==',
);
const WEBP = fromBase64(
  'UklGRkIAAABXRUJQVlA4IDYAAAAwAgCdASoIAAgAAUAmJagCdLoAArrt0sOqAAD+6k1/52Kujuecu1djvzPt26lOIfFK43bAAAA=',
);
const PNG = fromBase64(
  'iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAADElEQVR4nGNgoA4AAABIAAEuuDx+AAAAAElFTkSuQmCC',
);

const text = (words: string): Bytes => new TextEncoder().encode(words).slice();
const SECRET = 'Exif 59.9127 N';

const u32 = (n: number, little = false): Bytes => {
  const four = new Uint8Array(4);
  new DataView(four.buffer).setUint32(0, n, little);
  return four;
};
/** Chunks are taken out without looking at their sums, so any will do. */
const chunk = (name: string, body: Bytes): Bytes => concat(u32(body.length), text(name), body, u32(0));
const segment = (marker: number, body: Bytes): Bytes => concat(new Uint8Array([0xff, marker, 0, 2 + body.length]), body);
const riffChunk = (name: string, body: Bytes): Bytes => concat(text(name), u32(body.length, true), body);
const webp = (...chunks: Bytes[]): Bytes => {
  const all = concat(text('WEBP'), ...chunks);
  return concat(text('RIFF'), u32(all.length, true), all);
};
const holds = (bytes: Bytes, words: string): boolean => Buffer.from(bytes).includes(words);

const laden: [string, Bytes, Bytes][] = [
  ['image/png', PNG, concat(PNG.slice(0, 33), chunk('eXIf', text(SECRET)), chunk('tEXt', text(SECRET)), PNG.slice(33), text(SECRET))],
  ['image/jpeg', JPEG, concat(JPEG.slice(0, 2), segment(0xe1, text(SECRET)), segment(0xfe, text(SECRET)), segment(0xe2, text(SECRET)), JPEG.slice(2), text(SECRET))],
  ['image/webp', WEBP, webp(riffChunk('VP8X', new Uint8Array(10)), riffChunk('ICCP', text(SECRET)), WEBP.slice(12), riffChunk('EXIF', text(SECRET)))],
];

for (const [type, plain, full] of laden) {
  test(`${type}: place, text, profile and tail are taken out, and the rest is the same byte for byte`, () => {
    assert.ok(holds(full, SECRET));
    assert.deepEqual(bare({ type, bytes: full }), { type, bytes: plain });
    assert.deepEqual(bare({ type, bytes: plain }), { type, bytes: plain });
  });

  test(`${type}: what is cut off is refused with a sentence, never passed on`, () => {
    for (let end = 0; end < plain.length; end++) {
      assert.throws(() => bare({ type, bytes: plain.slice(0, end) }), { code: 'invalid' });
    }
  });
}

test('a picture of another kind, or a large one, is refused', () => {
  assert.throws(() => bare({ type: 'image/svg+xml', bytes: text('<svg/>') }), { code: 'invalid' });
  const large = webp(riffChunk('VP8 ', new Uint8Array(MAX_PICTURE_BYTES)));
  assert.throws(() => bare({ type: 'image/webp', bytes: large }), { code: 'too_large' });
});
