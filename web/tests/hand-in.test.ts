/** Files of reported messages that the server lost: handed in from this device's ciphertext. The server is played at the wire. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { padme, PIECE, piecesOf, withFiles, type Sent } from '../src/protocol/attachments';
import { concat, equal, toHex, type Bytes } from '../src/protocol/bytes';
import { encodeContent, textContent } from '../src/protocol/content';
import { Api } from '../src/engine/api';
import { cacheId } from '../src/engine/attachments/cache';
import { Files } from '../src/engine/attachments/files';
import type { Outgoing } from '../src/engine/contract';
import { Unreachable, type Answer } from '../src/engine/home';
import { NodeDevice, NodeHome } from '../src/engine/home-node';
import type { MessageRecord } from '../src/engine/records';
import { rootKey, Vault } from '../src/engine/vault';
import { account } from './shared';

const REPORT = account(7);
const ID = 'ab'.repeat(32);
interface HandedIn { message_id: string; part: number; blob: string }

/** What a server does with uploads and with what is handed in; `offline`, `refuse` and `most` spoil it. */
class Server {
  readonly blobs = new Map<string, { size: number; bytes: Bytes }>();
  readonly taken: HandedIn[] = [];
  readonly asked: string[] = [];
  offline = false;
  refuse: number | null = null;
  /** Octets that it takes before the connection breaks. */
  most = Infinity;

  request(method: string, path: string, body: unknown): Answer {
    this.asked.push(`${method} ${path}`);
    if (this.offline) throw new Unreachable('cut');
    if (method === 'POST' && path === '/api/v1/blobs') {
      const blob = `blob${this.blobs.size}`.padEnd(22, 'A');
      this.blobs.set(blob, { size: (body as { size: number }).size, bytes: new Uint8Array() });
      return { status: 201, body: { blob, offset: 0, piece: 4 * PIECE, expires_ms: 9e15 } };
    }
    if (method === 'DELETE') return { status: this.blobs.delete(path.split('/').at(-1)!) ? 204 : 404, body: null };
    assert.equal(`${method} ${path}`, `POST /api/v1/reports/${REPORT}/attachments`);
    if (this.refuse !== null) return { status: this.refuse, body: null };
    this.taken.push(body as HandedIn);
    return { status: 204, body: null };
  }

  octets(method: string, path: string, headers: Record<string, string>, body: readonly Bytes[] | null): Response {
    this.asked.push(`${method} ${path} ${headers['Upload-Offset'] ?? ''}`.trim());
    const blob = this.blobs.get(path.split('/').at(-1)!);
    if (!blob) return new Response('{}', { status: 404 });
    if (method === 'PATCH') {
      assert.equal(Number(headers['Upload-Offset']), blob.bytes.length);
      const octets = concat(...body!);
      if (blob.bytes.length + octets.length > this.most) throw new Unreachable('cut');
      blob.bytes = concat(blob.bytes, octets);
    }
    return new Response(null, { status: 204, headers: { 'Upload-Offset': String(blob.bytes.length) } });
  }
}

class Wire extends NodeHome {
  constructor(device: NodeDevice, private readonly server: Server) {
    super(device);
  }

  override async request(method: string, path: string, body?: unknown): Promise<Answer> {
    return this.server.request(method, path, body);
  }

  override async octets(...[method, path, headers, body]: Parameters<NodeHome['octets']>): Promise<Response> {
    return this.server.octets(method, path, headers, body);
  }
}

class Device {
  private constructor(private readonly device: NodeDevice, readonly server: Server, readonly home: Wire, readonly vault: Vault, readonly files: Files, private readonly abort: AbortController) {}

  static async open(server = new Server(), device = new NodeDevice({ origin: 'http://h.example' })): Promise<Device> {
    const home = new Wire(device, server);
    const vault = new Vault(home, await rootKey(await home.backend.localKey(), new Uint8Array(32), account(1), account(2)));
    const abort = new AbortController();
    return new Device(device, server, home, vault, new Files(home, new Api(home), vault, () => undefined, abort.signal), abort);
  }

  /** The same device, started again. */
  async again(): Promise<Device> {
    this.stop();
    return Device.open(this.server, this.device);
  }

  stop(): void {
    this.abort.abort();
    this.home.close();
  }

  /** A message whose files are here, as ciphertext. */
  async message(...sizes: number[]): Promise<{ row: MessageRecord; sent: Sent[] }> {
    const files = sizes.map((size): Outgoing => ({
      bytes: new Blob([new Uint8Array(size).fill(7)]), kind: 'file', name: 'CANARY.bin', type: 'application/octet-stream', alt: '',
      width: null, height: null, thumbhash: null, duration_ms: null, waveform: null, poster: null,
    }));
    const sent = (await this.files.outgoing.seal(files, ID)).map((one) => ({ ...one.sent, file: { ...one.sent.file, blob: 'B'.repeat(22) } }));
    const content = textContent({ salt: new Uint8Array(16), sender: `mimi://kith.test/u/${account(3)}`, room: `mimi://kith.test/r/${account(4)}`, text: 'look' });
    const row: MessageRecord = {
      kind: 'text', id: ID, pos: 1, seq: 1, atMs: 1, mine: false, sender: account(3), text: 'look', replyTo: null,
      content: encodeContent(withFiles(content, 'look', sent)), frank: null, files: ['file'],
    };
    return { row, sent };
  }

  owed(): Promise<string[]> {
    return this.home.backend.keys('meta', { prefix: 'hand-in/' });
  }

  async ciphertext({ file }: Sent): Promise<Bytes> {
    const pieces = Array.from({ length: piecesOf(file.size) }, (_, index) => this.files.cache.piece(cacheId(file), index));
    return concat(...(await Promise.all(pieces)).map((piece) => piece!));
  }
}

test('what the server misses is handed in as the ciphertext that was sent, and nothing else is', async () => {
  const device = await Device.open();
  const { row, sent } = await device.message(500, 2 * PIECE + 5, 300);
  const missing = [{ message_id: ID, part: 2 }, { message_id: ID, part: 3 }, { message_id: 'cd'.repeat(32), part: 2 }, { message_id: ID, part: 1 }, { message_id: ID, part: 99 }];
  await device.files.handIns.keep(REPORT, [row], missing);
  await device.files.handIns.run();
  assert.deepEqual(device.server.taken.map(({ message_id, part }) => [message_id, part]), [[ID, 2], [ID, 3]]);
  for (const [i, { blob }] of device.server.taken.entries()) {
    const { size, bytes } = device.server.blobs.get(blob)!;
    assert.equal(size, padme(size), 'a bucket, as when it was sent');
    assert.ok(equal(bytes, await device.ciphertext(sent[i]!)));
    assert.equal(toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))), toHex(sent[i]!.file.hash as Bytes), 'what the message commits to');
  }
  assert.deepEqual(await device.owed(), []);
  assert.ok(!device.server.asked.some((one) => one.startsWith('GET')), 'nothing is fetched');
  device.stop();
});

test('a later message that uses the key of a verified file again does not make this device drop it', async () => {
  const device = await Device.open();
  const { row, sent } = await device.message(500);
  const before = await device.ciphertext(sent[0]!);
  const other: Sent = { ...sent[0]!, file: { ...sent[0]!.file, hash: new Uint8Array(32).fill(9) } };
  const content = textContent({ salt: new Uint8Array(16), sender: `mimi://kith.test/u/${account(3)}`, room: `mimi://kith.test/r/${account(4)}`, text: '' });
  const later: MessageRecord = { ...row, id: 'cd'.repeat(32), seq: 2, pos: 2, content: encodeContent(withFiles(content, '', [other])) };
  const key = `${account(4)}/later`;
  await device.vault.write(await device.vault.put('messages', key, later), await device.vault.put('meta', `mid/${later.id}`, key));
  await assert.rejects(device.files.file({ room: account(4), id: later.id, part: 0 }), { code: 'broken' });
  assert.ok(equal(await device.ciphertext(sent[0]!), before));
  device.stop();
});

test('what the server lost after it was reported is handed in, once, and what it refused is not brought again', async () => {
  const device = await Device.open();
  const { row, sent } = await device.message(500, 600);
  const key = `${account(4)}/row`;
  await device.vault.write(await device.vault.put('messages', key, row), await device.vault.put('meta', `mid/${ID}`, key));
  const lost = [{ report: account(8) }, { report: REPORT, missing: [{ message_id: ID, part: 2 }, { message_id: '../keys', part: 1 }, { message_id: 'cd'.repeat(32), part: 2 }] }];
  const ask = async (): Promise<number> => {
    await device.files.handIns.asked(lost);
    await device.files.handIns.run();
    return device.server.taken.length;
  };
  device.server.refuse = 503;
  assert.equal(await ask(), 0);
  assert.deepEqual(await device.owed(), [`hand-in/${REPORT}`]);
  device.server.refuse = null;
  assert.equal(await ask(), 1, 'what waits already goes on');
  assert.equal(device.server.blobs.size, 1);
  assert.ok(equal(device.server.blobs.get(device.server.taken[0]!.blob)!.bytes, await device.ciphertext(sent[0]!)));
  assert.equal(await ask(), 2, 'and again when it was lost again');
  device.server.refuse = 400;
  await ask();
  const asked = device.server.asked.length;
  await ask();
  assert.equal(device.server.asked.length, asked, 'it was refused: nothing more goes up');
  lost[1]!.missing = [{ message_id: ID, part: 3 }];
  device.server.refuse = null;
  assert.equal(await ask(), 3, 'another part is another matter');
  device.stop();
});

test('a message of a thread that was deleted here is handed in as long as it can be reported', async () => {
  const device = await Device.open();
  const { row } = await device.message(500);
  await device.vault.save('reports', `${account(4)}/1`, { message: row, untilMs: 9e15 });
  await device.files.handIns.asked([{ report: REPORT, missing: [{ message_id: ID, part: 2 }] }]);
  await device.files.handIns.run();
  assert.deepEqual(device.server.taken.map(({ part }) => part), [2]);
  device.stop();
});

test('a report that lacks nothing leaves nothing to do', async () => {
  const device = await Device.open();
  const { row } = await device.message(500);
  await device.files.handIns.keep(REPORT, [row], []);
  await device.files.handIns.keep(REPORT, [row], [{ message_id: ID, part: 0 }]); // the container: no file
  assert.deepEqual(await device.owed(), []);
  await device.files.handIns.run();
  assert.deepEqual(device.server.asked, []);
  device.stop();
});

test('what was cut off is gone on with after a restart, where the server says', async () => {
  let device = await Device.open();
  const { row, sent } = await device.message(5 * PIECE);
  await device.files.handIns.keep(REPORT, [row], [{ message_id: ID, part: 2 }]);
  device.server.most = 2 * PIECE;
  await device.files.handIns.run();
  assert.deepEqual([device.server.taken.length, (await device.owed()).length], [0, 1]);
  const record = (await device.home.backend.range('meta', { prefix: 'hand-in/' }))[0]!.value;
  assert.ok(!Buffer.from(record).toString('latin1').includes(ID), 'it is sealed at rest');
  device = await device.again();
  device.server.most = Infinity;
  device.server.asked.length = 0;
  await device.files.handIns.run();
  assert.equal(device.server.taken.length, 1);
  assert.equal(device.server.blobs.size, 1, 'the upload that was begun, and no other');
  assert.ok(!device.server.asked.some((one) => one.startsWith('PATCH') && one.endsWith(' 0')), device.server.asked.join(', '));
  assert.ok(equal(device.server.blobs.get(device.server.taken[0]!.blob)!.bytes, await device.ciphertext(sent[0]!)));
  assert.deepEqual(await device.owed(), []);
  device.stop();
});

test('without a connection it waits for the next start; an upload that the server forgot begins anew', async () => {
  let device = await Device.open();
  const { row } = await device.message(500);
  await device.files.handIns.keep(REPORT, [row], [{ message_id: ID, part: 2 }]);
  device.server.offline = true;
  await device.files.handIns.run();
  assert.equal((await device.owed()).length, 1);
  device.server.offline = false;
  device.server.most = 0;
  await device.files.handIns.run();
  device.server.blobs.clear();
  device.server.most = Infinity;
  device = await device.again();
  await device.files.handIns.run();
  assert.equal(device.server.taken.length, 1);
  assert.deepEqual(await device.owed(), []);
  device.stop();
});

test('too often for now, or a server in trouble, is no verdict; a file that is not wanted is dropped with its upload', async () => {
  const device = await Device.open();
  const { row } = await device.message(500);
  for (const passing of [429, 503, 500]) {
    await device.files.handIns.keep(REPORT, [row], [{ message_id: ID, part: 2 }]);
    device.server.refuse = passing;
    await device.files.handIns.run();
    assert.equal((await device.owed()).length, 1, String(passing));
  }
  for (const verdict of [400, 404]) {
    await device.files.handIns.keep(REPORT, [row], [{ message_id: ID, part: 2 }]);
    device.server.refuse = verdict;
    await device.files.handIns.run();
    assert.deepEqual(await device.owed(), [], String(verdict));
    assert.ok(device.server.asked.at(-1)!.startsWith('DELETE'));
  }
  assert.deepEqual(device.server.taken, []);
  device.stop();
});

test('a file of which a piece is lost is given up before anything goes up, and the next one is handed in', async () => {
  const device = await Device.open();
  const { row, sent } = await device.message(2 * PIECE, 500);
  const [first] = await device.home.backend.keys('blobs', { prefix: `${cacheId(sent[0]!.file)}/` });
  await device.home.backend.write([{ store: 'blobs', key: first!, value: null }]);
  await device.files.handIns.keep(REPORT, [row], [{ message_id: ID, part: 2 }, { message_id: ID, part: 3 }]);
  await device.files.handIns.run();
  assert.deepEqual(device.server.taken.map(({ part }) => part), [3]);
  assert.equal(device.server.blobs.size, 1);
  assert.deepEqual(await device.owed(), []);
  device.stop();
});

test('ciphertext that is owed outlives its message on this device, and goes once it was handed in', async () => {
  const device = await Device.open();
  const { row } = await device.message(500);
  await device.files.handIns.keep(REPORT, [row], [{ message_id: ID, part: 2 }]);
  await device.files.sweep();
  await device.files.handIns.run();
  assert.equal(device.server.taken.length, 1);
  await device.files.sweep();
  assert.deepEqual(await device.home.backend.keys('blobs', { prefix: '' }), []);
  device.stop();
});
