/** One signature for many messages, end to end: every proof of a batch is believed, and no other made from it is. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { NodeDevice } from '../src/engine/home-node';
import { Person, type PersonOptions } from '../src/person/person';
import { toHex, type Bytes } from '../src/protocol/bytes';
import { decodeProof, encodeProof, type FrankProof } from '../src/protocol/franking';
import { LyingHome, type Frame } from './liar';
import { serverProgram, TestServer } from './server';

const program = serverProgram();
const skip = program === null ? 'there is no kith program here (set KITH_BIN)' : false;
const ACCEPTED = 17;
const MAIL = 19;
const WRITERS = 4;
const WAIT_MS = 120_000;
let server: TestServer;
const people: Person[] = [];
const folders: string[] = [];
let count = 0;

type Batch = Extract<FrankProof, { kind: 'batch' }>;
type Tamper = (proof: Batch) => FrankProof;

/** A person who notes every proof that arrives, by sequence number; told how, changes the first one of a batch. */
class Hearer {
  readonly home: LyingHome;
  readonly person: Person;
  readonly proofs = new Map<string, string>();
  tamper: Tamper | null = null;
  room = '';

  constructor(readonly options: PersonOptions) {
    const device = new NodeDevice(options);
    this.home = new LyingHome(device);
    this.person = new Person(options, device, this.home);
    this.home.fromServer = (frame) => [this.#heard(frame)];
    people.push(this.person);
  }

  #heard(frame: Frame): Frame {
    if (frame[0] === ACCEPTED && frame[8] instanceof Uint8Array) {
      return [...frame.slice(0, 8), this.#noted(`${this.room}/${frame[4]}`, frame[8] as Bytes)];
    }
    if (frame[0] === MAIL && frame[2] === 1) {
      const frank = frame[6] as unknown[];
      const proof = this.#noted(`${frame[3]}/${frank[1]}`, frank[5] as Bytes);
      return [...frame.slice(0, 6), [...frank.slice(0, 5), proof]];
    }
    return frame;
  }

  #noted(place: string, proof: Bytes): Bytes {
    this.proofs.set(place, toHex(proof));
    const decoded = decodeProof(proof);
    if (this.tamper === null || decoded.kind !== 'batch') return proof;
    const tampered = encodeProof(this.tamper(decoded));
    this.tamper = null;
    return tampered;
  }

  /** How many proofs of a batch were heard. */
  get batched(): number {
    return [...this.proofs.values()].filter((proof) => proof.startsWith('01')).length;
  }
}

async function signedUp(name: string): Promise<Hearer> {
  const folder = mkdtempSync(join(tmpdir(), 'kith-batches-'));
  folders.push(folder);
  const one = new Hearer({ origin: server.origin, folder, packages: { first: 6, refillBelow: 3, full: 6 } });
  count++;
  await one.person.signUp({ handle: `${name}${count}`, display_name: name, password: `a long password of ${name}`, year: 1990, month: 5 });
  return one;
}

class Chats {
  #texts = 0;

  private constructor(public zoe: Hearer, readonly writers: Hearer[]) {}

  static async begin(): Promise<Chats> {
    const zoe = await signedUp('zoe');
    const writers: Hearer[] = [];
    for (let n = 0; n < WRITERS; n++) {
      const writer = await signedUp(`writer${n}`);
      await writer.person.request(zoe.person.me!.handle, 'Hello');
      writer.room = await zoe.person.accept({ handle: writer.person.me!.handle });
      await zoe.person.hear(writer.room, 'Hello');
      writers.push(writer);
    }
    return new Chats(zoe, writers);
  }

  /** Everybody writes to her at once, and knows what became of it. */
  async write(): Promise<void> {
    const text = `round ${++this.#texts}`;
    await Promise.all(this.writers.map(async ({ person, room }) => {
      const sent = await person.send(room, text);
      await person.eventually(async () => {
        const row = (await person.messages(room)).find((one) => one.id === sent.id || one.text === text);
        return row !== undefined && row.delivery !== 'waiting' ? true : null;
      }, 'the answer', WAIT_MS);
    }));
  }

  async writeUntil(done: () => boolean): Promise<void> {
    const until = Date.now() + 2 * WAIT_MS;
    while (!done()) {
      assert.ok(Date.now() < until, 'no batch was formed');
      await this.write();
    }
  }

  /** She has something of every round in every chat: words, or a tombstone. */
  async untilRead(): Promise<void> {
    for (const { room } of this.writers) {
      await this.zoe.person.eventually(
        async () => ((await this.zoe.person.messages(room)).filter((row) => row.kind !== 'info').length > this.#texts ? true : null),
        'every round', WAIT_MS,
      );
    }
  }

  async tombstones(): Promise<number> {
    const threads = await Promise.all(this.writers.map(({ room }) => this.zoe.person.messages(room)));
    return threads.flat().filter((row) => row.kind === 'tombstone').length;
  }

  async failed(): Promise<number> {
    const threads = await Promise.all(this.writers.map(({ person, room }) => person.messages(room)));
    return threads.flat().filter((row) => row.delivery === 'failed').length;
  }

  /** Every proof that a sender got is the one that she got. */
  agree(): void {
    for (const { proofs } of this.writers) {
      for (const [place, proof] of proofs) assert.equal(this.zoe.proofs.get(place), proof, place);
    }
  }
}

before(async () => {
  if (program !== null) server = await TestServer.create(program);
});
after(async () => {
  people.forEach((one) => one.stop());
  await server?.remove();
  folders.forEach((folder) => rmSync(folder, { recursive: true, force: true }));
});

test('proofs of batches are believed by both ends, after a restart of all, and in a report', { skip }, async () => {
  const chats = await Chats.begin();
  const { zoe, writers } = chats;
  await chats.writeUntil(() => writers.some((one) => one.batched > 0));
  await chats.untilRead();
  assert.ok(zoe.batched > 0);
  chats.agree();
  zoe.person.stop();
  const live = writers.map((one) => one.batched);
  await chats.writeUntil(() => writers.some((one, at) => one.batched > live[at]!));
  await server.stop();
  await server.start();
  chats.zoe = new Hearer(zoe.options);
  zoe.proofs.forEach((proof, place) => chats.zoe.proofs.set(place, proof));
  assert.equal(await chats.zoe.person.start(), 'ready');
  await chats.untilRead();
  chats.agree();
  assert.ok(chats.zoe.batched > zoe.batched);
  assert.deepEqual([await chats.tombstones(), await chats.failed()], [0, 0]);
  const mixed = writers.find((one) => one.batched > 0)!;
  const account = mixed.person.me!.account_id;
  const preview = await chats.zoe.person.call('report_preview', { account, room: mixed.room });
  assert.ok(preview.rows.length > 1 && preview.rows.every((row) => row.verified));
  assert.ok(mixed.proofs.size > mixed.batched, 'the first message of a chat is signed alone');
  assert.equal((await chats.zoe.person.report(account, mixed.room, 'other')).class, 'FULL');
});

const flip = (bytes: Bytes): Bytes => bytes.map((byte, at) => (at === 0 ? byte ^ 1 : byte)) as Bytes;
const tampers: [string, Tamper][] = [
  ['path', (proof) => ({ ...proof, path: [flip(proof.path[0]!), ...proof.path.slice(1)] })],
  ['a longer path', (proof) => ({ ...proof, path: [...proof.path, proof.path[0]!] })],
  ['a shorter path', (proof) => ({ ...proof, path: proof.path.slice(0, -1) })],
  ['leaf index', (proof) => ({ ...proof, leafIndex: (proof.leafIndex + 1) % proof.batchSize })],
  ['size', (proof) => ({ ...proof, batchSize: proof.batchSize + 1 })],
  ['root', (proof) => ({ ...proof, path: [...proof.path.slice(0, -1), flip(proof.path.at(-1)!)] })],
  ['signature', (proof) => ({ ...proof, signature: flip(proof.signature) })],
  ['kind', (proof) => ({ kind: 'single', signature: proof.signature })],
];

test('a tampered proof of a batch is neither shown nor taken for sent; the same one unchanged is both', { skip }, async () => {
  const chats = await Chats.begin();
  const [{ zoe }, sender] = [chats, chats.writers[0]!];
  const lie = async (tamper: Tamper): Promise<void> => {
    zoe.tamper = sender.tamper = tamper;
    await chats.writeUntil(() => zoe.tamper === null && sender.tamper === null);
    await chats.untilRead();
  };
  await lie((proof) => proof);
  assert.deepEqual([await chats.tombstones(), await chats.failed()], [0, 0]);
  for (const [n, [name, tamper]] of tampers.entries()) {
    await lie(tamper);
    assert.deepEqual([await chats.tombstones(), await chats.failed()], [n + 1, n + 1], name);
  }
});
