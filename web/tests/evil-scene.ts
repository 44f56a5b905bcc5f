/**
 * One chat on the web engine, with everything around it in this process: the server, the hub and the other device.
 * The room, its directory, its store and its key packages are the real ones; `Server` answers them and may lie.
 */
import assert from 'node:assert/strict';
import {
  createCommit, decodeMlsMessage, emptyPskIndex, encodeMlsMessage, getCiphersuiteFromName, getCiphersuiteImpl,
} from 'ts-mls';
import { defaultClientConfig } from 'ts-mls/clientConfig.js';
import { Files } from '../src/engine/attachments/files';
import type { Api, DevicesAnswer, PackagesAnswer, RoomAnswer } from '../src/engine/api';
import type { Message } from '../src/engine/contract';
import { Directory } from '../src/engine/directory';
import { NodeDevice, NodeHome } from '../src/engine/home-node';
import { Hushes } from '../src/engine/hushes';
import { KeyLog } from '../src/engine/key-log';
import { epochOf, members, MlsEngine, ownLeaf, type Group, type Judge, type KeyPackageSecret } from '../src/engine/mls';
import { KeyPackages, packageLimits } from '../src/engine/packages';
import { outboxKey, type OutboxRecord } from '../src/engine/records';
import { Room, type RoomContext } from '../src/engine/room';
import { Threads } from '../src/engine/threads';
import { SUITE } from '../src/engine/suite';
import { rootKey, Vault } from '../src/engine/vault';
import { fromBase64, toBase64, toHex, type Bytes } from '../src/protocol/bytes';
import { decodeContent, encodeContent, messageId, textContent, textOf, type Content } from '../src/protocol/content';
import type { Accepted, ClientFrame, HubRecord, Mail, Refused } from '../src/protocol/frames';
import { aadOf, encodeProof, frankingTag, serverFrank, signSingle, tagOf, type FrankingContext } from '../src/protocol/franking';
import {
  encodeDeviceList, encodeManifestEntry, HUB_SIGNING, manifestEntryHash, signCertificate, signDeviceList, type DeviceList, type SignedEntry,
} from '../src/protocol/identity';
import { newSeed, signerFromSeed, signWithLabel, type Signer } from '../src/protocol/sign';
import { keyValue } from '../src/protocol/transparency';
import { accountUri, deviceUri, roomUri, uuidBytes } from '../src/protocol/uris';
import { Log } from './log';
import { account } from './shared';

export const SERVER = 'h.example';
export const [ME, THEM, OUTSIDER] = [account(1), account(2), account(3)];
export const [ROOM, ELSEWHERE] = [account(0xf1), account(0xf2)];
export const [MINE, THEIRS, TABLET, GHOST] = [account(0xd1), account(0xd2), account(0xd3), account(0xd4)];
const HUB_ID = 1;
const TICKS = 6;
export const anybody: Judge = async () => true;
const random = (size: number): Bytes => crypto.getRandomValues(new Uint8Array(size));

export async function signer(): Promise<Signer> {
  const { seed, publicKey } = await newSeed();
  return signerFromSeed(seed, publicKey);
}

/** Somebody's device, whose MLS lets everybody in. */
export class Device {
  private constructor(readonly account: string, readonly id: string, readonly key: Signer, readonly engine: MlsEngine) {}

  static async create(of: string, id: string, key?: Signer, now: () => number = Date.now): Promise<Device> {
    const own = key ?? (await signer());
    const self = { account: accountUri(SERVER, of), device: deviceUri(SERVER, id) };
    return new Device(of, id, own, await MlsEngine.create(self, own, now));
  }

  async keyPackage(): Promise<Bytes> {
    return (await this.engine.newKeyPackage()).message;
  }
}

export async function manifestEntry(key: Signer, by: Signer, before: readonly SignedEntry[], firstHubKeyId: number): Promise<SignedEntry> {
  const last = before.at(-1);
  const entry = encodeManifestEntry({
    index: before.length, kind: HUB_SIGNING, publicKey: key.publicKey, firstHubKeyId, createdMs: 1,
    previousHash: (last ? manifestEntryHash(last.entry) : new Uint8Array()) as Bytes,
  });
  return { entry, signature: await signWithLabel(by, 'KithKeyManifest', entry) };
}

/** What the server says over HTTP. `lie` may change the answer about somebody's devices. */
export class Server {
  readonly lists = new Map<string, DeviceList>();
  readonly aiks = new Map<string, Signer>();
  readonly packages = new Map<string, Bytes>();
  manifest: SignedEntry[] = [];
  hub!: Signer;
  accounts = [ME, THEM];
  kind: 'direct' | 'group' = 'direct';
  lie: (answer: DevicesAnswer, size: number) => Promise<DevicesAnswer> = async (answer) => answer;
  log!: Log;
  uploaded: Bytes[] = [];

  /** The account signs a new list of its devices, and the log takes it in. */
  async listsDevices(of: string, ...devices: Device[]): Promise<void> {
    const version = (this.lists.get(of)?.version ?? 0) + 1;
    const entries = devices.map((one) => ({ device: deviceUri(SERVER, one.id), mlsKey: one.key.publicKey, addedMs: 5 }));
    const list = { account: accountUri(SERVER, of), version, signedMs: 7, entries };
    this.lists.set(of, list);
    const aik = this.aiks.get(of)!;
    this.log.add(of, keyValue(aik.publicKey, encodeDeviceList(list), await signDeviceList(aik, list)));
  }

  /** The honest answer; or the one of a server that holds an identity key of its own. */
  async devices(of: string, aik = this.aiks.get(of)!, list = this.lists.get(of)!, size = 0): Promise<DevicesAnswer> {
    const devices = await Promise.all(list.entries.map(async (entry) => ({
      device: entry.device, mls_key: toBase64(entry.mlsKey), added_ms: entry.addedMs,
      certificate: toBase64(await signCertificate(aik, { account: list.account, ...entry })),
    })));
    return {
      account: of, aik: toBase64(aik.publicKey), device_list: toBase64(encodeDeviceList(list)),
      device_list_signature: toBase64(await signDeviceList(aik, list)), devices, transparency: await this.log.proof(of, size),
    };
  }

  room(): RoomAnswer {
    const roles = new Map([[ME, 'admin'], [THEM, 'owner']]);
    const accounts = this.accounts.map((one) => ({ account: one, handle: 'h', display_name: `Name ${one.at(-1)}`, role: roles.get(one) ?? 'member' }));
    return { room: ROOM, kind: this.kind, accounts, epoch: 1, room_pos: 1, room_seq: 0, writable: true, group_info: null, group: null } as RoomAnswer;
  }

  api(): Api {
    const api = {
      devicesOf: async (of: string, size: number) => this.lie(await this.devices(of, this.aiks.get(of), this.lists.get(of), size), size),
      wellKnown: async () => ({
        manifest: this.manifest.map((one) => ({ entry: toBase64(one.entry), signature: toBase64(one.signature) })),
        transparency: await this.log.endorsed(),
      }),
      room: async () => this.room(),
      rooms: async () => [this.room()],
      claimKeyPackages: async (_room: string, devices: string[]): Promise<PackagesAnswer> => ({
        packages: devices.filter((id) => this.packages.has(id)).map((id) => ({ device: id, account: THEM, ref: '', key_package: toBase64(this.packages.get(id)!) })),
        missing: devices.filter((id) => !this.packages.has(id)),
      }),
      putKeyPackages: async (body: { packages: string[] }) => {
        this.uploaded = body.packages.map((one) => fromBase64(one));
        return { available: body.packages.length };
      },
    };
    return api as unknown as Api;
  }
}

/** Its timers run when `later` says so. */
class StillHome extends NodeHome {
  #aheadMs = 0;
  #timers: { at: number; work: () => void }[] = [];

  override now(): number {
    return Date.now() + this.#aheadMs;
  }

  override after(ms: number, work: () => void): () => void {
    const timer = { at: this.now() + ms, work };
    this.#timers.push(timer);
    return () => void (this.#timers = this.#timers.filter((one) => one !== timer));
  }

  pass(ms: number): void {
    this.#aheadMs += ms;
    const due = this.#timers.filter((one) => one.at <= this.now());
    this.#timers = this.#timers.filter((one) => !due.includes(one));
    due.forEach((one) => one.work());
  }
}

export class Scene {
  readonly sent: ClientFrame[] = [];
  readonly server = new Server();
  readonly home = new StillHome(new NodeDevice({ origin: 'http://h.example' }));
  /** What is said outside the thread. */
  alarms = 0;
  pos = 0;
  seq = 0;
  peer!: Device;
  mine!: Device;
  room!: Room;
  threads!: Threads;
  hushes!: Hushes;
  vault!: Vault;
  directory!: Directory;
  group!: Group;
  welcome!: Bytes;
  #packages!: KeyPackages;

  static async create(joined: boolean, kind: Server['kind']): Promise<Scene> {
    const made = new Scene();
    made.server.kind = kind;
    await made.#build();
    if (joined) {
      await made.commit(await made.joins());
      await made.mail('welcome', made.welcome);
      assert.ok(await made.room.hasGroup());
    }
    return made;
  }

  async #build(): Promise<void> {
    const { home, server } = this;
    [this.mine, this.peer] = [await Device.create(ME, MINE), await Device.create(THEM, THEIRS)];
    for (const who of [ME, THEM, OUTSIDER]) server.aiks.set(who, await signer());
    server.hub = await signer();
    server.manifest = [await manifestEntry(server.hub, server.hub, [], HUB_ID)];
    server.log = new Log(await signer(), server.hub);
    await server.listsDevices(ME, this.mine);
    await server.listsDevices(THEM, this.peer);
    this.vault = new Vault(home, await rootKey(await home.backend.localKey(), new Uint8Array(32), ME, MINE));
    const api = server.api();
    const self = { account: ME, device: MINE, aik: () => server.aiks.get(ME)!.publicKey };
    const log = new KeyLog(home, api, this.vault, self, () => this.directory.manifest());
    log.onAlarm = () => void this.alarms++;
    this.directory = new Directory(api, this.vault, SERVER, self, log);
    this.directory.onNewIdentity = () => void this.alarms++;
    this.#packages = new KeyPackages(home, api, this.vault, this.mine.engine, packageLimits);
    const files = new Files(home, api, this.vault, () => undefined, new AbortController().signal);
    this.hushes = new Hushes((room) => this.directory.roster(room));
    this.hushes.learn([]);
    this.threads = new Threads(home, this.vault, this.directory, ME, files, () => false, this.hushes);
    const link = { ready: true, send: (frame: ClientFrame) => this.sent.push(frame) > 0, ack: () => undefined };
    const context = {
      home, api, vault: this.vault, directory: this.directory, log, engine: this.mine.engine, packages: this.#packages, link, files,
      self: { server: SERVER, account: ME, device: MINE }, emit: () => undefined,
      controls: () => ({ requests: 'everyone', read_receipts: true, typing: true }),
      hushes: this.hushes,
    };
    this.room = new Room(context as unknown as RoomContext, ROOM);
    this.group = await this.peer.engine.createGroup(uuidBytes(ROOM), anybody);
    await this.directory.refreshManifest();
  }

  // ---- what the server does ---------------------------------------------------------------------------------------

  async settled(): Promise<void> {
    for (let n = 0; n < TICKS; n++) {
      await this.room.run(async () => undefined);
      await new Promise((done) => setImmediate(done));
    }
  }

  async later(ms: number): Promise<void> {
    this.home.pass(ms);
    await this.settled();
  }

  async mail(mail: Mail['mail'], body: Bytes, hub: HubRecord | null = null, pos = ++this.pos): Promise<void> {
    this.room.mail({ kind: 'mail', mailId: pos + 100, mail, room: ROOM, roomPos: pos, body, hub });
    await this.settled();
  }

  async message(said: Said, pos?: number): Promise<void> {
    await this.mail('message', said.body, said.hub, pos);
  }

  /** Word that somebody's devices changed, and the moment at which leaves are brought in line. */
  async roster(of = THEM): Promise<void> {
    this.directory.forget(of);
    this.room.reconcileSoon();
    await this.later(2000);
  }

  /** Word that others are in the group now. */
  async membersChanged(): Promise<void> {
    await this.directory.pinRoster(this.server.room());
    this.room.reconcileSoon();
    await this.later(2000);
  }

  /** A new key package of this device, whose secret it keeps. */
  async joins(): Promise<Bytes> {
    await this.#packages.upload(1, false);
    return this.server.uploaded[0]!;
  }

  // ---- the other device -------------------------------------------------------------------------------------------

  async frank(tag: Uint8Array, from: Device, atEpoch: number, change: Partial<FrankingContext>): Promise<HubRecord> {
    const seq = change.roomSeq === undefined ? ++this.seq : this.seq;
    const context: FrankingContext = {
      senderUri: accountUri(SERVER, from.account), roomUri: roomUri(SERVER, ROOM), senderDevice: deviceUri(SERVER, from.id),
      acceptedTimestamp: this.home.now() - 3_600_000 + this.seq, epoch: atEpoch, roomSeq: seq, hubKeyId: HUB_ID, ...change,
    };
    const made = serverFrank(new Uint8Array(32), tag, context);
    return {
      timestamp: context.acceptedTimestamp, roomSeq: context.roomSeq, hubKeyId: context.hubKeyId, serverFrank: made, suite: 1,
      proof: encodeProof(await signSingle(this.server.hub, made, context)),
    };
  }

  /** `also`: what its content says besides the words. */
  async says(text: string, change: Partial<FrankingContext> = {}, also: Partial<Content> = {}): Promise<Said> {
    const { said, next } = await this.#franked(text, this.peer, this.group, change, also);
    this.group = next;
    return said;
  }

  /** A device that came in with the newest Welcome speaks. */
  async ghostSays(text: string, ghost: Device, secret: KeyPackageSecret): Promise<Said> {
    const group = await ghost.engine.join(this.welcome, secret, anybody);
    return (await this.#franked(text, ghost, group, {})).said;
  }

  async #franked(
    text: string, by: Device, group: Group, change: Partial<FrankingContext>, also: Partial<Content> = {},
  ): Promise<{ said: Said; next: Group }> {
    const salt = random(16);
    const [sender, room] = [accountUri(SERVER, by.account), roomUri(SERVER, ROOM)];
    const content = encodeContent({ ...textContent({ salt, sender, room, text }), ...also });
    const tag = frankingTag(salt, content);
    const made = await by.engine.protect(group, content, aadOf(tag));
    const id = messageId(sender, room, content, salt);
    return { said: { body: made.message, hub: await this.frank(tag, by, epochOf(group), change), id }, next: made.next };
  }

  /** A commit of the other one that won its epoch. */
  async commit(add: Bytes | Bytes[] = [], removes: number[] = []): Promise<Bytes> {
    const made = await this.peer.engine.commit(this.group, { adds: [add].flat(), removes }, anybody);
    this.group = made.next;
    this.welcome = made.welcome ?? this.welcome;
    return made.commit;
  }

  /** A commit of the other one to more devices than a group may have: the engine's own bound is left out. */
  async commitToMany(count: number): Promise<Bytes> {
    const adds = await Promise.all(Array.from({ length: count }, async (_, n) => {
      const message = decodeMlsMessage(await (await Device.create(THEM, account(4096 + n))).keyPackage(), 0)![0];
      if (message.wireformat !== 'mls_key_package') return assert.fail('not a key package');
      return { proposalType: 'add' as const, add: { keyPackage: message.keyPackage } };
    }));
    const cipherSuite = await getCiphersuiteImpl(getCiphersuiteFromName(SUITE));
    const sign = async (_key: Uint8Array, message: Uint8Array) => this.peer.key.sign(message);
    const made = await createCommit(
      {
        state: { ...this.group.state, clientConfig: defaultClientConfig },
        cipherSuite: { ...cipherSuite, signature: { ...cipherSuite.signature, sign } }, pskIndex: emptyPskIndex,
      },
      { extraProposals: adds, ratchetTreeExtension: true, wireAsPublicMessage: true },
    );
    return encodeMlsMessage(made.commit).slice() as Bytes;
  }

  myLeaf(): number {
    return members(this.group).find((one) => one.device === deviceUri(SERVER, MINE))!.leaf;
  }

  // ---- this device ------------------------------------------------------------------------------------------------

  async queue(text: string): Promise<void> {
    const record: OutboxRecord = {
      id: toHex(random(16)), room: ROOM, createdMs: this.home.now(), text, replyTo: null, stage: 'plain', sealed: null, failure: null,
    };
    await this.vault.save('outbox', outboxKey(record), record);
    this.room.pump();
    await this.settled();
  }

  async writes(text: string): Promise<Submit> {
    await this.queue(text);
    return this.submits().at(-1)!;
  }

  submits(): Submit[] {
    return this.sent.filter((frame) => frame.kind === 'submit');
  }

  commits(): Extract<ClientFrame, { kind: 'commit' }>[] {
    return this.sent.filter((frame) => frame.kind === 'commit');
  }

  /** The hub's answer to a message of this device, which the other one reads. */
  async answer(submit: Submit, change: Partial<FrankingContext> = {}): Promise<Accepted & { text: string; content: Content }> {
    const read = await this.peer.engine.process(this.group, submit.message, anybody);
    if (read.kind !== 'application') assert.fail('not a message');
    this.group = read.next;
    const hub = await this.frank(tagOf(read.aad), this.mine, read.epoch, change);
    const content = decodeContent(read.plaintext);
    return { kind: 'accepted', key: submit.key as Bytes, roomPos: ++this.pos, timestamp: hub.timestamp, hub, text: textOf(content.part) ?? '', content };
  }

  async hears(frame: Accepted | Refused): Promise<void> {
    if (!this.room.awaits(frame.key)) return this.settled();
    if (frame.kind === 'accepted') this.room.accepted(frame);
    else this.room.refused(frame);
    await this.settled();
  }

  /** The server takes this device's newest commit, and the other one follows it. */
  async adopts(): Promise<void> {
    const sent = this.commits().at(-1)!;
    const done = await this.peer.engine.process(this.group, sent.commit, anybody);
    this.group = done.next;
    await this.hears({ kind: 'accepted', key: sent.key as Bytes, roomPos: ++this.pos, timestamp: 1, hub: null });
  }

  // ---- what is seen -----------------------------------------------------------------------------------------------

  async rows(): Promise<Message[]> {
    return (await this.threads.page(ROOM, { limit: 500 })).messages;
  }

  async texts(): Promise<string[]> {
    return (await this.rows()).filter((row) => row.kind === 'text' && row.delivery !== 'failed' && row.delivery !== 'waiting').map((row) => row.text);
  }

  async lines(): Promise<string[]> {
    return (await this.rows()).filter((row) => row.kind === 'info').map((row) => row.text);
  }

  /** How much the person sees that is not a genuine message: lines, tombstones, gaps and failed messages. */
  async marks(): Promise<number> {
    const rows = await this.rows();
    const odd = rows.filter((row) => row.kind === 'info' || row.kind === 'tombstone' || row.delivery === 'failed').length;
    return rows.reduce((sum, row) => sum + row.gap_before, odd) + this.alarms;
  }

  /** The genuine conversation: a message each way, shown once. */
  async goesOn(): Promise<void> {
    const said = `still here ${this.seq}`;
    await this.message(await this.says(said));
    assert.equal((await this.texts()).filter((text) => text === said).length, 1, JSON.stringify((await this.rows()).slice(-4)));
    const before = this.commits().length;
    await this.queue(`and I ${this.seq}`);
    if (this.commits().length > before) await this.adopts(); // whom no list names is put out before anything is said
    for (let text = ''; !text.startsWith('and I');) { // what waited before goes first
      const answer = await this.answer(this.submits().at(-1)!);
      text = answer.text;
      await this.hears(answer);
      assert.ok((await this.texts()).includes(text));
    }
  }

  /** The way out: this device is put out and in again, and the chat goes on. */
  async heals(): Promise<void> {
    const others = members(this.group).filter((one) => one.leaf !== ownLeaf(this.group)).map((one) => one.leaf);
    if (others.length > 0) {
      await this.commit([], others);
      this.pos++;
    }
    await this.commit(await this.joins());
    await this.mail('welcome', this.welcome);
    assert.ok(await this.room.hasGroup());
    await this.goesOn();
  }
}

export interface Said { body: Bytes; hub: HubRecord; id: Bytes }
export type Submit = Extract<ClientFrame, { kind: 'submit' }>;
