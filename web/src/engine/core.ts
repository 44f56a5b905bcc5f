/**
 * The engine: every operation of contract.ts over one session. The composition root; each line should read as what the
 * person asked for. Long because it is the whole list of operations.
 */
import { equal, fromBase64, toBase64, toHex, type Bytes } from '../protocol/bytes';
import type { Mail, ServerFrame } from '../protocol/frames';
import { decode, encode } from '../protocol/msgpack';
import { recoveryAuth } from '../protocol/recovery';
import { fingerprint, safetyNumber, scannable } from '../protocol/safety-number';
import { labelOf } from '../protocol/transparency';
import { TIMES } from '../protocol/timer';
import { isUuid } from '../protocol/uris';
import { Account, readCode } from './account';
import { Api, type Blocked, type RoomAnswer, type SessionAnswer } from './api';
import type { Args, Chat, Controls, Engine, GroupFacts, Happening, LastKind, Me, Message, Op, Phase, Result, SafetyNumber, SentReport } from './contract';
import { Files } from './attachments/files';
import { checkFiles } from './attachments/outgoing';
import type { MediaPort } from './attachments/play';
import { Directory, isRefusal } from './directory';
import { Problem, signedOut } from './errors';
import type { Home } from './home';
import { Hushes } from './hushes';
import { Keeping } from './keeping';
import { KeyLog } from './key-log';
import { Link } from './link';
import { MlsEngine } from './mls';
import { KeyPackages, packageLimits, type PackageLimits } from './packages';
import { bare } from './picture';
import { Push } from './push';
import { jsonBody } from './receive';
import { outboxKey, type FirstMessage, type NewIdentity, type OutboxRecord, type Self, type VerifiedPerson } from './records';
import { Room, type RoomContext } from './room';
import { reportItem, Threads } from './threads';
import { placeAfter } from './stretch';
import { maySet, overdue } from './vanishing';
import { rootKey, Unsealable, Vault } from './vault';
import { checkText, Words } from './words';

/** `fileBudget`: bytes that attachments may take on this device. */
export interface CoreOptions { packages?: Partial<PackageLimits>; fileBudget?: number }

/** keys/session, readable before unlocking: ids, and in Node the token. */
interface SessionRecord { account: string; device: string; token: string | null }
/** meta/people: the last lists the server gave, for showing chats at once. */
interface People { rooms: KnownRoom[]; blocks: Blocked[]; hushes?: string[] }
/** `left`: a group that I am not in any more; its thread stays here. */
type KnownRoom = RoomAnswer & { left?: boolean };

const STREAM_LOCK = 'kith:stream';
const FIRST_LOCK = 'kith:first-messages';
/** Work that can wait is done a little after connecting. */
const IDLE_MS = 1_500;
const REPLACED_WAIT_MS = 5_000;
/** The key log's monitoring window. */
const LOOK_MS = 24 * 3600 * 1000;
/** How often it is looked whether messages have to disappear. */
const VANISH_MS = 10_000;
const UNLOCK_RETRY_MS = 5_000;

type TabMessage =
  | { say: 'happening'; happening: Happening }
  | { say: 'outbox' | 'typing'; room: string }
  | { say: 'hushes'; accounts: string[] }
  | { say: 'signed-out' }
  | { say: 'signed-in' };

/** Everything that exists only while this device is unlocked. */
class Session {
  readonly rooms = new Map<string, Room>();
  leading = false;

  constructor(
    readonly self: Self,
    readonly vault: Vault,
    readonly directory: Directory,
    readonly log: KeyLog,
    readonly account: Account,
    readonly packages: KeyPackages,
    readonly threads: Threads,
    readonly keeping: Keeping,
    readonly link: Link,
    readonly files: Files,
    readonly hushes: Hushes,
    readonly ended: AbortController,
    private readonly roomContext: RoomContext,
  ) {}

  room(id: string): Room {
    let room = this.rooms.get(id);
    if (!room) {
      room = new Room(this.roomContext, id);
      this.rooms.set(id, room);
    }
    return room;
  }

  end(): void {
    this.ended.abort();
    this.vault.close();
    this.link.stop();
    this.rooms.forEach((room) => room.stop());
  }
}

type Handlers = { [K in Op]: (args: Args<K>) => Promise<Result<K>> };

export class EngineCore implements Engine {
  readonly #api: Api;
  readonly #listeners = new Set<(happening: Happening) => void>();
  #session: Session | null = null;
  #phase: Phase = 'signed-out';
  /** Until the account is known nothing is told. */
  #controls: Controls = { requests: 'nobody', read_receipts: false, typing: false };
  #cancelRetry: (() => void) | null = null;
  /** A report that was not answered yet. */
  /** The session that looked for lost attachments of its reports. */
  #askedFor: Session | null = null;
  #reporting: { report: string; id: string } | null = null;
  /** Per chat, the message that is being put into the outbox. */
  readonly #writing = new Map<string, Promise<unknown>>();
  /** Time of the last message written here (ms). */
  #lastWritten = 0;

  constructor(private readonly home: Home, private readonly options: CoreOptions = {}) {
    this.#api = new Api(home);
    this.#api.onSignedOut = () => this.#background(() => this.#remotelySignedOut());
    home.listen((message) => this.#heard(message as TabMessage));
  }

  on(listener: (happening: Happening) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async call<K extends Op>(op: K, args: Args<K>): Promise<Result<K>> {
    const handler = Object.hasOwn(this.#ops, op) ? (this.#ops[op] as Handlers[K]) : null;
    if (handler === null) throw new Problem('invalid', 'There is no such operation.');
    try {
      return await handler(args);
    } catch (error) {
      if (error instanceof Problem) throw error;
      if (isRefusal(error)) throw new Problem('unverified', (error as Error).message);
      if (error instanceof Unsealable) throw new Problem('locked', 'What is stored on this device cannot be opened. Sign in again.');
      console.error(op, error);
      throw new Problem('bug', 'Something went wrong inside Kith. Nothing was lost; try again.');
    }
  }

  /** The player's request for a file that `play` gave an address for. */
  serve(path: string, port: MediaPort): void {
    if (this.#session) this.#session.files.serve(path, port);
    else port.postMessage('failed');
  }

  /** Lets go of the connection and all timers; what is stored stays. */
  stop(): void {
    this.#cancelRetry?.();
    this.#session?.end();
    this.#session = null;
  }

  // ---- telling ----------------------------------------------------------------------------------------------------

  #emit(happening: Happening): void {
    this.#listeners.forEach((listener) => listener(happening));
    this.home.tell({ say: 'happening', happening } satisfies TabMessage);
  }

  #setPhase(phase: Phase, reason?: string): void {
    this.#phase = phase;
    this.#listeners.forEach((listener) => listener({ type: 'phase', phase, ...(reason ? { reason } : {}) }));
  }

  /** What another tab says. */
  #heard(message: TabMessage): void {
    if (message.say === 'happening') this.#listeners.forEach((listener) => listener(message.happening));
    else if (message.say === 'typing') {
      if (this.#session?.leading) this.#session.room(message.room).typing();
    } else if (message.say === 'outbox') {
      if (this.#session?.leading) this.#session.room(message.room).pump();
    } else if (message.say === 'hushes') this.#session?.hushes.learn(message.accounts);
    else if (message.say === 'signed-out') this.#drop('You signed out in another tab.');
    else if (message.say === 'signed-in' && this.#phase !== 'ready') this.#background(async () => void (await this.#start()));
  }

  /** Work nobody waits for. "Not now" is left for the next occasion; anything else is a bug and is seen. */
  #background(work: () => Promise<unknown>): void {
    work().catch((error: unknown) => {
      if (error instanceof Problem || error instanceof Unsealable) return;
      if (isRefusal(error)) console.warn('refused:', (error as Error).message);
      else console.error(error);
    });
  }

  #push(): Push {
    return new Push(this.#api, this.#need().vault);
  }

  #need(): Session {
    if (!this.#session) throw signedOut();
    return this.#session;
  }

  // ---- unlocking --------------------------------------------------------------------------------------------------

  async #start(): Promise<Result<'start'>> {
    const why = await this.home.unsupported();
    if (why !== null) return this.#answer('unsupported', null, why);
    if (this.#session && this.#phase === 'ready') return { phase: 'ready', me: await this.#api.me() };
    const record = await this.#sessionRecord();
    if (record === null) return this.#answer('signed-out', null);
    this.home.setToken(record.token);
    try {
      return await this.#resume(record);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.code === 'unauthenticated') return { phase: 'signed-out', me: null, reason: 'You were signed out on this device.' };
      this.#tryAgain();
      return this.#answer('locked', null, error.message);
    }
  }

  /** Locked because the server could not be reached: opens by itself when it can be. */
  #tryAgain(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = this.home.after(UNLOCK_RETRY_MS, () => {
      if (this.#phase === 'locked') this.#background(() => this.#start());
    });
  }

  #answer(phase: Phase, me: Me | null, reason?: string): Result<'start'> {
    this.#setPhase(phase, reason);
    return { phase, me, ...(reason ? { reason } : {}) };
  }

  async #sessionRecord(): Promise<SessionRecord | null> {
    const bytes = await this.home.backend.get('keys', 'session');
    return bytes === null ? null : (decode(bytes) as SessionRecord);
  }

  async #resume(record: SessionRecord): Promise<Result<'start'>> {
    const [{ share }, me] = await Promise.all([this.#api.share(), this.#api.me()]);
    await this.#open(record, fromBase64(share), me);
    return this.#answer(await this.#settle(me), me);
  }

  async #signedIn(answer: SessionAnswer): Promise<Me> {
    this.stop();
    await this.home.backend.erase();
    const record: SessionRecord = { account: answer.account_id, device: answer.device_id, token: answer.token ?? null };
    this.home.setToken(record.token);
    await this.home.backend.write([{ store: 'keys', key: 'session', value: encode(record) }]);
    await this.#open(record, fromBase64(answer.share), answer.me);
    return answer.me;
  }

  async #open({ account: accountId, device }: SessionRecord, share: Bytes, me: Me): Promise<void> {
    this.#session?.end();
    this.#controls = me.controls;
    const self: Self = { server: me.server_name, account: accountId, device };
    const vault = new Vault(this.home, await rootKey(await this.home.backend.localKey(), share, accountId, device));
    share.fill(0);
    const account = new Account(this.home, this.#api, vault, self);
    await account.open();
    const engine = await MlsEngine.create({ account: account.uri, device: account.deviceUri }, account.device, () => this.home.now());
    const aik = (): Bytes | null => account.aikPublic;
    const log = new KeyLog(this.home, this.#api, vault, { account: accountId, device, aik }, () => directory.manifest());
    log.onAlarm = () => this.#emit({ type: 'alarms' });
    const directory: Directory = new Directory(this.#api, vault, self.server, { account: accountId, aik }, log);
    const packages = new KeyPackages(this.home, this.#api, vault, engine, { ...packageLimits, ...this.options.packages });
    const hushes = new Hushes((room) => directory.roster(room));
    const known = await vault.get<People>('meta', 'people');
    if (known?.hushes) hushes.learn(known.hushes);
    const ended = new AbortController();
    const files = new Files(this.home, this.#api, vault, (happening) => this.#emit(happening), ended.signal, this.options.fileBudget);
    const threads = new Threads(this.home, vault, directory, accountId, files, () => this.#controls.read_receipts, hushes);
    const link = this.#makeLink();
    const context: RoomContext = {
      home: this.home, api: this.#api, vault, directory, log, engine, packages, link, files, self, controls: () => this.#controls, hushes, emit: (happening) => this.#emit(happening),
    };
    const session = new Session(self, vault, directory, log, account, packages, threads, new Keeping(this.home, vault), link, files, hushes, ended, context);
    directory.onNewIdentity = () => this.#background(() => this.#newIdentities(session));
    this.#session = session;
  }

  /** What is missing until this device can be used; registers it when it can. */
  async #settle(me: Me): Promise<Phase> {
    const session = this.#need();
    if (!me.has_identity) return 'needs-identity';
    if (me.device_registered && (await session.account.isRegistered())) {
      this.#begin(session);
      return 'ready';
    }
    if (session.account.aikPublic === null) return 'needs-recovery';
    await this.#register(session);
    return 'ready';
  }

  async #register(session: Session): Promise<void> {
    await session.account.register();
    await session.packages.uploadFirst();
    this.#begin(session);
  }

  #begin(session: Session): void {
    this.home.hold(STREAM_LOCK, session.ended.signal, () => {
      session.leading = true;
      session.rooms.clear(); // another tab may have moved every group since
      session.link.start();
      this.#background(() => this.#vanish(session));
    });
    this.home.tell({ say: 'signed-in' } satisfies TabMessage);
  }

  /** Ends the session here and forgets all of it: the share is gone, so nothing sealed could be read again anyway. */
  async #remotelySignedOut(): Promise<void> {
    if (!this.#session && (await this.#sessionRecord()) === null) return;
    this.#drop('You were signed out on this device.');
    await this.home.backend.erase();
    this.home.setToken(null);
    this.home.tell({ say: 'signed-out' } satisfies TabMessage);
  }

  #drop(reason?: string): void {
    this.#session?.end();
    this.#session = null;
    this.#setPhase('signed-out', reason);
  }

  // ---- the stream -------------------------------------------------------------------------------------------------

  #makeLink(): Link {
    return new Link(this.home, {
      state: (state) => {
        if (state !== 'online') this.#session?.rooms.forEach((room) => room.disconnected());
        this.#emit({ type: 'connection', state });
      },
      ready: () => this.#connected(),
      frame: (frame) => this.#frame(frame),
      bye: (code) => this.#bye(code),
      doubt: () => this.#background(() => this.#api.me()),
    });
  }

  /** Attachments of own reports that the server lost meanwhile; asked for once in a session, and when it says so. */
  async #handInLost(told = false): Promise<void> {
    const session = this.#need();
    if (this.#askedFor === session && !told) return;
    this.#askedFor = session;
    await session.files.handIns.asked(await this.#api.reports<SentReport>());
    await session.files.handIns.run();
  }

  #connected(): void {
    const session = this.#need();
    this.#background(() => session.files.handIns.run());
    this.#background(() => this.#handInLost());
    this.#background(async () => {
      const outbox = await this.home.backend.range('outbox', { prefix: '' });
      const groups = await this.home.backend.range('groups', { prefix: '' });
      const ids = new Set([...outbox.map(({ key }) => key.split('/')[0]!), ...groups.map(({ key }) => key)]);
      ids.forEach((id) => session.room(id).pump());
      await this.#refreshPeople();
      await this.#sendFirstMessages();
      await this.#reconcileGroups(session);
    });
    this.home.after(IDLE_MS, () => {
      if (session.ended.signal.aborted) return;
      this.#background(() => this.#housekeeping(session));
    });
  }

  async #housekeeping(session: Session): Promise<void> {
    await session.account.refreshList();
    for (const { key } of await this.home.backend.range('meta', { prefix: 'stale/' })) {
      await this.#reconcileRooms(session, key.slice('stale/'.length));
    }
    await this.#reconcileGroups(session);
    for (const { key } of await this.home.backend.range('groups', { prefix: '' })) session.room(key).renew();
    await session.packages.dropExpired();
    await session.packages.refill();
    await session.threads.dropExpired();
    await session.files.sweep();
    await this.#newIdentities(session);
    await this.#lookAround(session);
  }

  /** Messages whose time is over go, also those that went over while nothing ran here. */
  async #vanish(session: Session): Promise<void> {
    if (session.ended.signal.aborted) return;
    this.home.after(VANISH_MS, () => this.#background(() => this.#vanish(session)));
    for (const [room, due] of await overdue(session.vault, this.home.now())) await session.room(room).vanish(due);
  }

  /** What the key log says of me and my contacts: at each connection, and daily while connected. */
  async #lookAround(session: Session): Promise<void> {
    if (session.ended.signal.aborted || !session.leading) return;
    this.home.after(LOOK_MS, () => this.#background(() => this.#lookAround(session)));
    await session.log.lookAround();
  }

  #frame(frame: ServerFrame): void {
    const session = this.#session;
    if (!session) return;
    switch (frame.kind) {
      case 'mail': return this.#mail(session, frame);
      case 'accepted':
      case 'refused': {
        const room = [...session.rooms.values()].find((one) => one.awaits(frame.key));
        if (frame.kind === 'accepted') room?.accepted(frame);
        else room?.refused(frame);
        return;
      }
      case 'delivered': return session.room(frame.room).delivered(frame.roomPos);
      case 'ephemeral': return session.room(frame.room).ephemeral(frame.afterPos, frame.body);
      case 'pong': case 'hello': case 'bye': case 'unknown': return;
      default: frame satisfies never;
    }
  }

  #mail(session: Session, mail: Mail): void {
    if (mail.mail === 'notice') this.#background(() => this.#notice(mail));
    else if (mail.mail === 'roster') this.#background(() => this.#roster(session, mail));
    else if (mail.room !== null) session.room(mail.room).mail(mail);
  }

  async #notice(mail: Mail): Promise<void> {
    const { what } = jsonBody(mail.body);
    switch (what) {
      case 'requests':
      case 'connections':
        await this.#refreshPeople();
        await this.#sendFirstMessages();
        return this.#emit({ type: 'requests' });
      case 'standing': return this.#emit({ type: 'standing' });
      case 'notices': return this.#emit({ type: 'notices' });
      case 'reports':
        this.#emit({ type: 'reports' });
        return this.#background(() => this.#handInLost(true)); // which may bring megabytes
      default: return; // of a later version
    }
  }

  /** Somebody's devices or identity changed, or a group's people. Remembered before it is acknowledged, done when possible. */
  async #roster(session: Session, mail: Mail): Promise<void> {
    const { account, room } = jsonBody(mail.body);
    if (typeof room === 'string' && isUuid(room)) await session.vault.save('meta', `due/${room}`, { sinceMs: this.home.now() });
    if (typeof account === 'string' && isUuid(account)) {
      session.directory.forget(account);
      await session.vault.save('meta', `stale/${account}`, { sinceMs: this.home.now() });
    }
    session.link.ack(mail.mailId);
    if (typeof room === 'string') return this.#reconcileGroups(session);
    if (typeof account !== 'string') return;
    if (account === session.self.account) await session.account.refreshList();
    await this.#reconcileRooms(session, account);
  }

  /** Groups whose roster changed: fetched again, and their leaves brought in line by whoever is first. */
  async #reconcileGroups(session: Session): Promise<void> {
    const due = (await session.vault.range('meta', { prefix: 'due/' })).map(({ key }) => key.slice('due/'.length));
    if (due.length === 0) return;
    const { rooms } = await this.#refreshPeople();
    for (const room of due) {
      const done = (): Promise<void> => session.vault.write(session.vault.remove('meta', `due/${room}`));
      const mine = rooms.some((one) => one.room === room && !one.left);
      if (mine) session.room(room).reconcileSoon(done);
      else await done();
    }
  }

  async #reconcileRooms(session: Session, account: string): Promise<void> {
    const people = await this.#people(session);
    const rooms = people.rooms.filter((room) => room.accounts.some((one) => one.account === account));
    let left = rooms.length;
    const done = async (): Promise<void> => {
      left--;
      if (left === 0) await session.vault.write(session.vault.remove('meta', `stale/${account}`));
    };
    rooms.forEach(({ room }) => session.room(room).reconcileSoon(done));
    if (rooms.length === 0) await session.vault.write(session.vault.remove('meta', `stale/${account}`));
  }

  /** Says in each chat whose keys are new, the commonest reason first; what cannot be said now is said later. */
  async #newIdentities(session: Session): Promise<void> {
    const people = await this.#people(session);
    for (const { key, value } of await session.vault.range<NewIdentity>('meta', { prefix: 'new-identity/' })) {
      const account = key.slice('new-identity/'.length);
      for (const { room, accounts } of people.rooms) {
        const name = accounts.find((one) => one.account === account)?.display_name;
        if (name === undefined) continue;
        await session.room(room).note(
          `${name} set up Kith again, most likely after losing a device or recovery code, and has new keys. If in doubt, ask them another way.`,
        );
        if (value.wasVerified) await session.room(room).note(`You had compared safety numbers with ${name}. They are new now, so compare them again.`);
      }
      await session.vault.write(session.vault.remove('meta', key));
    }
  }

  #bye(code: string): void {
    const session = this.#session;
    if (!session) return;
    if (code === 'signed_out') this.#background(() => this.#remotelySignedOut());
    else if (code === 'replaced') {
      // Another connection of this device took over. Wait, so that two of them do not chase each other.
      session.link.stop();
      this.#emit({ type: 'connection', state: 'offline' });
      this.home.after(REPLACED_WAIT_MS, () => {
        if (!session.ended.signal.aborted) session.link.start();
      });
    }
  }

  // ---- people and chats -------------------------------------------------------------------------------------------

  async #people(session: Session): Promise<People> {
    return (await session.vault.get<People>('meta', 'people')) ?? this.#refreshPeople();
  }

  async #refreshPeople(): Promise<People> {
    const session = this.#need();
    const before = await session.vault.get<People>('meta', 'people');
    const [direct, groups, blocks, restricted] = await Promise.all([
      this.#api.rooms(), this.#api.groups(), this.#api.blocks(), this.#api.restricted(),
    ]);
    const hushes = restricted.map(({ account }) => account);
    session.hushes.learn(hushes);
    this.home.tell({ say: 'hushes', accounts: hushes } satisfies TabMessage);
    const rooms: KnownRoom[] = [];
    for (const room of [...direct, ...groups]) {
      if (await this.#believed(session, room)) rooms.push({ ...room, group_info: null });
    }
    const gone = (before?.rooms ?? []).filter((one) => one.group && !rooms.some((room) => room.room === one.room));
    const people: People = { rooms: [...rooms, ...gone.map((room) => ({ ...room, writable: false, left: true }))], blocks, hushes };
    await session.vault.save('meta', 'people', people);
    for (const room of gone) if (!room.left) await session.room(room.room).left('You are no longer in this group.');
    if (session.leading) for (const room of rooms) if (room.group?.role === 'owner' && room.epoch === null) session.room(room.room).begin();
    // Word of what was delivered while this device was away, or between two pages, went to nobody.
    if (session.leading) for (const { room, delivered_pos: upto } of rooms) if (upto) session.room(room).delivered(upto);
    this.#emit({ type: 'chats' });
    return people;
  }

  /** One room that the server shows wrongly is left out and said aloud; the others go on. */
  async #believed(session: Session, room: RoomAnswer): Promise<boolean> {
    try {
      await session.directory.pinRoster(room);
      return true;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      console.warn('refused:', room.room, (error as Error).message);
      return false;
    }
  }

  async #chat(session: Session, room: KnownRoom, blocks: readonly Blocked[]): Promise<Chat | null> {
    const other = room.accounts.find((one) => one.account !== session.self.account);
    if (!other && !room.group) return null;
    const thread = await session.threads.thread(room.room);
    const here = session.room(room.room);
    // Nobody is in yet: in a chat of two whoever writes begins it, in a group the owner's device does.
    const mayBegin = room.epoch === null && (room.group ? room.group.role === 'owner' : !here.lonely);
    const who = room.group
      ? { account: '', handle: '', display_name: room.group.name } : { account: other!.account, handle: other!.handle, display_name: other!.display_name };
    return {
      room: room.room, kind: room.group ? 'group' : 'direct', group: room.group && groupFacts(room.group, room.left === true),
      people: room.accounts, ...who,
      writable: room.writable, ready: mayBegin || (await here.hasGroup()), unread: thread.unread - (thread.quiet ?? 0), answered: thread.answered === true,
      ...(await session.keeping.shown(room.room, thread)),
      timer_s: thread.timer?.seconds ?? 0,
      unread_from: thread.unread === 0 ? null : placeAfter(thread.readSeq),
      last: thread.last && { kind: lastKind(thread.last.kind), text: thread.last.text, mine: thread.last.mine, at_ms: thread.last.atMs, ...(thread.last.files ? { files: thread.last.files } : {}) },
      blocked: blocks.some((one) => one.account === who.account),
      restricted: room.accounts.map(({ account }) => account).filter((account) => session.hushes.has(account)), deleted: thread.deleted,
    };
  }

  /**
   * First messages whose request was accepted go to the outbox of the new chat. One at a time and in one tab: two
   * notices at once ("requests", "connections") would each find the message waiting and send it twice.
   */
  #sendFirstMessages(): Promise<void> {
    return this.home.locked(FIRST_LOCK, () => this.#moveFirstMessages());
  }

  async #moveFirstMessages(): Promise<void> {
    const session = this.#need();
    const waiting = await session.vault.range<FirstMessage>('meta', { prefix: 'first/' });
    if (waiting.length === 0) return;
    const { sent } = await this.#api.requests();
    for (const { key, value } of waiting) {
      const request = sent.find((one) => `first/${one.request}` === key);
      if (!request?.room || request.state !== 'accepted') continue;
      const record = await this.#outgoing(session, request.room, value.text, null);
      await session.vault.write(await session.vault.put('outbox', outboxKey(record), record), session.vault.remove('meta', key));
      this.#pump(session, request.room);
    }
  }

  /** Messages leave in the order in which they were written, also two of one millisecond, also after a clock fell back. */
  async #outgoing(session: Session, room: string, text: string, replyTo: string | null): Promise<OutboxRecord> {
    const id = toHex(this.home.random(16));
    const waiting = await session.vault.range<OutboxRecord>('outbox', { prefix: `${room}/` });
    const last = Math.max(this.#lastWritten, waiting.at(-1)?.value.createdMs ?? 0);
    const createdMs = (this.#lastWritten = Math.max(this.home.now(), last + 1));
    return { id, room, createdMs, text, replyTo, stage: 'plain', sealed: null, failure: null };
  }

  /** Only the tab that holds the stream sends. */
  #pump(session: Session, room: string): void {
    if (session.leading) session.room(room).pump();
    else this.home.tell({ say: 'outbox', room } satisfies TabMessage);
  }

  async #send(args: Args<'send'>): Promise<Message> {
    const session = this.#need();
    const files = args.files ?? [];
    checkText(args.text, files.length > 0);
    checkFiles(files, args.text);
    return this.#inTurn(roomId(args.room), async () => {
      const words = await this.#outgoing(session, args.room, args.text, replyId(args.reply_to));
      const sealed = files.length > 0 ? await session.files.outgoing.seal(files, words.id) : [];
      const record: OutboxRecord = sealed.length > 0 ? { ...words, stage: 'uploading', files: sealed } : words;
      await session.vault.save('outbox', outboxKey(record), record);
      this.#emit({ type: 'thread', room: record.room });
      this.#pump(session, record.room);
      return session.threads.unsent(record);
    });
  }

  /** What is written while a large file is still being sealed comes after it. */
  #inTurn<T>(room: string, work: () => Promise<T>): Promise<T> {
    const mine = (this.#writing.get(room) ?? Promise.resolve()).then(work);
    this.#writing.set(room, mine.catch(() => undefined));
    return mine;
  }

  /** What can be done to the messages of a room. */
  #words(room: string): Words {
    const session = this.#need();
    roomId(room);
    return new Words({
      home: this.home, vault: session.vault, threads: session.threads, room: (id) => session.room(id),
      outgoing: (to, text) => this.#outgoing(session, to, text, null),
      writable: async () => new Set((await this.#people(session)).rooms.filter((one) => one.writable).map((one) => one.room)),
      queued: (to) => this.#pump(session, to),
      dropped: (record) => session.files.uploads.cancel(record),
      changed: (to) => {
        this.#emit({ type: 'thread', room: to });
        this.#emit({ type: 'chats' });
      },
    });
  }

  async #retry({ room, id }: Args<'retry'>): Promise<null> {
    const session = this.#need();
    await session.room(room).run(async () => {
      const record = (await session.room(room).outbox()).find((one) => one.id === id);
      if (!record || record.stage !== 'failed') return;
      const again: OutboxRecord = { ...record, stage: 'plain', sealed: null, failure: null };
      await session.vault.save('outbox', outboxKey(again), again);
    });
    this.#emit({ type: 'thread', room });
    this.#pump(session, room);
    return null;
  }

  async #me(): Promise<Me> {
    const me = await this.#api.me();
    this.#controls = me.controls;
    return me;
  }

  async #refreshStanding(): Promise<Result<'appeal'>> {
    return this.#api.standing();
  }

  // ---- the operations ---------------------------------------------------------------------------------------------

  readonly #ops: Handlers = {
    start: () => this.#start(),
    age: ({ year, month }) => this.#api.age(year, month),
    sign_up: async (args) => {
      await this.#signedIn(await this.#api.createAccount(args));
      return this.#makeIdentity(false);
    },
    sign_in: async (args) => {
      const me = await this.#signedIn(await this.#api.signIn(args));
      const phase = await this.#settle(me);
      this.#setPhase(phase);
      return { phase, me };
    },
    make_identity: () => this.#makeIdentity(false),
    reset_identity: () => this.#makeIdentity(true),
    unlock_identity: ({ recovery_code }) => this.#unlockIdentity(recovery_code),
    recover: async ({ handle, recovery_code, new_password, device_name }) => {
      const auth = toBase64(recoveryAuth(readCode(recovery_code)));
      await this.#signedIn(await this.#api.recover({ handle, recovery_auth: auth, new_password, device_name }));
      return this.#unlockIdentity(recovery_code);
    },
    sign_out: async () => {
      await this.#api.signOut();
      this.#drop();
      await this.home.backend.erase();
      this.home.setToken(null);
      this.home.tell({ say: 'signed-out' } satisfies TabMessage);
      return null;
    },
    me: () => this.#me(),
    set_display_name: async ({ display_name }) => {
      await this.#api.profile(display_name);
      return this.#me();
    },
    set_controls: async (chosen) => {
      await this.#api.controls(chosen);
      return this.#me();
    },
    push: () => this.#api.push(),
    set_push: async (keys) => {
      await this.#push().set(keys);
      return null;
    },
    end_push: async () => {
      await this.#push().end();
      return null;
    },
    change_password: (body) => this.#api.password(body),
    devices: async () => (await this.#api.ownDevices()).devices,
    link_start: async () => {
      const { code, until_ms } = await this.#need().account.offerLink();
      return { code, link: `${this.home.origin}/#/approve/${code}`, until_ms };
    },
    link_check: async () => {
      const session = this.#need();
      const state = await session.account.linkState();
      if (state !== 'done') return { state };
      await this.#register(session);
      this.#setPhase('ready');
      return { state, me: await this.#me() };
    },
    link_find: async ({ code }) => ({ name: (await this.#need().account.waitingWith(code)).device.name }),
    link_approve: async ({ code: typed }) => {
      const session = this.#need();
      const { code, device } = await session.account.waitingWith(typed);
      await session.log.expectDevice(device.device);
      await session.account.approve(code, device);
      return (await this.#api.ownDevices()).devices;
    },
    safety_number: ({ account }) => this.#safetyNumber(accountId(account)),
    set_verified: async ({ account, verified }) => {
      const session = this.#need();
      const aik = await session.directory.identityOf(accountId(account));
      const key = `verified/${account}`;
      if (verified && aik) await session.vault.save('meta', key, { aik, atMs: this.home.now() } satisfies VerifiedPerson);
      else await session.vault.write(session.vault.remove('meta', key));
      return this.#safetyNumber(account);
    },
    alarms: () => this.#need().log.alarms(),
    put_away_alarm: async ({ id }) => {
      await this.#need().log.putAway(id);
      return null;
    },
    remove_device: async ({ id }) => {
      const session = this.#need();
      await this.#api.removeDevice(id);
      await session.account.refreshList();
      session.directory.forget(session.self.account);
      await this.#reconcileRooms(session, session.self.account);
      return (await this.#api.ownDevices()).devices;
    },
    terms: () => this.#api.terms(),
    export_data: () => this.#api.exportData(),

    request: async ({ handle, invite, text }) => {
      const session = this.#need();
      const to = invite ?? handle ?? '';
      const { request } = await this.#api.request(invite === undefined ? { handle: to } : { invite });
      if (text.trim() !== '') {
        const first: FirstMessage = { text, to: handle ?? '', createdMs: this.home.now() };
        await session.vault.save('meta', `first/${request}`, first);
      }
      this.#emit({ type: 'requests' });
      this.#background(() => this.#sendFirstMessages());
      return { request };
    },
    requests: async () => {
      const session = this.#need();
      const { received, sent } = await this.#api.requests();
      const first = new Map((await session.vault.range<FirstMessage>('meta', { prefix: 'first/' })).map(({ key, value }) => [key, value.text]));
      return { received, sent: sent.map((one) => ({ ...one, waiting_text: first.get(`first/${one.request}`) ?? null })) };
    },
    accept: async ({ request }) => {
      const { room } = await this.#api.accept(request);
      await this.#refreshPeople();
      this.#emit({ type: 'requests' });
      return { room };
    },
    decline: async ({ request }) => {
      await this.#api.decline(request);
      this.#emit({ type: 'requests' });
      return null;
    },
    cancel: async ({ request }) => {
      const session = this.#need();
      await this.#api.cancel(request);
      await session.vault.write(session.vault.remove('meta', `first/${request}`));
      this.#emit({ type: 'requests' });
      return null;
    },
    invite: async () => {
      const { token, expires_ms } = await this.#api.invite();
      return { link: `${this.home.origin}/#/i/${token}`, expires_ms };
    },
    block: async ({ account }) => {
      await this.#api.block(account);
      await this.#refreshPeople();
      return null;
    },
    unblock: async ({ account }) => {
      await this.#api.unblock(account);
      await this.#refreshPeople();
      return null;
    },
    blocks: () => this.#api.blocks(),
    restrict: async ({ account }) => {
      await this.#api.restrict(account);
      await this.#refreshPeople();
      return null;
    },
    unrestrict: async ({ account }) => {
      await this.#api.unrestrict(account);
      await this.#refreshPeople();
      return null;
    },
    restricted: () => this.#api.restricted(),
    notices: () => this.#api.notices(),
    dismiss_notice: async ({ id }) => {
      await this.#api.dismiss(id);
      this.#emit({ type: 'notices' });
      return null;
    },
    appeal: async ({ measure, text }) => {
      await this.#api.appeal(measure, text);
      this.#emit({ type: 'standing' });
      return this.#refreshStanding();
    },

    create_group: async (body) => {
      const { room } = await this.#api.createGroup(body);
      await this.#refreshPeople();
      return { room };
    },
    edit_group: async ({ room, ...body }) => this.#changed(() => this.#api.editGroup(roomId(room), body)),
    set_group_photo: async ({ room, picture }) => this.#changed(() =>
      picture === null ? this.#api.removeGroupPhoto(roomId(room)) : this.#api.setGroupPhoto(roomId(room), bare(picture))),
    group_photo: async ({ room, version }) => bare(await this.#api.groupPhoto(roomId(room), version)),
    group_link_photo: async ({ token }) => bare(await this.#api.groupLinkPhoto(token)),
    invite_to_group: async ({ room, handle, account }) => {
      await this.#api.inviteToGroup(roomId(room), account === undefined ? { handle: handle ?? '' } : { account });
      this.#emit({ type: 'requests' });
      return null;
    },
    group_invitations: () => this.#api.groupInvitations(),
    accept_group: async ({ invitation }) => {
      const { room } = await this.#api.acceptGroup(invitation);
      await this.#refreshPeople();
      this.#emit({ type: 'requests' });
      return { room };
    },
    decline_group: async ({ invitation }) => {
      await this.#api.declineGroup(invitation);
      this.#emit({ type: 'requests' });
      return null;
    },
    take_back_group_invitation: async ({ invitation }) => {
      await this.#api.takeBackGroupInvitation(invitation);
      this.#emit({ type: 'requests' });
      return null;
    },
    leave_group: ({ room }) => this.#changed(() => this.#api.leaveGroup(roomId(room))),
    set_role: ({ room, account, role }) => this.#rosterChanged(room, () => this.#api.setRole(roomId(room), account, role)),
    remove_member: ({ room, account }) => this.#rosterChanged(room, () => this.#api.removeMember(roomId(room), account)),
    ban_member: ({ room, account }) => this.#rosterChanged(room, () => this.#api.ban(roomId(room), account)),
    unban_member: ({ room, account }) => this.#api.unban(roomId(room), account),
    group_bans: ({ room }) => this.#api.bans(roomId(room)),
    group_joiners: ({ room }) => this.#api.joiners(roomId(room)),
    group_links: ({ room }) => this.#api.groupLinks(roomId(room)),
    make_group_link: async ({ room, life_ms }) => {
      const { token, expires_ms } = await this.#api.makeGroupLink(roomId(room), life_ms === undefined ? {} : { life_ms });
      return { link: `${this.home.origin}/#/g/${token}`, expires_ms };
    },
    revoke_group_link: ({ room, link }) => this.#api.revokeGroupLink(roomId(room), link),
    look_at_group_link: ({ token }) => this.#api.lookAtGroupLink(token),
    join_by_group_link: async ({ token }) => {
      const answer = await this.#api.joinByGroupLink(token);
      await this.#refreshPeople();
      return answer;
    },

    chats: async () => {
      const session = this.#need();
      const { rooms, blocks } = await this.#people(session);
      const chats = (await Promise.all(rooms.map((room) => this.#chat(session, room, blocks)))).filter((chat) => chat !== null);
      return chats.sort((a, b) => Number(b.pinned) - Number(a.pinned) || (b.last?.at_ms ?? 0) - (a.last?.at_ms ?? 0));
    },
    thread: ({ room, ...where }) => this.#need().threads.page(roomId(room), where),
    send: (args) => this.#send(args),
    retry: (args) => this.#retry(args),
    cancel_message: async ({ room, id }) => {
      await this.#need().room(roomId(room)).takeBack(id);
      return null;
    },
    file: async ({ room, id, part }) => this.#need().files.file({ room: roomId(room), id, part }),
    play: async ({ room, id, part }) => this.#need().files.play({ room: roomId(room), id, part }),
    stop_playing: async ({ url }) => {
      const why = await this.#need().files.stopPlaying(url);
      return { why: why && why.toJSON() };
    },
    edit: (args) => this.#words(args.room).edit(args),
    delete_message: (args) => this.#words(args.room).delete(args),
    react: (args) => this.#words(args.room).react(args),
    forward: (args) => this.#words(args.room).forward({ ...args, rooms: args.rooms.map(roomId) }),
    versions: (args) => this.#words(args.room).versions(args),
    mark_read: async ({ room }) => {
      const session = this.#need();
      const read = await session.room(roomId(room)).run(() => session.threads.markRead(room));
      if (read) {
        this.#emit({ type: 'chats' });
        if (read.counting) this.#emit({ type: 'thread', room });
        this.#pump(session, room);
      }
      return null;
    },
    search: ({ room, text, before }) => this.#need().threads.search(roomId(room), text, before ?? null),
    typing: async ({ room }) => {
      const session = this.#need();
      if (session.leading) session.room(roomId(room)).typing();
      else this.home.tell({ say: 'typing', room } satisfies TabMessage);
      return null;
    },
    set_timer: async ({ room, seconds }) => {
      const session = this.#need();
      if (!TIMES.some((one) => one === seconds)) throw new Problem('invalid', 'Messages can’t disappear after that time.');
      if (!maySet(await session.directory.roster(roomId(room)), session.self.account)) throw new Problem('forbidden', 'Only admins of the group can change this.');
      const record: OutboxRecord = { ...(await this.#outgoing(session, room, '', null)), timer: seconds };
      await session.room(room).run(async () => {
        // The last wish counts, of those that have not left.
        const before = (await session.room(room).outbox()).filter(({ timer, sealed }) => timer !== undefined && sealed === null);
        await session.vault.write(...before.map((one) => session.vault.remove('outbox', outboxKey(one))), await session.vault.put('outbox', outboxKey(record), record));
      });
      this.#emit({ type: 'thread', room });
      this.#pump(session, room);
      return null;
    },
    keep_chat: async ({ room, ...change }) => {
      const { keeping, threads } = this.#need();
      await keeping.set(roomId(room), await threads.thread(room), change);
      if (change.muted !== undefined) this.#background(() => this.#push().keepQuiet());
      this.#emit({ type: 'chats' });
      return null;
    },
    set_draft: async ({ room, text }) => {
      if (await this.#need().keeping.setDraft(roomId(room), text)) this.#emit({ type: 'chats' });
      return null;
    },
    delete_thread: async ({ room }) => {
      const session = this.#need();
      await session.keeping.forget(roomId(room));
      await session.room(roomId(room)).run(() => session.threads.deleteThread(room));
      this.#background(() => this.#push().keepQuiet()); // it is not muted any more
      this.#emit({ type: 'thread', room });
      this.#emit({ type: 'chats' });
      this.#background(() => session.files.sweep());
      return null;
    },

    report_preview: ({ account, room, message }) => this.#need().threads.preview(account, room, message),
    report: async ({ account, room, message, category, minor_involved, note }) => {
      const { threads, files } = this.#need();
      const rows = room === null ? [] : await threads.selection(room, account, message);
      const items = rows.map(reportItem);
      const report = { account, room, category, minor_involved, note, items };
      const { missing, ...answer } = await this.#api.report({ ...report, id: this.#reportId(JSON.stringify(report)) });
      await files.handIns.keep(answer.report, rows, missing ?? []);
      this.#reporting = null;
      this.#background(() => files.handIns.run());
      this.#emit({ type: 'reports' });
      return answer;
    },
    reports: () => this.#api.reports<SentReport>(),
  };

  async #changed(work: () => Promise<null>): Promise<null> {
    await work();
    await this.#refreshPeople();
    return null;
  }

  /** Who belongs to a group changed by this person's hand: her device need not wait for the mail that says so. */
  async #rosterChanged(room: string, work: () => Promise<null>): Promise<null> {
    await this.#changed(work);
    const session = this.#need();
    if (session.leading) session.room(room).reconcileSoon();
    return null;
  }

  /** What is sent again after a lost answer keeps its id, so that it is one report. */
  #reportId(report: string): string {
    if (this.#reporting?.report !== report) this.#reporting = { report, id: crypto.randomUUID() };
    return this.#reporting.id;
  }

  async #safetyNumber(account: string): Promise<SafetyNumber> {
    const { directory, account: own, self, vault } = this.#need();
    const { aik } = await directory.keys(account, true);
    const mine = own.aikPublic;
    if (!aik || !mine) throw new Problem('unverified', 'There is no safety number yet. It comes with their first device.');
    const [one, other] = [fingerprint(mine, labelOf(self.account)), fingerprint(aik, labelOf(account))];
    const verified = await vault.get<VerifiedPerson>('meta', `verified/${account}`);
    return {
      groups: safetyNumber(one, other), code: toBase64(scannable(one, other)),
      verified_ms: verified && equal(verified.aik, aik) ? verified.atMs : null,
    };
  }

  async #makeIdentity(reset: boolean): Promise<{ me: Me; recovery_code: string }> {
    const session = this.#need();
    const recovery_code = await session.account.makeIdentity(reset);
    await this.#register(session);
    this.#setPhase('ready');
    return { me: await this.#me(), recovery_code };
  }

  async #unlockIdentity(code: string): Promise<{ me: Me }> {
    const session = this.#need();
    await session.account.unlockIdentity(code);
    await this.#register(session);
    this.#setPhase('ready');
    return { me: await this.#me() };
  }
}

const lastKind = (kind: string): LastKind => (kind === 'unsupported' || kind === 'deleted' || kind === 'reaction' ? kind : 'text');

function accountId(text: string): string {
  if (!isUuid(text)) throw new Problem('not_found', 'There is no such person.');
  return text;
}

/** Who left a group is not given its photo any more. */
const groupFacts = (group: NonNullable<RoomAnswer['group']>, left: boolean): GroupFacts => ({
  ...group, left, photo: left ? null : (group.photo ?? null),
});

function roomId(text: string): string {
  if (!isUuid(text)) throw new Problem('not_found', 'There is no such chat.');
  return text;
}

function replyId(id: string | undefined): string | null {
  return id !== undefined && /^[0-9a-f]{64}$/.test(id) ? id : null;
}

