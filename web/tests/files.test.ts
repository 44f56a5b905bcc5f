import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PIECE, withFiles, type Sent } from '../src/protocol/attachments';
import { equal, type Bytes } from '../src/protocol/bytes';
import type { Happening, Message, Outgoing } from '../src/engine/contract';
import { Problem } from '../src/engine/errors';
import { Unreachable } from '../src/engine/home';
import { NodeDevice, NodeHome } from '../src/engine/home-node';
import type { MediaAsk, MediaPort, MediaTell } from '../src/engine/attachments/play';
import { owned, PieceCache, type CachedFile } from '../src/engine/attachments/cache';
import { Files } from '../src/engine/attachments/files';
import { Api } from '../src/engine/api';
import { messageKey, type MessageRecord } from '../src/engine/records';
import { encodeContent, textContent } from '../src/protocol/content';
import { accountUri, roomUri } from '../src/protocol/uris';
import { safeName, sniffed } from '../src/engine/attachments/kinds';
import { rootKey, Vault } from '../src/engine/vault';
import { Person } from '../src/person/person';
import { serverProgram, TestServer } from './server';
import { account } from './shared';

const program = serverProgram();
const skip = program === null ? 'there is no kith program here (set KITH_BIN)' : false;
const folder = mkdtempSync(join(tmpdir(), 'kith-files-'));
let server: TestServer;
let count = 0;
const people: Person[] = [];

/** A home whose exchange of octets a test may spoil. */
class Spoiled extends NodeHome {
  spoil: ((method: string, path: string, headers: Record<string, string>, answer: () => Promise<Response>) => Promise<Response>) | null = null;
  readonly asked: string[] = [];

  override octets(...[method, path, headers, body, signal]: Parameters<NodeHome['octets']>): Promise<Response> {
    this.asked.push(`${method} ${path} ${headers['Range'] ?? headers['Upload-Offset'] ?? ''}`.trim());
    const answer = (): Promise<Response> => super.octets(method, path, headers, body, signal);
    return this.spoil ? this.spoil(method, path, headers, answer) : answer();
  }
}

interface Somebody { person: Person; home: Spoiled; device: NodeDevice }

async function somebody(name: string): Promise<Somebody> {
  const options = { origin: server.origin };
  const device = new NodeDevice(options);
  const home = new Spoiled(device);
  const person = new Person(options, device, home);
  people.push(person);
  await person.signUp({ handle: `${name}${++count}`, display_name: name, password: `correct horse ${name} battery`, year: 1990, month: 5 });
  return { person, home, device };
}

/** The same device, started again. */
function again({ device }: Somebody): Somebody {
  const home = new Spoiled(device);
  const person = new Person({ origin: server.origin }, device, home);
  people.push(person);
  return { person, home, device };
}

async function friends(answered = true): Promise<{ anna: Somebody; ben: Somebody; room: string }> {
  const [anna, ben] = [await somebody('anna'), await somebody('ben')];
  await anna.person.request(ben.person.me!.handle, 'Hello, the photos are coming.');
  const room = await ben.person.accept({ handle: anna.person.me!.handle });
  await ben.person.hear(room, 'Hello, the photos are coming.');
  if (answered) {
    await ben.person.send(room, 'I am curious.');
    await anna.person.hear(room, 'I am curious.');
  }
  return { anna, ben, room };
}

const bytesOf = (length: number, seed = 1): Bytes => Uint8Array.from({ length }, (_, i) => (i * 31 * seed + (i >> 8) * 7) & 0xff);
const PNG = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const WEBM = [0x1a, 0x45, 0xdf, 0xa3];
function made(length: number, head: number[] = [], seed = 1): Bytes {
  const bytes = bytesOf(length, seed);
  bytes.set(head);
  return bytes;
}
const outgoing = (bytes: Bytes, about: Partial<Outgoing> = {}): Outgoing => ({
  bytes: new Blob([bytes]), kind: 'file', name: 'a file.bin', type: 'application/octet-stream', alt: '', width: null, height: null,
  thumbhash: null, duration_ms: null, waveform: null, poster: null, ...about,
});
const photo = (bytes: Bytes): Outgoing => outgoing(bytes, { kind: 'photo', name: 'kite.png', type: 'image/png', alt: 'a kite', width: 3, height: 2, thumbhash: bytesOf(24) });
const film = (bytes: Bytes): Outgoing => outgoing(bytes, { kind: 'video', name: 'lake.webm', type: 'video/webm', duration_ms: 4000 });

const bytesAt = async (who: Somebody, room: string, { id, files }: Message, n = 0): Promise<Uint8Array> =>
  new Uint8Array(await (await who.person.call('file', { room, id, part: files[n]!.part })).blob.arrayBuffer());
const withFile = (who: Somebody, room: string, name: string): Promise<Message> => who.person.eventually(
  async () => (await who.person.messages(room)).find((one) => one.seq !== null && one.files.some((file) => file.name === name)) ?? null, name);
const refusal = async (work: Promise<unknown>, why = 'not refused'): Promise<Problem> => work.then(() => assert.fail(why), (error: unknown) => {
  assert.ok(error instanceof Problem, String(error));
  return error;
});

before(async () => {
  if (program !== null) server = await TestServer.create(program);
});
after(async () => {
  people.forEach((one) => one.stop());
  await server?.remove();
  rmSync(folder, { recursive: true, force: true });
});

test('an album with words arrives whole; its small photo comes unasked, the film when it is wanted', { skip }, async () => {
  const { anna, ben, room } = await friends();
  const [picture, lake] = [made(40_000, PNG), made(2 * PIECE + 777, WEBM)];
  const told: Happening[] = [];
  anna.person.on((happening) => { if (happening.type === 'transfer') told.push(happening); });
  const waiting = await anna.person.call('send', { room, text: 'From the weekend', files: [photo(picture), film(lake)] });
  assert.deepEqual(waiting.files.map((one) => [one.kind, one.name, one.size, one.state]), [['photo', 'kite.png', 40_000, 'here'], ['video', 'lake.webm', lake.length, 'here']]);
  const seen = await ben.person.hear(room, 'From the weekend');
  assert.deepEqual(seen.files.map((one) => [one.kind, one.name, one.alt, one.size]), [['photo', 'kite.png', 'a kite', 40_000], ['video', 'lake.webm', '', lake.length]]);
  await ben.person.eventually(async () => ((await ben.person.hear(room, 'From the weekend')).files[0]!.state === 'here' ? true : null), 'the photo');
  assert.equal((await ben.person.hear(room, 'From the weekend')).files[1]!.state, 'remote');
  assert.ok(equal(await bytesAt(ben, room, seen, 0), picture));
  assert.ok(equal(await bytesAt(ben, room, seen, 1), lake));
  assert.equal((await ben.person.hear(room, 'From the weekend')).files[1]!.state, 'here');
  const mine = await anna.person.hear(room, 'From the weekend');
  assert.deepEqual(mine.files.map((one) => one.state), ['here', 'here'], 'what was sent is not fetched again');
  assert.ok(equal(await bytesAt(anna, room, mine, 1), lake));
  assert.ok(!anna.home.asked.some((one) => one.startsWith('GET')));
  const last = told.at(-1) as Extract<Happening, { type: 'transfer' }>;
  assert.equal(last.done, last.total);
  const chat = (await ben.person.call('chats', {})).find((one) => one.room === room)!;
  assert.deepEqual(chat.last!.files, ['photo', 'video']);
});

test('a photo of somebody who was not answered yet is not asked for until it is wanted', { skip }, async () => {
  const { anna, ben, room } = await friends(false);
  const picture = made(40_000, PNG);
  await anna.person.call('send', { room, text: 'Look', files: [photo(picture)] });
  const seen = await ben.person.hear(room, 'Look');
  await anna.person.send(room, 'Did you look');
  await ben.person.hear(room, 'Did you look'); // whatever would have been asked for unasked was asked for by now, or is soon
  assert.equal((await ben.person.call('chats', {})).find((one) => one.room === room)!.answered, false);
  assert.deepEqual(ben.home.asked.filter((one) => one.startsWith('GET')), []);
  assert.ok(equal(await bytesAt(ben, room, seen), picture));
  assert.ok(ben.home.asked.some((one) => one.startsWith('GET')), 'the control: it is seen when it is asked for');
  await ben.person.send(room, 'I did');
  await ben.person.eventually(async () => ((await ben.person.call('chats', {})).find((one) => one.room === room)!.answered ? true : null), 'the answer');
  await anna.person.call('send', { room, text: 'Another', files: [photo(made(40_000, PNG, 2))] });
  await ben.person.eventually(async () => ((await ben.person.hear(room, 'Another')).files[0]!.state === 'here' ? true : null), 'the photo of somebody known');
});

test('the bytes at rest are ciphertext, and nothing that was asked of the server has a name or a word in it', { skip }, async () => {
  const { anna, ben, room } = await friends();
  const secret = new TextEncoder().encode('CANARY-BYTES '.repeat(2000)) as Bytes;
  await anna.person.call('send', { room, text: 'CANARY-WORDS', files: [outgoing(secret, { name: 'CANARY-NAME.txt', alt: 'CANARY-ALT' })] });
  const seen = await ben.person.hear(room, 'CANARY-WORDS');
  assert.ok(equal(await bytesAt(ben, room, seen), secret));
  for (const { device, home } of [anna, ben]) {
    const pieces = await device.backend.range('blobs', { prefix: '' });
    assert.ok(pieces.length > 0);
    for (const store of ['blobs', 'meta', 'messages', 'outbox', 'reports'] as const) {
      for (const { key, value } of await device.backend.range(store, { prefix: '' })) assert.ok(!/CANARY/.test(key + Buffer.from(value).toString('latin1')), `${store}/${key}`);
    }
    assert.ok(!/CANARY/.test(home.asked.join('\n')));
  }
});

test('an upload that was cut off goes on after a restart where the server says, and what came after it waits its turn', { skip }, async () => {
  const { anna, ben, room } = await friends();
  const big = made(5 * PIECE + 99);
  let patches = 0;
  anna.home.spoil = async (method, _path, _headers, answer) => {
    if (method === 'PATCH' && ++patches > 1) throw new Unreachable('cut');
    return answer();
  };
  await anna.person.call('send', { room, text: 'first, with a file', files: [outgoing(big, { name: 'big.bin' })] });
  await anna.person.send(room, 'second, only words');
  await anna.person.eventually(async () => (patches > 1 ? true : null), 'the cut');
  assert.deepEqual((await anna.person.messages(room)).slice(-2).map((one) => [one.text, one.delivery]), [['first, with a file', 'waiting'], ['second, only words', 'waiting']]);
  anna.person.stop();
  const later = again(anna);
  assert.equal(await later.person.start(), 'ready');
  await ben.person.hear(room, 'second, only words');
  const texts = (await ben.person.messages(room)).map((one) => one.text);
  assert.deepEqual(texts.slice(-2), ['first, with a file', 'second, only words']);
  const sent = later.home.asked.filter((one) => one.startsWith('PATCH'));
  assert.ok(sent.length > 0 && !sent.some((one) => one.endsWith(' 0')), `gone on with: ${sent.join(', ')}`);
  assert.ok(equal(await bytesAt(ben, room, await ben.person.hear(room, 'first, with a file')), big));
});

test('a message that is taken back while its file goes up never arrives, and nothing of it stays', { skip }, async () => {
  const { anna, ben, room } = await friends();
  anna.home.spoil = async (method, _path, _headers, answer) => {
    if (method === 'PATCH') throw new Unreachable('no way up');
    return answer();
  };
  const waiting = await anna.person.call('send', { room, text: 'not this one', files: [outgoing(made(PIECE), { name: 'secret.bin' })] });
  await anna.person.eventually(async () => (anna.home.asked.some((one) => one.startsWith('PATCH')) ? true : null), 'the upload');
  await anna.person.call('cancel_message', { room, id: waiting.id });
  anna.home.spoil = null;
  await anna.person.send(room, 'this one');
  await ben.person.hear(room, 'this one');
  assert.ok(!(await ben.person.messages(room)).some((one) => one.text === 'not this one'));
  assert.ok(!(await anna.person.messages(room)).some((one) => one.text === 'not this one'));
  await anna.person.eventually(async () => ((await anna.device.backend.keys('blobs', { prefix: '' })).length === 0 ? true : null), 'its pieces');
});

test('what the server refuses for good fails with its own sentence, what passes is tried again', { skip }, async () => {
  const { anna, ben, room } = await friends();
  const no = (status: number, error: object): Response => new Response(JSON.stringify({ error }), { status, headers: { 'Content-Type': 'application/json' } });
  let busy = 1;
  anna.home.spoil = async (method, _path, _headers, answer) => {
    if (method === 'PATCH' && busy-- > 0) return no(503, { code: 'read_only', message: 'Not now.', retry_after_ms: 50 });
    return answer();
  };
  await anna.person.call('send', { room, text: 'a little later', files: [outgoing(made(500))] });
  await ben.person.hear(room, 'a little later');
  anna.home.spoil = async (method, _path, _headers, answer) =>
    method === 'PATCH' ? no(429, { code: 'limited', message: 'That is enough for today.', retry_after_ms: 9_000_000 }) : answer();
  await anna.person.call('send', { room, text: 'too much', files: [outgoing(made(500))] });
  const failed = await anna.person.eventually(
    async () => (await anna.person.messages(room)).find((one) => one.text === 'too much' && one.delivery === 'failed') ?? null, 'the failure');
  assert.equal(failed.failure, 'That is enough for today.');
  anna.home.spoil = null;
  await anna.person.call('retry', { room, id: failed.id });
  await ben.person.hear(room, 'too much');
});

test('empty, too many and too large files are refused before anything is kept', { skip }, async () => {
  const { anna, room } = await friends(false);
  const send = (files: Outgoing[]): Promise<unknown> => anna.person.call('send', { room, text: '', files });
  assert.equal((await refusal(send([outgoing(new Uint8Array())]))).code, 'invalid');
  assert.equal((await refusal(send(Array.from({ length: 11 }, () => outgoing(made(10)))))).code, 'too_large');
  const huge = { size: 64 * PIECE, slice: () => assert.fail('read') } as unknown as Blob;
  assert.equal((await refusal(send([{ ...outgoing(made(10)), bytes: huge }]))).code, 'too_large');
  const large = { size: 30 * PIECE, slice: () => assert.fail('read') } as unknown as Blob;
  assert.equal((await refusal(send(Array.from({ length: 10 }, () => ({ ...outgoing(made(10)), bytes: large }))))).code, 'too_large');
  const gone = { size: 100, slice: () => ({ arrayBuffer: () => Promise.reject(new DOMException('gone', 'NotReadableError')) }) } as unknown as Blob;
  assert.equal((await refusal(send([{ ...outgoing(made(10)), bytes: gone }]))).code, 'unreadable');
  assert.equal((await refusal(send([]))).code, 'invalid');
  assert.equal((await anna.person.messages(room)).length, 1);
});

test('what is not the committed ciphertext is shown as damaged, for good, and the chat goes on', { skip }, async () => {
  const { anna, ben, room } = await friends();
  const bend = (change: (bytes: Bytes) => Bytes, headers: (own: Headers) => void = () => undefined): Spoiled['spoil'] => async (method, _path, _sent, answer) => {
    const true_ = await answer();
    if (method !== 'GET') return true_;
    const own = new Headers(true_.headers);
    headers(own);
    return new Response(change(new Uint8Array(await true_.arrayBuffer())), { status: true_.status, headers: own });
  };
  const flip = (bytes: Bytes): Bytes => {
    bytes[bytes.length >> 1]! ^= 4;
    return bytes;
  };
  const lies: [string, Spoiled['spoil']][] = [
    ['one bit', bend(flip)],
    ['another length', bend((bytes) => bytes, (own) => {
      own.set('Content-Range', 'bytes 0-76/77');
      own.set('Content-Length', '77');
    })],
    ['other bytes', bend((bytes) => bytes.map(() => 0))],
  ];
  for (const [name, lie] of lies) {
    await anna.person.call('send', { room, text: name, files: [outgoing(made(PIECE + 5, [], count++), { name: `${name}.bin` })] });
    const message = await ben.person.hear(room, name);
    ben.home.spoil = lie;
    assert.equal((await refusal(bytesAt(ben, room, message), name)).code, 'broken', name);
    ben.home.spoil = null;
    assert.equal((await ben.person.hear(room, name)).files[0]!.state, 'broken', name);
    assert.equal((await refusal(bytesAt(ben, room, message))).code, 'broken', `${name}, asked again`);
  }
  await anna.person.send(room, 'still here');
  await ben.person.hear(room, 'still here');
});

test('a connection that breaks off goes on from where it broke; a file that is gone is said to be', { skip }, async () => {
  const { anna, ben, room } = await friends();
  const big = made(4 * PIECE + 5);
  await anna.person.call('send', { room, text: 'long way', files: [outgoing(big, { name: 'long.bin' })] });
  const message = await ben.person.hear(room, 'long way');
  let cuts = 0;
  ben.home.spoil = async (method, _path, _headers, answer) => {
    const whole = await answer();
    if (method !== 'GET' || cuts++ > 1) return whole;
    const bytes = new Uint8Array(await whole.arrayBuffer());
    return new Response(bytes.slice(0, PIECE + 100), { status: whole.status, headers: whole.headers });
  };
  assert.ok(equal(await bytesAt(ben, room, message), big));
  assert.deepEqual(ben.home.asked.filter((one) => one.startsWith('GET')).map((one) => Number(/bytes=(\d+)/.exec(one)![1]) / PIECE), [0, 1, 2]);
  await anna.person.call('send', { room, text: 'short life', files: [outgoing(made(900), { name: 'short.bin' })] });
  const second = await ben.person.hear(room, 'short life');
  ben.home.spoil = async (method, _path, _headers, answer) => (method === 'GET' ? new Response('{}', { status: 404 }) : answer());
  assert.equal((await refusal(bytesAt(ben, room, second))).code, 'gone');
  assert.equal((await ben.person.hear(room, 'short life')).files[0]!.state, 'gone');
});

/** A player's requests on a port, as the service worker makes them. */
class Player implements MediaPort {
  onmessage: MediaPort['onmessage'] = null;
  readonly #told: MediaTell[] = [];
  #wake: () => void = () => undefined;

  postMessage(message: MediaTell): void {
    this.#told.push(message);
    this.#wake();
  }

  async ask(ask: MediaAsk): Promise<MediaTell> {
    this.onmessage?.({ data: ask } as MessageEvent<MediaAsk>);
    while (this.#told.length === 0) await new Promise<void>((resolve) => { this.#wake = resolve; });
    return this.#told.shift()!;
  }

  /** All bytes of a range. */
  async bytes(range: string | null): Promise<{ head: unknown; bytes: Uint8Array } | null> {
    const told = await this.ask({ range });
    if (told === 'failed' || told === 'end' || !('head' in told)) return null;
    const parts: Uint8Array[] = [];
    for (;;) {
      const next = await this.ask('more');
      if (next === 'end') return { head: told.head, bytes: Buffer.concat(parts) };
      if (next === 'failed' || !('part' in next)) return null;
      parts.push(new Uint8Array(next.part));
    }
  }
}

test('a film plays from its middle before the rest is here, and only verified bytes are played', { skip }, async () => {
  const { anna, ben, room } = await friends();
  const lake = made(6 * PIECE + 1234, WEBM);
  await anna.person.call('send', { room, text: '', files: [film(lake)] });
  const message = await withFile(ben, room, 'lake.webm');
  const which = { room, id: message.id, part: message.files[0]!.part };
  const { url } = (await ben.person.call('play', which))!;
  const play = (range: string | null): ReturnType<Player['bytes']> => {
    const player = new Player();
    ben.person.serve(url, player);
    return player.bytes(range);
  };
  const middle = await play(`bytes=${5 * PIECE + 10}-${5 * PIECE + 20_009}`);
  assert.deepEqual(middle!.head, { type: 'video/webm', length: lake.length, from: 5 * PIECE + 10, to: 5 * PIECE + 20_010, partial: true });
  assert.ok(equal(middle!.bytes, lake.slice(5 * PIECE + 10, 5 * PIECE + 20_010)));
  const asked = ben.home.asked.filter((one) => one.startsWith('GET')).map((one) => Number(/bytes=(\d+)/.exec(one)![1]) / PIECE);
  assert.ok(!asked.includes(3), `the rest was not fetched for it: ${asked.join(' ')}`);
  assert.ok(equal((await play('bytes=-500'))!.bytes, lake.slice(-500)));
  assert.equal(await play(`bytes=${lake.length}-`), null);
  assert.ok(equal((await play(null))!.bytes, lake));
  assert.equal((await ben.person.call('stop_playing', { url })).why, null);
  assert.equal((await withFile(ben, room, 'lake.webm')).files[0]!.state, 'here');
  assert.equal(await play(null), null, 'an address that was given back is nothing');

  await anna.person.call('send', { room, text: '', files: [outgoing(made(3 * PIECE, WEBM, 3), { kind: 'video', name: 'bent.webm', type: 'video/webm' })] });
  const bent = await withFile(ben, room, 'bent.webm');
  const second = (await ben.person.call('play', { room, id: bent.id, part: bent.files[0]!.part }))!;
  ben.home.spoil = async (method, _path, headers, answer) => {
    const true_ = await answer();
    if (method !== 'GET' || !headers['Range']!.startsWith(`bytes=${PIECE}-`)) return true_;
    const bytes = new Uint8Array(await true_.arrayBuffer());
    bytes[9]! ^= 1;
    return new Response(bytes, { status: true_.status, headers: true_.headers });
  };
  const player = new Player();
  ben.person.serve(second.url, player);
  assert.equal(await player.bytes(null), null, 'a piece that is not the committed one ends it');
  assert.equal((await ben.person.call('stop_playing', { url: second.url })).why?.code, 'broken', 'and the player can say why');
});

test('a page, a script or a drawing under a film’s name is never played and is saved as unknown bytes', { skip }, async () => {
  const { anna, ben, room } = await friends();
  const page = new TextEncoder().encode('<!doctype html><script>alert(1)</script><svg xmlns="http://www.w3.org/2000/svg"/>'.padEnd(300)) as Bytes;
  await anna.person.call('send', { room, text: '', files: [outgoing(page, { kind: 'video', name: '../../CON.webm\u202Egpj.exe', type: 'video/webm' }), outgoing(page, { kind: 'photo', name: 'x.svg', type: 'image/svg+xml' })] });
  const message = await withFile(ben, room, 'x.svg');
  assert.deepEqual(message.files.map((one) => one.kind), ['video', 'file'], 'a drawing is a plain file');
  assert.equal(message.files[0]!.name, '_.._CON.webmgpj.exe');
  const path = join(folder, 'saved.bin');
  for (const file of message.files) {
    assert.deepEqual(await ben.person.saveFile(room, message.id, file.part, path), { size: page.length, type: 'application/octet-stream' });
    assert.ok(equal(readFileSync(path), page));
  }
  const { url } = (await ben.person.call('play', { room, id: message.id, part: message.files[0]!.part }))!;
  const player = new Player();
  ben.person.serve(url, player);
  assert.equal(await player.bytes(null), null);
});

test('a deleted thread takes its files with it, except what may still be reported', { skip }, async () => {
  const { anna, ben, room } = await friends();
  const path = join(folder, 'from-disk.txt');
  writeFileSync(path, 'words on a disk');
  await anna.person.sendFile(room, path, {}, 'take care of it');
  const message = await ben.person.hear(room, 'take care of it');
  assert.ok(equal(await bytesAt(ben, room, message), readFileSync(path)));
  for (let i = 0; i < 30; i++) await anna.person.send(room, `and more ${i}`);
  await ben.person.hear(room, 'and more 29');
  assert.equal((await ben.device.backend.keys('blobs', { prefix: '' })).length, 1);
  await anna.person.sendFile(room, path, { name: 'newest.txt' }, 'newest');
  await bytesAt(ben, room, await ben.person.hear(room, 'newest'));
  await ben.person.call('delete_thread', { room });
  await ben.person.eventually(async () => ((await ben.device.backend.keys('blobs', { prefix: '' })).length === 1 ? true : null), 'the sweep');
});

test('when files take more room than they may, what was not used for longest goes, and nothing that waits to be sent', async () => {
  let now = 1_800_000_000_000;
  const device = new NodeDevice({ origin: 'http://h.example', now: () => now });
  const home = new NodeHome(device);
  const vault = new Vault(home, await rootKey(await home.backend.localKey(), new Uint8Array(32), account(1), account(2)));
  const cache = new PieceCache(home, vault, 1000);
  const keep = async (id: string, owner: string): Promise<void> => {
    await cache.makeRoom(400, id);
    await cache.put(id, { hash: new Uint8Array(32), size: 400, state: 'whole', owners: [owner], usedMs: (now += 1000) });
    await cache.keep(id, 0, new Uint8Array(400));
  };
  await vault.save('outbox', `${account(9)}/0000000000000001-abcdef`, {});
  await keep('a', 'abcdef');
  await keep('b', 'one message');
  await keep('c', 'another message');
  assert.deepEqual(await Promise.all(['a', 'b', 'c'].map(async (id) => (await cache.present(id)).size)), [1, 0, 1]);
  assert.equal(await cache.get('b'), null);
  await home.backend.write([{ store: 'blobs', key: 'nobody/0000000000000000', value: new Uint8Array(9) }]);
  await cache.sweep(async (owner) => owner === 'another message');
  assert.deepEqual(await home.backend.keys('blobs', { prefix: '' }), ['c/0000000000000000']);
});

test('one file that is sent very often keeps a short list of whose it is', () => {
  let entry: CachedFile = { hash: null, size: 1, state: 'whole', owners: [], usedMs: 0 };
  for (let n = 0; n < 10_000; n++) entry = owned(entry, `message ${n}`);
  assert.deepEqual([entry.owners.length, entry.owners.at(-1)], [32, 'message 9999']);
});

test('of a flood of photos the newest are fetched by themselves, and no queue grows with it', async () => {
  const device = new NodeDevice({ origin: 'http://h.example' });
  const home = new Spoiled(device);
  const vault = new Vault(home, await rootKey(await home.backend.localKey(), new Uint8Array(32), account(1), account(2)));
  const ended = new AbortController();
  let answer = (): void => undefined;
  const waits = new Promise<void>((resolve) => { answer = resolve; });
  home.spoil = async () => {
    await waits;
    return new Response(null, { status: 404 });
  };
  const files = new Files(home, new Api(home), vault, () => undefined, ended.signal);
  const room = account(3);
  for (let n = 0; n < 300; n++) {
    const id = n.toString(16).padStart(64, '0');
    const bytes = (size: number): Uint8Array => new Uint8Array(size).fill(n % 256).fill(n >> 8, 1, 2);
    const file = { blob: String(n).padStart(22, 'b'), key: bytes(32), nonce: bytes(12), hash: bytes(32), expires: 0, size: 5000 };
    const media = { length: 4984, width: 9, height: 9, thumbhash: null, durationMs: null, waveform: null, chunks: null, voice: false };
    const head = { salt: bytes(16), sender: accountUri('h.example', account(4)), room: roomUri('h.example', room) };
    const sent = { file, contentType: 'image/jpeg', inline: true, name: '', description: '', media, poster: null } satisfies Sent;
    const content = encodeContent(withFiles(textContent({ ...head, text: '' }), '', [sent]));
    const row = { kind: 'text', id, pos: n, seq: n, mine: false, text: '', content, files: ['photo'] } as unknown as MessageRecord;
    await vault.write(await vault.put('messages', messageKey(room, n, n), row), await vault.put('meta', `mid/${id}`, messageKey(room, n, n)));
    await files.arrived(room, row);
  }
  answer();
  const asked = (): Set<string> => new Set(home.asked.map((one) => one.split(' ')[1]!));
  for (let last = -1; asked().size > last;) {
    last = asked().size;
    await new Promise((soon) => setTimeout(soon, 300));
  }
  assert.equal(asked().size, 2 + 50);
  assert.ok([...asked()].some((one) => one.includes('bbb299')), 'the newest is among them');
  ended.abort();
});

test('a device without room says so, and frees some before it gives up', async () => {
  const device = new NodeDevice({ origin: 'http://h.example' });
  const home = new NodeHome(device);
  const vault = new Vault(home, await rootKey(await home.backend.localKey(), new Uint8Array(32), account(1), account(2)));
  const cache = new PieceCache(home, vault);
  await cache.put('old', { hash: null, size: 10, state: 'partial', owners: ['x'], usedMs: 1 });
  await cache.keep('old', 0, new Uint8Array(10));
  const write = home.backend.write.bind(home.backend);
  let refusals = 1;
  home.backend.write = async (writes) => {
    if (writes.some(({ store, value }) => store === 'blobs' && value !== null) && refusals-- > 0) throw new DOMException('full', 'QuotaExceededError');
    return write(writes);
  };
  await cache.keep('new', 0, new Uint8Array(10));
  assert.equal((await cache.present('old')).size, 0);
  assert.equal((await cache.present('new')).size, 1);
  refusals = 2;
  await assert.rejects(cache.keep('new', 1, new Uint8Array(10)), (error: unknown) => error instanceof Problem && error.code === 'storage');
});

test('a name that somebody else chose does no harm where it is shown and saved', () => {
  const names: [string, string][] = [
    ['photo.jpg', 'photo.jpg'], ['../../etc/passwd', '_.._etc_passwd'], ['a\\b/c:d.txt', 'a_b_c_d.txt'], ['exe.\u202Egpj', 'exe.gpj'],
    ['CON', '_CON'], ['com1.txt', '_com1.txt'], ['console.log', 'console.log'], ['  .hidden ', 'hidden'], ['dots...', 'dots'], ['', ''], ['\u200b', ''],
    ['line\nbreak\u0000.txt', 'linebreak.txt'], ['\ud800.txt', '\ufffd.txt'],
  ];
  for (const [name, safe] of names) assert.equal(safeName(name), safe, JSON.stringify(name));
  const long = safeName(`${'🪁'.repeat(200)}.tar`);
  assert.ok(long.length <= 120 && long.endsWith('.tar') && long.isWellFormed());
  const took = (name: string): number => {
    const from = performance.now();
    safeName(name);
    return performance.now() - from;
  };
  const honest = Math.max(1, took('x'.repeat(60_000)), took('y'.repeat(60_000)));
  for (const name of ['. '.repeat(30_000) + 'x', `x${' '.repeat(60_000)}x`, `a${'. '.repeat(30_000)}a`]) assert.ok(took(name) < 200 * honest, 'as long as any name');
});

test('what a file is, its bytes say: pictures, films and sounds of a short list, and unknown bytes', () => {
  const bytes = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const kinds: [string, string][] = [
    ['\xff\xd8\xff\xe0', 'image/jpeg'], ['\x89PNG\r\n\x1a\n', 'image/png'], ['GIF89a', 'image/gif'], ['RIFF....WEBPVP8 ', 'image/webp'],
    ['....ftypavif', 'image/avif'], ['....ftypheic', 'application/octet-stream'], ['....ftypisom', 'video/mp4'], ['\x1aE\xdf\xa3', 'video/webm'],
    ['OggS', 'audio/ogg'], ['RIFF....WAVEfmt ', 'audio/wav'], ['ID3', 'audio/mpeg'], ['<svg xmlns', 'application/octet-stream'],
    ['<!doctype html>', 'application/octet-stream'], ['%PDF-1.7', 'application/octet-stream'], ['MZ', 'application/octet-stream'], ['', 'application/octet-stream'],
    ['RIFF', 'application/octet-stream'], ['GIF8', 'application/octet-stream'],
  ];
  for (const [head, type] of kinds) assert.equal(sniffed(bytes(head), false), type, JSON.stringify(head));
  assert.equal(sniffed(bytes('\x1aE\xdf\xa3'), true), 'audio/webm');
  assert.equal(sniffed(bytes('....ftypisom'), true), 'audio/mp4');
});
