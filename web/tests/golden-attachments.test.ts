import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode } from 'cborg';
import { concat, fromHex, toHex, type Bytes } from '../src/protocol/bytes';
import {
  padme, piecesOf, pieceSpan, readMedia, Sealer, sealedSize, shownOf, Verifier, withFiles, type AttachedFile, type ExternalFile, type MediaFacts,
} from '../src/protocol/attachments';
import { decodeContent, encodeContent, textContent } from '../src/protocol/content';
import { golden } from './shared';

interface GoldenMedia {
  length: number; width: number | null; height: number | null; thumbhash: string | null; duration_ms: number | null; waveform: string | null;
  chunks: string[] | null; voice: boolean;
}
interface GoldenAttachments {
  key: string; nonce: string; padme: [number, number][];
  files: { length: number; size: number; content_hash: string; chunks: string[]; ciphertext?: string }[];
  refused: { name: string; size: number; key: string; nonce: string; content_hash: string; ciphertext: string; reason: string }[];
  messages: {
    name: string; bytes: string; text: string | null;
    files: {
      part: number; media_type: string; inline: boolean; name: string; description: string; blob: string | null; media: GoldenMedia | null;
      poster: { media_type: string; data: string } | null;
    }[];
  }[];
  media: { name: string; size: number; value: string; media: GoldenMedia | null }[];
}

const file = golden<GoldenAttachments>('attachments');
const skip = file === null ? 'the golden vectors are not here' : false;
const pattern = (length: number): Bytes => Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 7) & 0xff);
const hex = (bytes: Uint8Array | null): string | null => bytes && toHex(bytes as Bytes);

const asGolden = (media: MediaFacts | null): GoldenMedia | null => media && {
  length: media.length, width: media.width, height: media.height, thumbhash: hex(media.thumbhash), duration_ms: media.durationMs,
  waveform: hex(media.waveform), chunks: media.chunks && media.chunks.map((chunk) => toHex(chunk as Bytes)), voice: media.voice,
};

test('both clients know the same buckets', { skip }, () => {
  for (const [length, bucket] of file!.padme) assert.equal(padme(length), bucket, String(length));
});

test('both clients make the same ciphertext of a file', { skip }, async () => {
  for (const { length, size, content_hash, chunks, ciphertext } of file!.files) {
    const plain = pattern(length);
    const sealer = await Sealer.create(fromHex(file!.key), fromHex(file!.nonce), length);
    const pieces: Bytes[] = [];
    while (pieces.length < sealer.pieces) pieces.push(await sealer.next(plain.slice(sealer.wanted.from, sealer.wanted.to)));
    const sums = sealer.sums();
    assert.equal(sealedSize(length), size);
    assert.equal(toHex(sums.hash), content_hash);
    assert.deepEqual(sums.chunks.map(toHex), chunks);
    if (ciphertext !== undefined) assert.equal(toHex(concat(...pieces)), ciphertext);
  }
});

test('both clients refuse the same ciphertexts', { skip }, async () => {
  for (const { name, size, key, nonce, content_hash, ciphertext } of file!.refused) {
    const wanted: ExternalFile = { blob: '', expires: 0, size, key: fromHex(key), nonce: fromHex(nonce), hash: fromHex(content_hash) };
    const bytes = fromHex(ciphertext);
    const verifier = await Verifier.create(wanted);
    for (let i = 0; i < piecesOf(bytes.length); i++) {
      const { from, to } = pieceSpan(i, bytes.length);
      await verifier.update(bytes.slice(from, to));
    }
    assert.equal(verifier.genuine(), false, name);
  }
});

test('both clients see the same words and files in a message', { skip }, () => {
  const seen = (one: AttachedFile): GoldenAttachments['messages'][0]['files'][0] => ({
    part: one.part, media_type: one.contentType, inline: one.inline, name: one.name, description: one.description,
    blob: one.file && one.file.blob, media: asGolden(one.media),
    poster: one.poster && { media_type: one.poster.type, data: toHex(one.poster.bytes as Bytes) },
  });
  for (const { name, bytes, text, files } of file!.messages) {
    const shown = shownOf(decodeContent(fromHex(bytes)));
    assert.equal(shown.text, text, name);
    assert.deepEqual(shown.files.map(seen), files, name);
  }
});

test('both clients believe the same media facts', { skip }, () => {
  for (const { name, size, value, media } of file!.media) {
    const read = decode(fromHex(value), { useMaps: true }) as unknown;
    assert.deepEqual(asGolden(readMedia([read], [size])[0]!), media, name);
  }
});

test('this client makes the very bytes of a message with a caption and an album', { skip }, () => {
  const { bytes, text } = file!.messages.find(({ name }) => name === 'a caption and an album')!;
  const content = decodeContent(fromHex(bytes));
  const { files } = shownOf(content);
  const words = textContent({
    salt: content.salt, sender: content.extensions.get(1) as string, room: content.extensions.get(2) as string, text: text!,
  });
  const sent = files.map((one) => ({ ...one, file: one.file!, media: one.media! }));
  assert.equal(toHex(encodeContent(withFiles(words, text!, sent))), bytes);
});
