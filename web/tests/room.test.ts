import assert from 'node:assert/strict';
import { test } from 'node:test';
import { equal, toHex, utf8, type Bytes } from '../src/protocol/bytes';
import { encodeContent, messageId, textContent, type Content } from '../src/protocol/content';
import type { ClientFrame, HubRecord, Mail } from '../src/protocol/frames';
import { aadOf, encodeProof, frankingTag, serverFrank, signSingle, tagOf, type FrankingContext } from '../src/protocol/franking';
import { newSeed, signerFromSeed, type Signer } from '../src/protocol/sign';
import { accountUri, deviceUri, parseUri, roomUri, uuidBytes } from '../src/protocol/uris';
import { Files } from '../src/engine/attachments/files';
import type { Standing } from '../src/engine/directory';
import { NodeDevice, NodeHome } from '../src/engine/home-node';
import { Hushes, stirred } from '../src/engine/hushes';
import { isArchived } from '../src/engine/keeping';
import { epochOf, members, MlsEngine, type Group, type Judge, type KeyPackageSecret } from '../src/engine/mls';
import { newThread, outboxKey, type OutboxRecord, type Roster, type Thread } from '../src/engine/records';
import { Room, type RoomContext } from '../src/engine/room';
import { Threads } from '../src/engine/threads';
import { rootKey, Vault } from '../src/engine/vault';
import { account } from './shared';

const SERVER = 'h.example';
const room = account(0xf1);
const [me, them, outsider] = [account(1), account(2), account(3)];
const anybody: Judge = async () => true;

interface Other { engine: MlsEngine; account: string; device: string }
async function device(person: string, id: string): Promise<Other & { signer: Signer }> {
  const { seed, publicKey } = await newSeed();
  const signer = await signerFromSeed(seed, publicKey);
  const self = { account: accountUri(SERVER, person), device: deviceUri(SERVER, id) };
  return { engine: await MlsEngine.create(self, signer, Date.now), ...self, signer };
}

/** A room on this device, with everything around it faked: the server, the directory and the hub are this object. */
class Scene {
  readonly sent: ClientFrame[] = [];
  readonly acked: number[] = [];
  readonly standings = new Map<string, Standing>();
  pos = 0;
  seq = 0;
  theirs!: Group;
  welcome!: Bytes;
  constructor(
    readonly room: Room, readonly threads: Threads, readonly vault: Vault, readonly peer: Other, readonly hub: Signer,
    readonly home: NodeHome, readonly hushes: Hushes,
  ) {}

  async mail(mail: Mail['mail'], body: Bytes, hub: HubRecord | null = null, pos = ++this.pos): Promise<void> {
    this.room.mail({ kind: 'mail', mailId: pos + 100, mail, room, roomPos: pos, body, hub });
    await this.settled();
  }

  /** The room's turn is over. */
  async settled(): Promise<void> {
    for (let i = 0; i < 3; i++) await this.room.run(async () => undefined);
  }

  /** What the peer says, franked by the hub. */
  async says(
    text: string, change: Partial<FrankingContext> = {}, also: Partial<Content> = {},
  ): Promise<{ body: Bytes; hub: HubRecord; id: Bytes }> {
    const salt = crypto.getRandomValues(new Uint8Array(16));
    const plain = textContent({ salt, sender: this.peer.account, room: roomUri(SERVER, room), text });
    const content = encodeContent({ ...plain, ...also });
    const tag = frankingTag(salt, content);
    const made = await this.peer.engine.protect(this.theirs, content, aadOf(tag));
    this.theirs = made.next;
    const context: FrankingContext = {
      senderUri: this.peer.account, roomUri: roomUri(SERVER, room), acceptedTimestamp: 1000 + this.seq, senderDevice: this.peer.device,
      epoch: epochOf(this.theirs), roomSeq: ++this.seq, hubKeyId: 1, ...change,
    };
    const frank = serverFrank(new Uint8Array(32), tag, context);
    const hub = {
      timestamp: context.acceptedTimestamp, roomSeq: context.roomSeq, hubKeyId: 1, serverFrank: frank, suite: 1,
      proof: encodeProof(await signSingle(this.hub, frank, context)),
    };
    return { body: made.message, hub, id: messageId(this.peer.account, roomUri(SERVER, room), content, salt) };
  }

  /** A commit of the peer. */
  async commit(change: { adds?: Bytes[]; removes?: number[] } = {}): Promise<Bytes> {
    const made = await this.peer.engine.commit(this.theirs, { adds: change.adds ?? [], removes: change.removes ?? [] }, anybody);
    this.theirs = made.next;
    this.welcome = made.welcome ?? this.welcome;
    return made.commit;
  }

  /** The hub's proof for what this device submitted. */
  async answer(submit: Extract<ClientFrame, { kind: 'submit' }>, change: Partial<FrankingContext> = {}): Promise<HubRecord> {
    const read = await this.peer.engine.process(this.theirs, submit.message, anybody);
    if (read.kind !== 'application') assert.fail();
    this.theirs = read.next;
    const context: FrankingContext = {
      senderUri: accountUri(SERVER, me), roomUri: roomUri(SERVER, room), acceptedTimestamp: 1000 + this.seq,
      senderDevice: deviceUri(SERVER, account(11)), epoch: epochOf(this.theirs), roomSeq: ++this.seq, hubKeyId: 1, ...change,
    };
    const frank = serverFrank(new Uint8Array(32), tagOf(read.aad), context);
    return {
      timestamp: context.acceptedTimestamp, roomSeq: context.roomSeq, hubKeyId: 1, serverFrank: frank, suite: 1,
      proof: encodeProof(await signSingle(this.hub, frank, context)),
    };
  }

  /** The server's answer to the newest submission. */
  async accepts(hub: HubRecord | null, pos = ++this.pos): Promise<void> {
    const { key } = this.submits().at(-1)!;
    this.room.accepted({ kind: 'accepted', key: key as Bytes, roomPos: pos, timestamp: hub?.timestamp ?? 1, hub });
    await this.settled();
  }

  async rows(): Promise<string[]> {
    return (await this.threads.page(room)).messages.map((row) => (row.kind === 'text' ? row.text : `${row.kind}: ${row.text}`));
  }

  async write(text: string): Promise<void> {
    const record: OutboxRecord = {
      id: toHex(crypto.getRandomValues(new Uint8Array(16))), room, createdMs: Date.now(), text, replyTo: null, stage: 'plain', sealed: null, failure: null,
    };
    await this.vault.save('outbox', outboxKey(record), record);
    this.room.pump();
    await this.settled();
  }

  submits(): Extract<ClientFrame, { kind: 'submit' }>[] {
    return this.sent.filter((frame) => frame.kind === 'submit');
  }

  commits(): Extract<ClientFrame, { kind: 'commit' }>[] {
    return this.sent.filter((frame) => frame.kind === 'commit');
  }
}

/** This device has joined a group that the peer founded. */
async function scene(): Promise<Scene> {
  const home = new NodeHome(new NodeDevice({ origin: 'http://h.example' }));
  const vault = new Vault(home, await rootKey(await home.backend.localKey(), new Uint8Array(32), me, account(11)));
  const [mine, peer, hub] = [await device(me, account(11)), await device(them, account(12)), (await device(them, account(13))).signer];
  const kp = await mine.engine.newKeyPackage();
  let made!: Scene;
  const directory = {
    freshKeys: async (all: string[]) => new Map(await Promise.all(all.map(async (who) => [who, await directory.keys(who)] as const))),
    roster: async () => ({ accounts: [me, them] }),
    pinRoster: async () => ({ accounts: [me, them] }),
    keys: async (who: string) => ({
      account: who, aik: null,
      list: { entries: members(made.theirs).filter((m) => parseUri(m.account, 'u').id === who && made.standings.get(m.device) !== 'unlisted').map((m) => ({ device: m.device, mlsKey: m.key, addedMs: 0 })) },
    }),
    standing: async ({ accounts }: Roster, who: { account: string; device: string }): Promise<Standing> =>
      accounts.includes(parseUri(who.account, 'u').id) ? made.standings.get(who.device) ?? 'listed' : 'refused',
    nameOf: async () => null,
    hubKey: async () => hub.publicKey,
    freshHubKey: async () => hub.publicKey,
  };
  const link = { ready: true, send: (frame: ClientFrame) => { made.sent.push(frame); return true; }, ack: (id: number) => made.acked.push(id) };
  const packages = { secret: async (refs: Bytes[]): Promise<KeyPackageSecret | null> => (refs.some((ref) => equal(ref, kp.secret.ref)) ? kp.secret : null), used: () => [] };
  const api = { claimKeyPackages: async () => ({ packages: [], missing: [] }) };
  const self = { server: SERVER, account: me, device: account(11) };
  const log = { gossip: async () => null, hear: async () => undefined };
  const files = new Files(home, api as never, vault, () => undefined, new AbortController().signal);
  const controls = () => ({ requests: 'everyone', read_receipts: true, typing: true });
  const hushes = new Hushes(directory.roster);
  hushes.learn([]);
  const context = { home, api, vault, directory, log, engine: mine.engine, packages, link, self, files, controls, hushes, emit: () => undefined } as unknown as RoomContext;
  made = new Scene(new Room(context, room), new Threads(home, vault, directory as never, me, files, () => false, hushes), vault, peer, hub, home, hushes);
  const founded = await peer.engine.createGroup(uuidBytes(room), anybody);
  const add = await peer.engine.commit(founded, { adds: [kp.message], removes: [] }, anybody);
  made.theirs = add.next;
  made.welcome = add.welcome!;
  await made.mail('welcome', made.welcome);
  assert.ok(await made.room.hasGroup());
  return made;
}

test('a genuine message is stored, shown and acknowledged', async () => {
  const s = await scene();
  const { body, hub } = await s.says('hello');
  await s.mail('message', body, hub);
  assert.deepEqual(await s.rows(), ['hello']);
  assert.deepEqual(s.acked, [101, 102]);
  s.home.close();
});

test('a commit that adds somebody outside the chat is refused and said aloud, and nothing is sent any more', async () => {
  const s = await scene();
  const stranger = await device(outsider, account(31));
  const kp = await stranger.engine.newKeyPackage();
  const add = await s.peer.engine.commit(s.theirs, { adds: [kp.message], removes: [] }, anybody);
  await s.mail('commit', add.commit);
  assert.match((await s.rows())[0]!, /^info: Somebody tried to add a device/);
  assert.equal(await s.room.hasGroup(), false);
  await s.write('secret');
  assert.equal(s.sent.length, 0);
  s.home.close();
});

test('an unlisted device of a member holds sending up until a commit has removed it', async () => {
  const s = await scene();
  const ghost = await device(them, account(32));
  s.standings.set(ghost.device, 'unlisted');
  const kp = await ghost.engine.newKeyPackage();
  const add = await s.peer.engine.commit(s.theirs, { adds: [kp.message], removes: [] }, anybody);
  s.theirs = add.next;
  await s.mail('commit', add.commit);
  assert.match((await s.rows())[0]!, /^info: A device was added that its account does not list/);
  await s.write('only for listed devices');
  assert.equal(s.submits().length, 0);
  assert.equal(s.commits().length, 1);
  const done = await s.peer.engine.process(s.theirs, s.commits()[0]!.commit, anybody);
  if (done.kind !== 'commit') assert.fail();
  assert.deepEqual(done.removed.map((member) => member.device), [ghost.device]);
  s.theirs = done.next;
  s.room.accepted({ kind: 'accepted', key: s.commits()[0]!.key as Bytes, roomPos: ++s.pos, timestamp: 1, hub: null });
  await s.settled();
  assert.equal(s.submits().length, 1);
  const read = await s.peer.engine.process(s.theirs, s.submits()[0]!.message, anybody);
  assert.equal(read.kind, 'application');
  s.home.close();
});

test('a message of an unlisted device is not shown', async () => {
  const s = await scene();
  s.standings.set(s.peer.device, 'unlisted');
  const { body, hub } = await s.says('from a signed-out device');
  await s.mail('message', body, hub);
  assert.deepEqual(await s.rows(), ['tombstone: ']);
  s.home.close();
});

test('two messages signed for one place are evidence against the server', async () => {
  const s = await scene();
  const first = await s.says('the first');
  await s.mail('message', first.body, first.hub);
  const second = await s.says('the second', { roomSeq: 1 });
  await s.mail('message', second.body, second.hub);
  const rows = await s.rows();
  assert.ok(rows.some((row) => row.startsWith('info: The server signed two different messages')));
  assert.ok(!rows.includes('the second'));
  s.home.close();
});

test('a message whose time runs backwards is not shown', async () => {
  const s = await scene();
  const first = await s.says('the first');
  await s.mail('message', first.body, first.hub);
  const second = await s.says('earlier than the first', { acceptedTimestamp: 5 });
  await s.mail('message', second.body, second.hub);
  assert.deepEqual(await s.rows(), ['the first', 'tombstone: ']);
  s.home.close();
});

test('mail that arrives in another order is processed in room_pos order', async () => {
  const s = await scene();
  const [one, two, three] = [await s.says('one'), await s.says('two'), await s.says('three')];
  await s.mail('message', three.body, three.hub, 4);
  await s.mail('message', two.body, two.hub, 3);
  assert.deepEqual(await s.rows(), []);
  await s.mail('message', one.body, one.hub, 2);
  assert.deepEqual(await s.rows(), ['one', 'two', 'three']);
  s.home.close();
});

test('a room goes past the leap of a restored server, before a message and before an answer, twice', async () => {
  const s = await scene();
  const holes: (() => void)[] = [];
  s.home.after = (_ms, work) => { holes.push(work); return () => undefined; };
  const passed = async (): Promise<void> => { for (const hole of holes.splice(0)) hole(); await s.settled(); };
  const first = await s.says('before');
  await s.mail('message', first.body, first.hub);
  for (const far of [1_000_000, 350_000_000]) {
    const before = await s.rows();
    [s.pos, s.seq] = [s.pos + far, s.seq + far];
    const behind = await s.says('behind the gap');
    await s.mail('message', behind.body, behind.hub);
    assert.deepEqual(await s.rows(), before); // the hole may still fill
    await passed();
    assert.equal((await s.threads.page(room)).messages.at(-1)!.gap_before, far);
    await s.write('an answer of ours');
    [s.pos, s.seq] = [s.pos + far, s.seq + far];
    await s.accepts(await s.answer(s.submits().at(-1)!));
    await passed();
    assert.deepEqual(await s.rows(), [...before, 'behind the gap', 'an answer of ours']);
    assert.deepEqual(await s.room.outbox(), []);
  }
  s.home.close();
});

test('word of a delivery that comes before the answer is kept for it, and is none about what was not said yet', async () => {
  const s = await scene();
  const state = async (): Promise<unknown[]> => (await s.threads.page(room)).messages.filter((row) => row.mine).map((row) => row.delivery);
  const told = async (pos: number): Promise<void> => { s.room.delivered(pos); await s.settled(); };
  await s.write('one');
  await told(s.pos + 1);
  await s.accepts(await s.answer(s.submits().at(-1)!));
  assert.deepEqual(await state(), ['delivered']);
  // The answer waits for mail in front of it.
  const between = await s.says('between');
  await s.write('two');
  await s.accepts(await s.answer(s.submits().at(-1)!), s.pos + 2);
  await told(s.pos + 2);
  assert.deepEqual(await state(), ['delivered', 'waiting']);
  await s.mail('message', between.body, between.hub);
  assert.deepEqual(await state(), ['delivered', 'delivered']);
  s.pos++;
  await told(s.pos + 1_000);
  await s.write('three');
  await s.accepts(await s.answer(s.submits().at(-1)!));
  assert.deepEqual(await state(), ['delivered', 'delivered', 'sent']);
  s.home.close();
});

test('a commit of ours that was accepted while we were away is adopted between the mail around it', async () => {
  const s = await scene();
  const ghost = await device(them, account(32));
  s.standings.set(ghost.device, 'unlisted');
  const kp = await ghost.engine.newKeyPackage();
  const add = await s.peer.engine.commit(s.theirs, { adds: [kp.message], removes: [] }, anybody);
  s.theirs = add.next;
  await s.mail('commit', add.commit);
  await s.write('after the commit');
  const ours = s.commits()[0]!;
  // The peer wrote in the old epoch before our commit was accepted, and in the new one after it.
  const before = await s.says('in the old epoch');
  const done = await s.peer.engine.process(s.theirs, ours.commit, anybody);
  if (done.kind !== 'commit') assert.fail();
  s.theirs = done.next;
  const after = await s.says('in the new epoch');
  s.room.disconnected();
  s.room.pump();
  await s.settled();
  assert.equal(s.commits().length, 2);
  assert.deepEqual(s.commits()[1], ours);
  // The answer overtakes the mail, but its place is after the first message.
  s.room.accepted({ kind: 'accepted', key: ours.key as Bytes, roomPos: 4, timestamp: 1, hub: null });
  await s.mail('message', after.body, after.hub, 5);
  await s.mail('message', before.body, before.hub, 3);
  const rows = (await s.rows()).filter((row) => !row.startsWith('info'));
  assert.deepEqual(rows.slice(0, 2), ['in the old epoch', 'in the new epoch']);
  s.home.close();
});

test('a commit that lost its epoch is dropped, and the message goes out in the epoch that won', async () => {
  const s = await scene();
  const ghost = await device(them, account(32));
  s.standings.set(ghost.device, 'unlisted');
  const kp = await ghost.engine.newKeyPackage();
  const add = await s.peer.engine.commit(s.theirs, { adds: [kp.message], removes: [] }, anybody);
  s.theirs = add.next;
  await s.mail('commit', add.commit);
  await s.write('in the end');
  const leaf = members(s.theirs).find((member) => member.device === ghost.device)!.leaf;
  const theirs = await s.peer.engine.commit(s.theirs, { adds: [], removes: [leaf] }, anybody);
  s.theirs = theirs.next;
  s.room.refused({ kind: 'refused', key: s.commits()[0]!.key as Bytes, code: 'wrong_epoch', details: '3', retryAfterMs: null });
  await s.mail('commit', theirs.commit);
  await s.settled();
  const last = s.submits().at(-1)!;
  assert.equal((await s.peer.engine.process(s.theirs, last.message, anybody)).kind, 'application');
  s.home.close();
});

test('a message refused because its epoch is over is encrypted again under a new key', async () => {
  const s = await scene();
  await s.write('twice encrypted');
  const first = s.submits()[0]!;
  const rotate = await s.peer.engine.commit(s.theirs, { adds: [], removes: [] }, anybody);
  s.theirs = rotate.next;
  s.room.refused({ kind: 'refused', key: first.key as Bytes, code: 'epoch_too_old', details: '2', retryAfterMs: null });
  await s.mail('commit', rotate.commit);
  const second = s.submits().at(-1)!;
  assert.ok(!equal(second.key, first.key));
  assert.equal((await s.peer.engine.process(s.theirs, second.message, anybody)).kind, 'application');
  s.home.close();
});

test('a Welcome to another group than the room is not joined', async () => {
  const s = await scene();
  const other = await device(them, account(40));
  const kp = await other.engine.newKeyPackage();
  const elsewhere = await s.peer.engine.createGroup(uuidBytes(account(0xf2)), anybody);
  const add = await s.peer.engine.commit(elsewhere, { adds: [kp.message], removes: [] }, anybody);
  const home = new NodeHome(new NodeDevice({ origin: 'http://h.example' }));
  const vault = new Vault(home, await rootKey(await home.backend.localKey(), new Uint8Array(32), me, account(40)));
  const context = {
    home, vault, engine: other.engine, self: { server: SERVER, account: them, device: account(40) }, emit: () => undefined,
    directory: { roster: async () => ({ accounts: [me, them] }), standing: async () => 'listed' },
    packages: { secret: async () => kp.secret, used: () => [] }, link: { ready: false, ack: () => undefined },
  } as unknown as RoomContext;
  const here = new Room(context, room);
  here.mail({ kind: 'mail', mailId: 1, mail: 'welcome', room, roomPos: 1, body: add.welcome!, hub: null });
  await here.run(async () => undefined);
  await here.run(async () => undefined);
  assert.equal(await here.hasGroup(), false);
  s.home.close();
  home.close();
});

test('bytes that are no MLS message at all become a tombstone', async () => {
  const s = await scene();
  const { hub } = await s.says('never seen');
  for (const body of [new Uint8Array(), utf8('hello'), new Uint8Array(3000).fill(0xff)]) await s.mail('message', body, hub);
  assert.deepEqual(await s.rows(), ['tombstone: ', 'tombstone: ', 'tombstone: ']);
  s.home.close();
});

test('a deleted message cannot be given words again: its row speaks for the engine', async () => {
  const s = await scene();
  const first = await s.says('a message');
  const gone = await s.says('', {}, { replaces: first.id, part: { disposition: 1, language: '', kind: 'null' } });
  const spoof = await s.says('Kith needs your recovery code.', {}, { replaces: first.id });
  for (const { body, hub } of [first, gone, spoof]) await s.mail('message', body, hub);
  assert.deepEqual(await s.rows(), ['deleted: ']);
  s.home.close();
});

test('an edit changes a message of this chat and none of another, and an answer shows no words of another', async () => {
  const s = await scene();
  const first = await s.says('before');
  const edit = await s.says('after', {}, { replaces: first.id });
  for (const { body, hub } of [first, edit]) await s.mail('message', body, hub);
  assert.deepEqual(await s.rows(), ['after']);
  const elsewhere = account(0xf3);
  const key = `${elsewhere}/0000000000000001/0000000000000001`;
  const id = new Uint8Array(32).fill(7);
  const row = { kind: 'text', id: toHex(id), pos: 1, seq: 1, atMs: 1, mine: false, sender: them, text: 'said elsewhere', replyTo: null, content: null, frank: null };
  await s.vault.write(await s.vault.put('messages', key, row), await s.vault.put('meta', `mid/${toHex(id)}`, key));
  const reach = await s.says('not this one', {}, { replaces: id });
  const answer = await s.says('answering', {}, { inReplyTo: id });
  for (const { body, hub } of [reach, answer]) await s.mail('message', body, hub);
  assert.equal((await s.vault.get<{ text: string }>('messages', key))?.text, 'said elsewhere');
  assert.equal((await s.threads.page(room)).messages.at(-1)?.reply_to?.text, '');
  s.home.close();
});

test('an old Welcome does not take a broken device back to a past epoch', async () => {
  const s = await scene();
  const [followed, missed, ahead] = [await s.commit(), await s.commit(), await s.commit()];
  assert.ok(missed);
  await s.mail('commit', followed);
  await s.mail('commit', ahead); // of an epoch to which nothing led: this device breaks
  assert.equal(await s.room.hasGroup(), false);
  await s.mail('welcome', s.welcome);
  assert.equal(await s.room.hasGroup(), false);
  s.home.close();
});

test('an own message is shown as sent only with a proof; without one it failed and is in no report', async () => {
  const s = await scene();
  await s.write('proven');
  await s.accepts(await s.answer(s.submits().at(-1)!));
  await s.write('signed for another place');
  await s.accepts({ ...(await s.answer(s.submits().at(-1)!)), roomSeq: 900 });
  await s.write('not signed at all');
  await s.accepts(null);
  const { messages } = await s.threads.page(room);
  const own = messages.filter((row) => row.mine).map((row) => [row.text, row.delivery]);
  assert.deepEqual(own, [['proven', 'sent'], ['signed for another place', 'failed'], ['not signed at all', 'failed']]);
  assert.equal(messages.filter((row) => row.kind === 'info' && row.text.includes('does not check out')).length, 2);
  assert.deepEqual((await s.threads.preview(them, room)).rows.map((row) => row.text), ['proven']);
  assert.equal(s.submits().length, 3);
  const { body, hub } = await s.says('the next one');
  await s.mail('message', body, hub);
  assert.ok((await s.rows()).includes('the next one'));
  s.home.close();
});

test('a page that begins behind a line of the engine or a tombstone shows no gap that is none', async () => {
  const s = await scene();
  for (const text of ['one', 'two']) {
    const { body, hub } = await s.says(text);
    await s.mail('message', body, hub);
  }
  await s.room.note('A line of the engine.');
  const three = await s.says('three');
  await s.mail('message', three.body, three.hub);
  assert.deepEqual((await s.threads.page(room, { limit: 1 })).messages.map((row) => [row.text, row.gap_before]), [['three', 0]]);
  const lost = await s.says('lost');
  await s.mail('message', utf8('nothing that opens'), lost.hub);
  const five = await s.says('five');
  await s.mail('message', five.body, five.hub);
  assert.deepEqual((await s.threads.page(room, { limit: 1 })).messages.map((row) => [row.text, row.gap_before]), [['five', 0]]);
  s.home.close();
});

test('leaves that had to go while a message was under way go right after it', async () => {
  const s = await scene();
  const after = s.home.after.bind(s.home);
  s.home.after = (ms, work) => after(Math.min(ms, 10), work);
  const extra = await device(them, account(34));
  const kp = await extra.engine.newKeyPackage();
  const add = await s.peer.engine.commit(s.theirs, { adds: [kp.message], removes: [] }, anybody);
  s.theirs = add.next;
  await s.mail('commit', add.commit);
  await s.write('under way');
  assert.equal(s.submits().length, 1);
  s.standings.set(extra.device, 'unlisted');
  await new Promise<void>((done) => s.room.reconcileSoon(async () => done()) ?? after(200, () => done()));
  assert.equal(s.commits().length, 0);
  await s.accepts(await s.answer(s.submits().at(-1)!));
  await s.settled();
  assert.equal(s.commits().length, 1);
  s.home.close();
});

test('what a restricted person writes is shown and counted nowhere, and reading it tells nothing, nor afterwards', async () => {
  const here = await scene();
  const hears = async (text: string): Promise<void> => {
    const { body, hub } = await here.says(text);
    await here.mail('message', body, hub);
  };
  const reads = async (): Promise<void> => {
    await here.room.run(() => here.threads.markRead(room));
    here.room.pump();
    await here.settled();
  };
  const told = (): number => here.sent.filter(({ kind }) => kind === 'ephemeral').length;
  await hears('one');
  await reads();
  here.room.delivered(1); // somebody is there: it is told once more
  here.room.pump();
  await here.settled();
  assert.equal(told(), 2, 'the control: what is read is told');
  here.hushes.learn([them]);
  await hears('two');
  const thread = await here.threads.thread(room);
  assert.deepEqual([thread.unread, thread.quiet, thread.loudMs], [1, 1, 1000]);
  await reads();
  here.room.typing();
  await here.settled();
  assert.deepEqual([await here.rows(), told()], [['one', 'two'], 2]);
  here.hushes.learn([]);
  here.room.pump();
  await here.settled();
  assert.equal(told(), 2);
  await hears('three');
  assert.equal((await here.threads.thread(room)).loudMs, undefined);
  await reads();
  assert.equal(told(), 3);
});

test('before it is known who is restricted nothing is told', async () => {
  const silent = new Hushes(async () => ({ accounts: [me, them] }));
  assert.equal(await silent.open(room), false);
  silent.learn([outsider]);
  assert.equal(await silent.open(room), true);
  silent.learn([outsider, them]);
  assert.equal(await silent.open(room), false);
});

test('an archived chat stays away for a restricted person alone', () => {
  const spoken = (text: string, atMs: number): Thread => ({ ...newThread(), last: { text, mine: false, atMs, kind: 'text' } });
  const kept = { pinnedMs: null, muted: false, archivedAtMs: 100 };
  const before = spoken('known', 100);
  const quiet = stirred(before, { ...before, ...spoken('quiet', 101) }, true);
  assert.deepEqual([isArchived(kept, quiet), isArchived(kept, { last: quiet.last })], [true, false]);
  const more = stirred(quiet, { ...quiet, ...spoken('quiet again', 102) }, true);
  assert.equal(isArchived(kept, more), true);
  const loud = stirred(more, { ...more, ...spoken('somebody else', 103) }, false);
  assert.equal(isArchived(kept, loud), false);
});
