/**
 * One room on this device: its group, its stream of mail in `room_pos` order, and what waits to be sent.
 *
 * Everything happens one after another under the room's lock. What came from the stream is stored before it is
 * acknowledged; what leaves is stored before it is sent and sent again byte for byte until it is answered.
 */
import { equal, fromBase64, Malformed, toHex, type Bytes } from '../protocol/bytes';
import { decodeContent, encodeContent, EXT_TREE_HEAD, messageId, type Content, type Head } from '../protocol/content';
import type { Accepted, ClientFrame, HubRecord, Mail, Refused } from '../protocol/frames';
import { aadOf, contradicts, frankingTag } from '../protocol/franking';
import { timed, timerOf } from '../protocol/timer';
import { accountUri, deviceUri, parseUri, roomUri, uuidBytes } from '../protocol/uris';
import type { Api, PackagesAnswer } from './api';
import type { Files } from './attachments/files';
import { needsUpload } from './attachments/upload';
import { changing, compose, sentWrites, settledLocally } from './compose';
import type { Controls, Happening } from './contract';
import { DirectoryRefused, isRefusal, type Directory } from './directory';
import { Problem } from './errors';
import { Folding } from './folding';
import type { Home, Write } from './home';
import { stirred, type Hushes } from './hushes';
import type { KeyLog } from './key-log';
import type { Link } from './link';
import {
  inspect, isActive, members, MlsError, ownGeneration, ownLeaf, restore, serialise, wipeSpent, epochOf, groupIdOf,
  type Commit, type Group, type Judge, type Member, type MlsEngine,
} from './mls';
import type { KeyPackages } from './packages';
import { contextOf, frankOf, info, judge, proven, rowOf, tombstone, tooFar, type Genuine } from './receive';
import {
  messageKey, newThread, outboxKey, padded, type FrankRecord, type GroupRecord, type MessageRecord, type OutboxRecord, type Roster, type SaidOnce, type Self,
  type Thread,
} from './records';
import { Unsealable, type Vault } from './vault';
import { counted, maySet, said, vanish } from './vanishing';
import { Whispers } from './whispers';

export interface RoomContext {
  home: Home;
  api: Api;
  vault: Vault;
  directory: Directory;
  log: KeyLog;
  engine: MlsEngine;
  packages: KeyPackages;
  link: Link;
  files: Files;
  controls(): Controls;
  hushes: Hushes;
  self: Self;
  emit(happening: Happening): void;
}

/** An ephemeral message; its turn comes after everything up to `afterPos`. */
interface Whisper { afterPos: number; body: Bytes; untilMs: number }
type Item = { pos: number; mail: Mail } | { pos: number; accepted: Accepted };

/** How long a missing room_pos is waited for before the hole is taken for final. */
const HOLE_MS = 5_000;
/** A room_pos further ahead than this is not believed: nothing signs it, and the stream has no hole but a restore's. */
const FARTHEST_AHEAD = 1_000_000_000;
/** How far the server's time may be ahead of this device's clock before the thread says so. */
const CLOCK_AHEAD_MS = 10 * 60 * 1000;
/** Ephemeral messages that wait for their turn, and for how long: typing is no news after that. */
const MOST_HELD = 64;
const HELD_MS = 10_000;
const RETRY_MS = 3_000;
const REFUSED_RETRY_MS = 30_000;
/** An empty commit renews our keys after this many messages in one epoch, or this much time. */
const ROTATE_AFTER_MESSAGES = 1_000;
const ROTATE_AFTER_MS = 7 * 24 * 3600 * 1000;
/** Key packages that one question may ask for. */
const MOST_CLAIMED = 60;
/** Devices of a room reconcile at different moments, so that they seldom race for one epoch. */
const JITTER_MS = 1_200;

const foreignEdit = (who: string): string => `${who} tried to change a message that is not theirs.`;
const FOREIGN_OWN = 'Another device of yours tried to change a message that is not yours.';
/** How long it is not said again of the same one. */
const SAID_ONCE_MS = 24 * 3600 * 1000;
const BROKEN = 'This device cannot follow the chat any more. Sign out and in again here to join anew.';
const UNVERIFIED = 'The server shows keys for this chat that do not check out, so nothing is changed or sent with them.';
const EQUIVOCATION = 'The server signed two different messages for one place in this chat. Kith kept both signatures as evidence.';
const RESTORED = 'The server was put back to an older copy and no longer knows how this chat went on. Nothing can be sent here any more: begin a new chat.';
const STRANGER = 'Somebody tried to add a device here that none of you vouched for. It was refused, and this device stopped following the chat. Sign out and in again here to join anew.';
const REMOVED = 'This device was taken out of the chat. If that was not you, sign out and in again here to join anew.';
const NOT_FOLLOWED = 'The server sent a change to this chat that does not check out, and it was not followed. If messages stop arriving, sign out and in again here to join anew.';
const HEALED = 'This device follows the chat again.';
const AHEAD = 'The server dates messages here ahead of this device’s clock. One of the two is wrong.';
const UNCONFIRMED = 'The server’s answer to a message of yours does not check out, so it is not shown as sent. It may have arrived all the same.';
const OWN_DEVICE = 'Another device of yours joined this chat.';
const THEIR_DEVICE = 'They joined this chat on another device.';
const UNLISTED = 'A device was added that its account does not list. Nothing is sent until it is removed.';

/** "Not now": the server cannot be reached or wants us to wait. Never a verdict. */
const NOT_NOW = new Set(['offline', 'limited', 'read_only', 'server']);

export class Room {
  #tail: Promise<unknown> = Promise.resolve();
  readonly #waiting = new Map<number, Item>();
  #inFlight: Bytes | null = null;
  #cached: { raw: Bytes; record: GroupRecord; group: Group | null } | null = null;
  #cancelHole: (() => void) | null = null;
  #cancelRetry: (() => void) | null = null;
  #notBefore = 0;
  #lonely = false;
  /** Leaves were to be brought in line while something was under way: then right after it. */
  #owed = false;
  /** Word of a delivery that came before what it is about: the answer may wait for mail in front of it, or for a key. */
  #deliveredEarly = 0;
  #held: Whisper[] = [];
  readonly #whispers: Whispers;
  #warned = false;
  #stopped = false;
  readonly #uri: string;

  constructor(private readonly context: RoomContext, readonly id: string) {
    this.#uri = roomUri(context.self.server, id);
    this.#whispers = new Whispers(context, id, this.#uri, context.self.account);
  }

  /** One thing at a time on this room, also across tabs. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#tail.then(() => this.context.home.locked(`kith:group:${this.id}`, work));
    this.#tail = mine.catch(() => undefined);
    return mine;
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelHole?.();
    this.#cancelRetry?.();
    this.#waiting.clear();
    this.#inFlight = null;
  }

  /** The connection is gone: what was unanswered is sent again at the next one, and unacknowledged mail comes again. */
  disconnected(): void {
    this.#inFlight = null;
    this.#cancelHole?.();
    this.#cancelHole = null;
    this.#waiting.clear();
    this.#held = [];
  }

  // ---- records ----------------------------------------------------------------------------------------------------

  async thread(): Promise<Thread> {
    return (await this.context.vault.get<Thread>('meta', `thread/${this.id}`)) ?? newThread();
  }

  #putThread(thread: Thread): Promise<Write> {
    return this.context.vault.put('meta', `thread/${this.id}`, thread);
  }

  async #load(): Promise<{ record: GroupRecord; group: Group | null } | null> {
    const raw = await this.context.vault.raw('groups', this.id);
    if (raw === null) return null;
    if (this.#cached && equal(this.#cached.raw, raw)) return this.#cached;
    const record = await this.context.vault.opened<GroupRecord>('groups', this.id, raw);
    const tree = await this.context.vault.get<Bytes>('trees', this.id);
    const group = record.ratchets && tree ? restore(tree, record.ratchets) : null;
    this.#cached = { raw, record, group };
    return this.#cached;
  }

  /** Changes that store the group as it is now. The tree is written only when it changed. */
  async #store(record: GroupRecord, group: Group | null, treeToo: boolean): Promise<Write[]> {
    const { vault } = this.context;
    const bytes = group && serialise(group);
    const next: GroupRecord = { ...record, ratchets: bytes?.ratchets ?? null, counter: record.counter + 1 };
    const writes = [await vault.put('groups', this.id, next)];
    if (treeToo && bytes) writes.push(await vault.put('trees', this.id, bytes.tree));
    this.#cached = { raw: writes[0]!.value!, record: next, group };
    return writes;
  }

  async hasGroup(): Promise<boolean> {
    const loaded = await this.#load();
    return loaded?.group != null && loaded.record.broken === null && isActive(loaded.group);
  }

  // ---- the stream, in room_pos order ------------------------------------------------------------------------------

  mail(mail: Mail): void {
    this.#take({ pos: mail.roomPos, mail });
  }

  accepted(accepted: Accepted): void {
    this.#take({ pos: accepted.roomPos, accepted });
  }

  #take(item: Item): void {
    this.#waiting.set(item.pos, item);
    this.#later(() => this.#drain());
  }

  /** Runs in turn; what the server does not want or cannot tell now is asked again, anything else is a bug and is seen. */
  #later(work: () => Promise<void>): void {
    if (this.#stopped) return;
    this.run(work).catch((error: unknown) => {
      if (!(error instanceof Problem)) this.#report(error);
      else this.#retry(error.more.retry_after_ms ?? (NOT_NOW.has(error.code) ? RETRY_MS : REFUSED_RETRY_MS));
    });
  }

  /** The server said no to what the next message needs: that message failed, and may be tried again by the person. */
  async #failNext(code: string): Promise<void> {
    const { vault, emit } = this.context;
    const next = (await this.outbox()).find((record) => record.stage === 'plain');
    if (!next) return;
    await vault.write(await vault.put('outbox', outboxKey(next), { ...next, stage: 'failed', failure: code } satisfies OutboxRecord));
    emit({ type: 'thread', room: this.id });
  }

  #report(error: unknown): void {
    if (error instanceof Unsealable) return; // locked meanwhile
    if (!isRefusal(error)) return console.error('room', this.id, error);
    if (this.#warned) return;
    this.#warned = true;
    this.note(`${UNVERIFIED} (${(error as Error).message})`).catch((again: unknown) => console.error('room', this.id, again));
  }

  #retry(ms: number): void {
    if (this.#stopped) return;
    this.#cancelRetry?.();
    this.#cancelRetry = this.context.home.after(ms, () => {
      this.#later(async () => {
        await this.#drain();
        await this.#pump();
      });
    });
  }

  async #drain(): Promise<void> {
    for (;;) {
      const item = await this.#nextItem();
      if (item === null) break;
      await ('mail' in item ? this.#processMail(item.mail) : this.#processAccepted(item.accepted));
      this.#waiting.delete(item.pos);
      await this.#hearHeld();
    }
    await this.#hearHeld();
    if (this.#deliveredEarly > 0) await this.#delivered(this.#deliveredEarly);
    this.#watchForHole();
    await this.#pump();
  }

  /** Typing or a receipt. In the order of the stream: durable messages and these share the keys of one sender. */
  ephemeral(afterPos: number, body: Bytes): void {
    if (this.#held.length >= MOST_HELD) return;
    this.#held.push({ afterPos, body, untilMs: this.context.home.now() + HELD_MS });
    this.#later(() => this.#drain());
  }

  async #hearHeld(): Promise<void> {
    if (this.#held.length === 0) return;
    const { pos } = await this.thread();
    for (let first = this.#held[0]; first !== undefined && (first.afterPos <= pos || first.untilMs < this.context.home.now()); first = this.#held[0]) {
      this.#held.shift();
      if (first.afterPos <= pos) await this.#hear(first.body);
    }
  }

  /** Opened, its keys gone for good, then told; what carries authenticated data is no ephemeral message and is left alone. */
  async #hear(body: Bytes): Promise<void> {
    const { engine, vault } = this.context;
    const loaded = await this.#load();
    if (!loaded?.group || loaded.record.broken !== null) return;
    let opened;
    try {
      opened = await engine.process(loaded.group, body, this.#judge('strict'));
    } catch (error) {
      if (error instanceof MlsError) return;
      throw error;
    }
    if (opened.kind !== 'application' || opened.aad.length > 0) return;
    await vault.write(...(await this.#store(loaded.record, opened.next, false)));
    wipeSpent(opened.spent);
    await this.#whispers.hear(opened);
  }

  async #nextItem(): Promise<Item | null> {
    const { pos } = await this.thread();
    for (const item of [...this.#waiting.values()].sort((a, b) => a.pos - b.pos)) {
      if (item.pos <= pos + 1) return item; // in turn, seen before, or a hole that filled late
      if (item.pos > pos + FARTHEST_AHEAD) return item; // an impossible place is as good as the next one
      if ('mail' in item && item.mail.mail === 'welcome' && !(await this.hasGroup())) return item;
      return null;
    }
    return null;
  }

  #watchForHole(): void {
    if (this.#waiting.size === 0 || this.#cancelHole) return;
    this.#cancelHole = this.context.home.after(HOLE_MS, () => {
      this.#cancelHole = null;
      this.#later(() => this.#skipHole());
    });
  }

  /** What the server did not deliver by now it will not deliver: go on, and let the thread show the gap. */
  async #skipHole(): Promise<void> {
    const thread = await this.thread();
    const first = Math.min(...this.#waiting.keys());
    if (!Number.isFinite(first) || first <= thread.pos + 1) return;
    // While an answer is out, a missing place may be its own; what is before an answer that came stays missing.
    if (this.#inFlight !== null && !('accepted' in (this.#waiting.get(first) ?? {}))) return;
    await this.context.vault.write(await this.#putThread({ ...thread, pos: first - 1 }));
    await this.#drain();
  }

  /** room_pos only sorts: whether something is new is for MLS to say, whose keys serve once. */
  async #processMail(mail: Mail): Promise<void> {
    const thread = await this.thread();
    if (mail.mail === 'welcome') await this.#welcome(mail, thread);
    else if (mail.mail === 'message') await this.#message(mail, thread);
    else if (mail.mail === 'commit') await this.#commitMail(mail, thread);
    this.context.link.ack(mail.mailId);
  }

  /** An application message: opened, checked, stored with its proof; or a tombstone, and nothing of it kept. */
  async #message(mail: Mail, thread: Thread): Promise<void> {
    const { home, engine } = this.context;
    const loaded = await this.#load();
    const atMs = mail.hub?.timestamp ?? home.now();
    // What was read before does not open again, and stands in the thread already.
    const closed = async (): Promise<void> => {
      if (mail.roomPos > thread.pos) await this.#bury(mail.roomPos, atMs, thread, []);
    };
    if (!loaded?.group) return closed();
    let opened;
    try {
      opened = await engine.process(loaded.group, mail.body, this.#judge('strict'));
    } catch (error) {
      if (!(error instanceof MlsError)) throw error;
      return closed();
    }
    if (opened.kind !== 'application') return closed();
    const verdict = await this.#verdict({ ...opened, hub: mail.hub, roomUri: this.#uri }, thread);
    const state = await this.#store(loaded.record, opened.next, false);
    if (verdict.ok) await this.#keep(verdict.message, mail.roomPos, { ...thread, pos: past(mail.roomPos, thread) }, state);
    else {
      const evidence = verdict.signed ? await this.#equivocation(verdict.signed, mail.roomPos, thread) : [];
      await this.#bury(mail.roomPos, atMs, thread, [...state, ...evidence], parseUri(opened.sender.account, 'u').id);
    }
    wipeSpent(opened.spent);
  }

  async #verdict(arrival: Parameters<typeof judge>[0], thread: Thread): ReturnType<typeof judge> {
    const { directory } = this.context;
    const place = { seq: thread.seq, timestampMs: thread.timestampMs };
    const verdict = await judge(arrival, place, (id) => directory.hubKey(id));
    // The hub may have a new signing key that this device has not seen yet.
    return verdict.ok || verdict.flaw !== 'frank' ? verdict : judge(arrival, place, (id) => this.#freshHubKey(id));
  }

  async #freshHubKey(id: number): Promise<Bytes | null> {
    try {
      return await this.context.directory.freshHubKey(id);
    } catch (error) {
      if (isRefusal(error)) return null;
      throw error;
    }
  }

  /** Two different messages signed for one place: kept, because it proves that the server cheats, and said aloud. */
  async #equivocation(signed: FrankRecord, pos: number, thread: Thread): Promise<Write[]> {
    const { vault, home } = this.context;
    const there = await vault.range<MessageRecord>('messages', { prefix: messageKey(this.id, signed.roomSeq, 0).slice(0, -padded(0).length) });
    const other = there.find(({ value }) => value.frank && contradicts(frankOf(value.frank), frankOf(signed)))?.value.frank;
    if (!other) return [];
    return [
      await vault.put('meta', `evidence/${this.id}/${padded(signed.roomSeq)}`, { one: other, two: signed }),
      await this.#infoRow(EQUIVOCATION, pos, Math.max(thread.seq, thread.headSeq), home.now()),
    ];
  }

  async #bury(pos: number, atMs: number, thread: Thread, state: Write[], sender = ''): Promise<void> {
    await this.#writeRow(tombstone(pos, atMs, sender), { ...thread, pos: past(pos, thread) }, state);
  }

  /** Stores a genuine message, or what it does to an earlier one, in one transaction with everything that belongs to it. */
  async #keep(message: Genuine, pos: number, thread: Thread, state: Write[]): Promise<void> {
    const { self, hushes } = this.context;
    const { row: made, timer } = await this.#timed(rowOf(message, pos, self.account), message.content, thread);
    const counts = !made.mine && made.kind !== 'effect' && made.kind !== 'info';
    const hushed = hushes.has(made.sender);
    const row: MessageRecord = counts && hushed ? { ...made, quiet: true } : made;
    const next: Thread = {
      ...thread, ...timer, seq: message.frank.roomSeq, timestampMs: this.#floor(row.atMs, thread), lastId: message.id,
      ahead: row.atMs > this.context.home.now() + CLOCK_AHEAD_MS,
      baseSeq: thread.baseSeq === 0 ? message.frank.roomSeq : thread.baseSeq,
      headSeq: Math.max(thread.headSeq, message.frank.roomSeq), deleted: thread.deleted && row.kind === 'effect',
      unread: thread.unread + Number(counts), ...(row.quiet ? { quiet: (thread.quiet ?? 0) + 1 } : {}),
      answered: thread.answered === true || (row.mine && row.kind !== 'effect'),
      ...(row.mine || row.kind === 'effect' ? {} : { theirs: { id: message.id, seq: message.frank.roomSeq } }),
    };
    const told = next.ahead && !thread.ahead ? [await this.#infoRow(AHEAD, pos, message.frank.roomSeq, row.atMs)] : [];
    await this.#writeRow(row, next, [...state, ...told]);
    if (!row.mine) this.#whispers.seen();
    // What somebody new sends stays closed until it is wanted, and in a group anybody may be new.
    if (next.answered && !hushed && !(await this.context.directory.roster(this.id)).roles) await this.context.files.arrived(this.id, row);
    await this.context.log.hear(message.content.extensions.get(EXT_TREE_HEAD));
  }

  /** Times do not run backwards; one of the future must not make the honest ones after it look as if they did. */
  #floor(atMs: number, thread: Thread): number {
    return atMs > this.context.home.now() ? thread.timestampMs : Math.max(thread.timestampMs, atMs);
  }

  /** A message that sets the timer becomes a line of the thread, when its sender may set it; the last one counts. */
  async #timed(row: MessageRecord, content: Content, thread: Thread): Promise<{ row: MessageRecord; timer: Pick<Thread, 'timer'> }> {
    const seconds = timerOf(content);
    if (seconds === null || row.seq === null) return { row, timer: {} };
    const roster = await this.context.directory.roster(this.id);
    if (!maySet(roster, row.sender)) return { row: { ...row, kind: 'effect' }, timer: {} };
    const text = said(row.mine ? 'You' : roster.roles ? await this.#called(row.sender) : 'They', seconds);
    return { row: { ...row, kind: 'info', text }, timer: row.seq > (thread.timer?.seq ?? 0) ? { timer: { seconds, seq: row.seq } } : {} };
  }

  /** Messages whose time is over go. */
  async vanish(due: readonly { reminder: string; key: string }[]): Promise<void> {
    await this.run(async () => vanish(this.context.home, this.context.vault, this.id, due, await this.thread()));
    this.context.emit({ type: 'thread', room: this.id });
    this.context.emit({ type: 'chats' });
  }

  /** Stores a row, with all that it changes or that waited for it. Of others' messages only their own people change anything. */
  async #writeRow(made: MessageRecord, thread: Thread, state: Write[]): Promise<void> {
    const { vault, emit, home } = this.context;
    const key = messageKey(this.id, made.seq ?? Math.max(thread.seq, thread.headSeq), made.pos);
    // What was written here counts from now; so do changes, which nobody reads by themselves.
    const from = made.kind !== 'effect' && made.atMs <= home.now() + CLOCK_AHEAD_MS ? made.atMs : home.now();
    const { row, writes } = made.mine || made.kind === 'effect' ? await counted(vault, key, made, from) : { row: made, writes: [] };
    const folding = new Folding(vault, this.id, home.now(), thread);
    await folding.add(key, row);
    const told = (await Promise.all([...folding.foreign].map((who) => this.#foreign(who, row)))).flat();
    const after = stirred(thread, folding.thread, this.context.hushes.has(row.sender));
    await vault.write(...state, ...writes, ...(await folding.writes()), ...told, await this.#putThread(after));
    emit({ type: 'thread', room: this.id });
    emit({ type: 'chats' });
  }

  /** Who tried to change what is not theirs, once a day: nobody fills a thread with such lines. */
  async #foreign(who: string, { pos, seq, atMs }: MessageRecord): Promise<Write[]> {
    const { vault, home, self } = this.context;
    const place = `foreign/${this.id}/${who}`;
    const before = await vault.get<SaidOnce>('meta', place);
    if (before !== null && before.untilMs > home.now()) return [];
    const text = who === self.account ? FOREIGN_OWN : foreignEdit(await this.#called(who));
    const once: SaidOnce = { untilMs: home.now() + SAID_ONCE_MS };
    return [await vault.put('meta', place, once), await this.#infoRow(text, pos, seq ?? 0, atMs)];
  }

  async #infoRow(text: string, pos: number, seq: number, atMs: number): Promise<Write> {
    const salt = toHex(this.context.home.random(4));
    return this.context.vault.put('messages', `${messageKey(this.id, seq, pos)}-${salt}`, info(pos, atMs, text, salt));
  }

  /** Not in the group any more: nothing is sent and nothing can be read from now on; a new Welcome would heal it. */
  async left(why: string): Promise<void> {
    await this.run(async () => {
      const loaded = await this.#load();
      if (loaded && loaded.record.broken === null) await this.#break({ ...loaded.record, pending: null }, loaded.group, await this.thread(), why, 'removed');
    });
  }

  /** A line in the thread that the engine says. */
  async note(text: string): Promise<void> {
    await this.run(async () => {
      const thread = await this.thread();
      await this.context.vault.write(await this.#infoRow(text, thread.pos, Math.max(thread.seq, thread.headSeq), this.context.home.now()));
    });
    this.context.emit({ type: 'thread', room: this.id });
  }

  // ---- handshakes -------------------------------------------------------------------------------------------------

  /**
   * strict: a sender must be listed now, or in a group have been while she was in it. lenient: a leaf may have been unlisted since; it stays in quarantine (nothing
   * is sent while it is there) until a commit removes it. Another key than listed, or a foreign account, never passes.
   */
  #judge(mode: 'strict' | 'lenient'): Judge {
    return async (who, key) => {
      const { directory } = this.context;
      try {
        const standing = await directory.standing(await directory.roster(this.id), who, key);
        return standing === 'listed' || standing === 'former' || (mode === 'lenient' && standing === 'unlisted');
      } catch (error) {
        if (isRefusal(error)) return false;
        throw error;
      }
    };
  }

  async #commitMail(mail: Mail, thread: Thread): Promise<void> {
    const { engine, vault, emit } = this.context;
    const loaded = await this.#load();
    const here = { ...thread, pos: past(mail.roomPos, thread) };
    const again = mail.roomPos <= thread.pos;
    if (!loaded?.group || loaded.record.broken !== null) return vault.write(await this.#putThread(here));
    let done;
    let stranger = false;
    const judgeLeaf: Judge = async (who, key) => {
      const fine = await this.#judge('lenient')(who, key);
      if (!fine) stranger = true;
      return fine;
    };
    try {
      done = await engine.process(loaded.group, mail.body, judgeLeaf);
    } catch (error) {
      if (!(error instanceof MlsError)) throw error;
      if (stranger) return this.#break(loaded.record, loaded.group, here, STRANGER);
      // What led to a later epoch was never delivered. Anything else is no commit of a member to the present one.
      return error.fault === 'WrongEpoch' ? this.#break(loaded.record, loaded.group, here, BROKEN) : this.#notFollowed(here, again);
    }
    if (done.kind !== 'commit') return this.#notFollowed(here, again);
    // Whoever won the epoch, ours of that epoch lost: it is made again on top of this one when still needed.
    const lost = loaded.record.pending !== null;
    const record: GroupRecord = { ...loaded.record, pending: null, broken: done.removedMe ? 'removed' : null };
    const notes = done.removedMe ? await this.#removedNotes(here) : await this.#rosterNotes(members(loaded.group), members(done.next), here);
    await vault.write(...(await this.#store(record, done.next, true)), ...notes, await this.#putThread(here));
    this.#inFlight = null;
    this.#notBefore = 0;
    wipeSpent(done.spent);
    if (lost && !done.removedMe) this.reconcileSoon(); // what ours was for may still be to do
    emit({ type: 'thread', room: this.id });
  }

  /** Nothing of it touches the group, or anybody could end a chat. */
  async #notFollowed(thread: Thread, again: boolean): Promise<void> {
    const { vault, home, emit } = this.context;
    const note = again ? [] : [await this.#infoRow(NOT_FOLLOWED, thread.pos, Math.max(thread.seq, thread.headSeq), home.now())];
    await vault.write(...note, await this.#putThread(thread));
    emit({ type: 'thread', room: this.id });
  }

  /** In a group the roster says it better (`left`). */
  async #removedNotes(thread: Thread): Promise<Write[]> {
    const { directory, home } = this.context;
    if ((await directory.roster(this.id)).roles) return [];
    return [await this.#infoRow(REMOVED, thread.pos, Math.max(thread.seq, thread.headSeq), home.now())];
  }

  /** What changed among the leaves, said in the thread. */
  async #rosterNotes(before: readonly Member[], after: readonly Member[], thread: Thread): Promise<Write[]> {
    const { directory, home, self } = this.context;
    const roster = await directory.roster(this.id);
    const seq = Math.max(thread.seq, thread.headSeq);
    const lines: string[] = [];
    for (const member of newcomers(before, after)) {
      if ((await directory.standing(roster, member, member.key)) === 'unlisted') lines.push(UNLISTED);
      else if (!roster.roles) lines.push(accountOf(member) === self.account ? OWN_DEVICE : THEIR_DEVICE);
      else if (accountOf(member) === self.account && before.length > 0) lines.push(OWN_DEVICE);
    }
    if (roster.roles) {
      const here = [...accountsOf(before)];
      const now = [...accountsOf(after)];
      for (const one of now) if (one !== self.account && !here.includes(one)) lines.push(`${await this.#called(one)} joined.`);
      for (const one of here) if (!now.includes(one)) lines.push(`${await this.#called(one)} is no longer in this group.`);
    }
    return Promise.all(lines.map((text) => this.#infoRow(text, thread.pos, seq, home.now())));
  }

  async #called(account: string): Promise<string> {
    return (await this.context.directory.nameOf(account)) ?? 'Somebody';
  }

  async #break(record: GroupRecord, group: Group | null, thread: Thread, why: string, broken = 'fork'): Promise<void> {
    const { vault, home, emit } = this.context;
    const note = await this.#infoRow(why, thread.pos, Math.max(thread.seq, thread.headSeq), home.now());
    const writes = await this.#store({ ...record, pending: null, broken }, group, false);
    await vault.write(...writes, note, await this.#putThread(thread));
    emit({ type: 'thread', room: this.id });
    emit({ type: 'chats' });
  }

  async #welcome(mail: Mail, thread: Thread): Promise<void> {
    const { vault, packages, emit, home } = this.context;
    if (await this.hasGroup()) return;
    const joined = await this.#join(mail.body);
    if (joined === null) {
      const note = await this.#infoRow('This device could not join the chat.', thread.pos, Math.max(thread.seq, thread.headSeq), home.now());
      return vault.write(note, await this.#putThread({ ...thread, pos: past(mail.roomPos, thread) }));
    }
    const record: GroupRecord = { ratchets: null, counter: this.#cached?.record.counter ?? 0, pending: null, broken: null, rotatedMs: home.now() };
    const healed = this.#cached?.record.broken != null
      ? [await this.#infoRow(HEALED, thread.pos, Math.max(thread.seq, thread.headSeq), home.now())] : [];
    const writes = [...healed, ...(await this.#store(record, joined.group, true))];
    await vault.write(...writes, ...packages.used(joined.secret), await this.#putThread({ ...thread, pos: Math.max(thread.pos, mail.roomPos) }));
    this.#inFlight = null;
    for (const pos of this.#waiting.keys()) if (pos < mail.roomPos) this.#waiting.delete(pos);
    emit({ type: 'chats' });
  }

  async #join(body: Bytes): Promise<{ group: Group; secret: Awaited<ReturnType<KeyPackages['secret']>> & object } | null> {
    const { engine, packages } = this.context;
    try {
      const envelope = inspect(body);
      const secret = envelope.kind === 'welcome' ? await packages.secret(envelope.refs) : null;
      if (!secret) return null;
      const group = await engine.join(body, secret, this.#judge('lenient'));
      return equal(groupIdOf(group), uuidBytes(this.id)) && (await this.#isNewer(group)) ? { group, secret } : null;
    } catch (error) {
      if (error instanceof MlsError) return null;
      throw error;
    }
  }

  /** An old Welcome to a last-resort package opens again: joining it would use the keys of a past epoch twice. */
  async #isNewer(group: Group): Promise<boolean> {
    const before = (await this.#load())?.group ?? null;
    return before === null || epochOf(group) > epochOf(before);
  }

  async #processAccepted(accepted: Accepted): Promise<void> {
    const loaded = await this.#load();
    const mine = this.#inFlight !== null && equal(this.#inFlight, accepted.key);
    if (loaded?.record.pending && equal(loaded.record.pending.key, accepted.key)) await this.#adopt(loaded.record, accepted);
    else await this.#sent(accepted);
    if (mine) this.#inFlight = null;
  }

  /** Our commit won its epoch: only now it becomes our state. */
  async #adopt(record: GroupRecord, accepted: Accepted): Promise<void> {
    const { vault, emit, home } = this.context;
    const pending = record.pending!;
    const before = this.#cached?.group ?? null;
    const group = restore(pending.nextTree, pending.nextRatchets);
    const thread = await this.thread();
    const here = { ...thread, pos: past(accepted.roomPos, thread) };
    const notes = await this.#rosterNotes(members(before ?? group), members(group), here);
    const writes = await this.#store({ ...record, pending: null, broken: null, rotatedMs: home.now() }, group, true);
    await vault.write(...writes, ...notes, await this.#putThread(here));
    if (before) wipeSpent(Object.values(before.state.keySchedule as unknown as Record<string, Uint8Array>));
    emit({ type: 'thread', room: this.id });
    emit({ type: 'chats' });
  }

  /** Our message was accepted: it moves from the outbox to the thread, with the same proof that others get. */
  async #sent(accepted: Accepted): Promise<void> {
    const { vault, self } = this.context;
    const thread = await this.thread();
    const here = { ...thread, pos: past(accepted.roomPos, thread) };
    const record = (await this.outbox()).find((one) => one.sealed && equal(one.sealed.key, accepted.key));
    if (!record?.sealed) return vault.write(await this.#putThread(here));
    const sender = { account: accountUri(self.server, self.account), device: deviceUri(self.server, self.device) };
    const arrival = { sender, epoch: record.sealed.epoch, roomUri: this.#uri };
    const frank = accepted.hub && (await this.#ownFrank(contextOf(arrival, accepted.hub), accepted.hub));
    if (frank === null || tooFar(frank.roomSeq, thread.headSeq)) return this.#unconfirmed(record, here);
    const content = decodeContent(record.sealed.content);
    const id = messageId(sender.account, this.#uri, record.sealed.content, content.salt);
    const seq = frank.roomSeq;
    const { row, timer } = await this.#timed(rowOf({ content, bytes: record.sealed.content, id, frank }, accepted.roomPos, self.account), content, thread);
    // In its turn it moves the thread forward like any message; one that is told late only fills its own place.
    const inTurn = accepted.roomPos === thread.pos + 1 && seq > here.seq;
    const next: Thread = {
      ...here, ...timer, headSeq: Math.max(here.headSeq, seq), baseSeq: here.baseSeq === 0 ? seq : here.baseSeq, lastId: id,
      answered: here.answered === true || row.kind !== 'effect', deleted: here.deleted && row.kind === 'effect', seq: inTurn ? seq : here.seq, timestampMs: inTurn ? this.#floor(frank.acceptedTimestamp, here) : here.timestampMs,
    };
    await this.#writeRow(row, next, await sentWrites(vault, record, row.id, await this.outbox()));
    await this.context.files.adopted(record.files ?? [], row.id);
  }

  async #ownFrank(context: ReturnType<typeof contextOf>, hub: HubRecord): Promise<FrankRecord | null> {
    const { directory } = this.context;
    return (await proven(context, hub, (id) => directory.hubKey(id))) ?? proven(context, hub, (id) => this.#freshHubKey(id));
  }

  /**
   * An answer without a valid proof: what is shown as sent can be reported, so this message is not. It stays with the
   * unsent ones, failed, and the sequence number that nobody signed moves nothing.
   */
  async #unconfirmed(record: OutboxRecord, thread: Thread): Promise<void> {
    const { vault, emit, home } = this.context;
    const failed: OutboxRecord = { ...record, stage: 'failed', sealed: null, failure: 'unconfirmed' };
    const note = await this.#infoRow(UNCONFIRMED, thread.pos, Math.max(thread.seq, thread.headSeq), home.now());
    await vault.write(await vault.put('outbox', outboxKey(record), failed), note, await this.#putThread(thread));
    emit({ type: 'thread', room: this.id });
  }

  delivered(pos: number): void {
    this.#whispers.seen();
    this.#later(() => this.#delivered(pos));
  }

  /** A word about what was not said yet is none, unless what it is about is just coming. */
  async #delivered(pos: number): Promise<void> {
    const thread = await this.thread();
    const comes = this.#inFlight !== null || this.#waiting.size > 0;
    this.#deliveredEarly = pos > thread.pos && comes ? Math.max(pos, this.#deliveredEarly) : 0;
    const reached = Math.min(pos, thread.pos);
    if (reached <= thread.deliveredPos) return;
    await this.context.vault.write(await this.#putThread({ ...thread, deliveredPos: reached }));
    this.context.emit({ type: 'thread', room: this.id });
  }

  // ---- sending ----------------------------------------------------------------------------------------------------

  async outbox(): Promise<OutboxRecord[]> {
    return (await this.context.vault.range<OutboxRecord>('outbox', { prefix: `${this.id}/` })).map(({ value }) => value);
  }

  /** Something may be sendable now. */
  pump(): void {
    this.#later(() => this.#pump());
  }

  /** A final no, here and nowhere else, is about the message that is to be sent next. */
  async #pump(): Promise<void> {
    try {
      await this.#send();
    } catch (error) {
      if (!(error instanceof Problem) || NOT_NOW.has(error.code)) throw error;
      await this.#failNext(error.code);
    }
  }

  async #send(): Promise<void> {
    const { link, home } = this.context;
    if (this.#stopped || !link.ready || this.#inFlight !== null) return;
    if (home.now() < this.#notBefore) return this.#retry(this.#notBefore - home.now());
    const loaded = await this.#load();
    if (loaded?.record.pending) return this.#sendCommit(loaded.record);
    if (this.#owed) {
      await this.#reconcile();
      if (this.#inFlight !== null) return;
    }
    const next = (await this.outbox()).find((record) => record.stage !== 'failed');
    if (next?.sealed) return this.#sendMessage(next);
    if (!next) return this.#tellRead();
    if (needsUpload(next, home.now())) return this.context.files.uploads.begin(next, (id, change) => this.#amend(id, change), () => this.pump());
    if (!loaded?.group) return this.#create();
    if (loaded.record.broken !== null) return;
    if (ownGeneration(loaded.group) >= ROTATE_AFTER_MESSAGES) return this.#propose(loaded.group, { adds: [], removes: [] });
    if (await this.#quarantined(loaded.group)) return this.#reconcile();
    await this.#encrypt(loaded.record, loaded.group, next);
  }

  /** Tells what was read, when nothing durable is under way that this could overtake. */
  async #tellRead(): Promise<void> {
    const owed = await this.#whispers.owed(await this.thread());
    if (owed && (await this.#whisper((head) => owed.content(head), [owed.told]))) this.#whispers.toldNow();
  }

  /** This person writes. Dropped where it cannot be told right now. */
  typing(): void {
    this.#later(async () => {
      const busy = this.#stopped || this.#inFlight !== null || (await this.outbox()).some((record) => record.stage !== 'failed');
      if (!busy && (await this.#whispers.mayTellTyping())) await this.#whisper((head) => this.#whispers.typing(head), []);
    });
  }

  /**
   * Sends an ephemeral message: encrypted without authenticated data, and the ratchet on disk before anything leaves. Its
   * generation counts like any other's, so it waits for what is under way and for keys that must be renewed.
   */
  async #whisper(content: (head: Head) => Bytes, also: Write[]): Promise<boolean> {
    const { engine, home, link, self, vault } = this.context;
    const loaded = await this.#load();
    if (!link.ready || !loaded?.group || loaded.record.broken !== null || loaded.record.pending || (await this.#quarantined(loaded.group))) return false;
    if (ownGeneration(loaded.group) >= ROTATE_AFTER_MESSAGES) {
      await this.#propose(loaded.group, { adds: [], removes: [] });
      return false;
    }
    const head = { salt: home.random(16), sender: accountUri(self.server, self.account), room: this.#uri };
    const made = await engine.protect(loaded.group, content(head), new Uint8Array());
    await vault.write(...(await this.#store(loaded.record, made.next, false)), ...also);
    wipeSpent(made.spent);
    return link.send({ kind: 'ephemeral', room: this.id, message: made.message });
  }

  /** Changes a message that waits for its files; false: it is gone. One that is on its way stays as it is. */
  #amend(id: string, change: (record: OutboxRecord) => OutboxRecord): Promise<boolean> {
    return this.run(async () => {
      const record = (await this.outbox()).find((one) => one.id === id);
      if (!record || record.sealed !== null) return record !== undefined;
      await this.context.vault.save('outbox', outboxKey(record), change(record));
      this.context.emit({ type: 'thread', room: this.id });
      return true;
    });
  }

  /** The person does not want to send it any more. */
  async takeBack(id: string): Promise<void> {
    await this.run(async () => {
      const record = (await this.outbox()).find((one) => one.id === id);
      if (!record) return;
      if (record.sealed !== null) throw new Problem('conflict', 'This message is on its way already. Delete it once it is sent.');
      await this.context.vault.write(this.context.vault.remove('outbox', outboxKey(record)));
      this.context.files.uploads.cancel(record);
    });
    this.context.emit({ type: 'thread', room: this.id });
    this.pump();
  }

  async #quarantined(group: Group): Promise<boolean> {
    const { directory } = this.context;
    const roster = await directory.roster(this.id);
    for (const member of members(group)) {
      if (member.leaf !== ownLeaf(group) && (await directory.standing(roster, member, member.key)) !== 'listed') return true;
    }
    return false;
  }

  async #encrypt(record: GroupRecord, group: Group, waiting: OutboxRecord): Promise<void> {
    const { engine, home, self, vault } = this.context;
    const thread = await this.thread();
    const salt = home.random(16);
    const treeHead = await this.context.log.gossip();
    const head = {
      salt, sender: accountUri(self.server, self.account), room: this.#uri,
      ...(thread.lastId ? { lastSeen: thread.lastId } : {}), ...(treeHead ? { treeHead } : {}),
    };
    const composed = compose(waiting, head, await changing(vault, this.id, waiting.change), self.account);
    if (composed === null) return this.#nothingToSend(waiting);
    const content = fitting(timed(composed, thread.timer?.seconds ?? 0));
    if (content === null) return this.#tooLarge(waiting);
    const made = await engine.protect(group, content, aadOf(frankingTag(salt, content)));
    const sealed = { key: home.random(16), wire: made.message, content, epoch: epochOf(group) };
    const ready: OutboxRecord = { ...waiting, stage: 'sealed', sealed };
    const state = await this.#store(record, made.next, false);
    await vault.write(...state, await vault.put('outbox', outboxKey(ready), ready));
    wipeSpent(made.spent);
    this.#sendMessage(ready);
  }

  /** With everything that a message carries it is too long, as one that is passed on may be. What is behind it goes on. */
  async #tooLarge(waiting: OutboxRecord): Promise<void> {
    const { vault, emit } = this.context;
    await vault.write(await vault.put('outbox', outboxKey(waiting), { ...waiting, stage: 'failed', failure: 'too_large' } satisfies OutboxRecord));
    emit({ type: 'thread', room: this.id });
    await this.#pump();
  }

  /** What it was to change is as it should be, or is not there any more. */
  async #nothingToSend(waiting: OutboxRecord): Promise<void> {
    await this.context.vault.write(...(await settledLocally(this.context.vault, waiting, await this.outbox())));
    this.context.emit({ type: 'thread', room: this.id });
    await this.#pump();
  }

  #sendMessage(record: OutboxRecord): void {
    const { key, wire } = record.sealed!;
    this.#submit({ kind: 'submit', key, room: this.id, message: wire });
  }

  #sendCommit(record: GroupRecord): void {
    const { key, commit, welcome, groupInfo } = record.pending!;
    this.#submit({ kind: 'commit', key, room: this.id, commit, welcome, groupInfo });
  }

  #submit(frame: Extract<ClientFrame, { key: Uint8Array }>): void {
    this.#inFlight = frame.key as Bytes;
    if (!this.context.link.send(frame)) this.#inFlight = null;
  }

  refused(refused: Refused): void {
    this.#later(async () => {
      const loaded = await this.#load();
      if (this.#inFlight !== null && equal(this.#inFlight, refused.key)) this.#inFlight = null;
      if (loaded?.record.pending && equal(loaded.record.pending.key, refused.key)) await this.#commitRefused(loaded, refused);
      else await this.#messageRefused(refused);
      await this.#pump();
    });
  }

  async #commitRefused(loaded: { record: GroupRecord; group: Group | null }, refused: Refused): Promise<void> {
    const { vault, home } = this.context;
    if (waits(refused)) {
      this.#notBefore = home.now() + (refused.retryAfterMs ?? REFUSED_RETRY_MS);
      return;
    }
    if (loaded.group === null) {
      // Somebody else created the group; its Welcome is on the way.
      this.#cached = null;
      await vault.write(vault.remove('groups', this.id), vault.remove('trees', this.id));
    } else await vault.write(...(await this.#store({ ...loaded.record, pending: null }, loaded.group, false)));
    // wrong_epoch: the winning commit comes by mail. Anything else would be refused again right away.
    const wait = refused.code === 'wrong_epoch' ? RETRY_MS : refused.retryAfterMs ?? REFUSED_RETRY_MS;
    this.#notBefore = home.now() + wait;
  }

  async #messageRefused(refused: Refused): Promise<void> {
    const { vault, home, emit } = this.context;
    const record = (await this.outbox()).find((one) => one.sealed && equal(one.sealed.key, refused.key));
    if (!record) return;
    if (waits(refused)) {
      // Exactly these bytes again: another message must not overtake this one's place in the ratchet.
      this.#inFlight = refused.key;
      home.after(refused.retryAfterMs ?? RETRY_MS, () => {
        if (this.#inFlight && equal(this.#inFlight, refused.key)) this.#inFlight = null;
        this.pump();
      });
      return;
    }
    const late = refused.code === 'epoch_too_old' || refused.code === 'wrong_epoch';
    if (late && refused.details && record.sealed && Number(refused.details) < record.sealed.epoch) {
      // Encrypting it again would be refused again, for ever.
      const failed: OutboxRecord = { ...record, stage: 'failed', sealed: null, failure: 'restored' };
      const thread = await this.thread();
      const said = await this.#infoRow(RESTORED, thread.pos, Math.max(thread.seq, thread.headSeq), home.now());
      await vault.write(await vault.put('outbox', outboxKey(failed), failed), said);
      return emit({ type: 'thread', room: this.id });
    }
    const next: OutboxRecord = late
      ? { ...record, stage: 'plain', sealed: null } : { ...record, stage: 'failed', sealed: null, failure: refused.code };
    await vault.write(await vault.put('outbox', outboxKey(next), next));
    if (late && Number(refused.details) > (await this.#epoch())) this.#notBefore = home.now() + RETRY_MS;
    if (refused.code === 'restricted') emit({ type: 'standing' });
    emit({ type: 'thread', room: this.id });
  }

  async #epoch(): Promise<number> {
    const loaded = await this.#load();
    return loaded?.group ? epochOf(loaded.group) : 0;
  }

  // ---- membership -------------------------------------------------------------------------------------------------

  /** Everybody's listed devices in this room except this one, freshly fetched. */
  async #listedDevices(roster: Roster): Promise<Map<string, { account: string; key: Bytes }>> {
    const { directory, self } = this.context;
    const found = new Map<string, { account: string; key: Bytes }>();
    for (const [account, { list }] of await directory.freshKeys(roster.accounts)) {
      for (const entry of list?.entries ?? []) found.set(entry.device, { account, key: entry.mlsKey });
    }
    found.delete(deviceUri(self.server, self.device));
    return found;
  }

  /** Key packages for those devices; one that is not exactly the listed device's is not used. */
  async #claim(devices: Map<string, { account: string; key: Bytes }>): Promise<Bytes[]> {
    if (devices.size === 0) return [];
    const { api, engine } = this.context;
    const ids = [...devices.keys()].map((uri) => parseUri(uri, 'd').id);
    const packages: PackagesAnswer['packages'] = [];
    for (let from = 0; from < ids.length; from += MOST_CLAIMED) {
      packages.push(...(await api.claimKeyPackages(this.id, ids.slice(from, from + MOST_CLAIMED))).packages);
    }
    return packages.map((one) => fromBase64(one.key_package)).filter((bytes) => {
      const who = identityOf(engine, bytes);
      if (who === null) return false;
      const listed = devices.get(who.device);
      return listed !== undefined && equal(listed.key, who.key) && parseUri(who.account, 'u').id === listed.account;
    });
  }

  /** Creates the group when the room has none and a device of somebody else can be added. */
  async #create(): Promise<void> {
    const { api, directory, engine, self, home } = this.context;
    const room = await api.room(this.id);
    const roster = await directory.pinRoster(room);
    if (room.epoch !== null) return; // a Welcome for this device is on the way, or another device will add it
    if (roster.roles) return this.#found(roster);
    const devices = [...(await this.#listedDevices(roster))];
    // Theirs first: without any of them there is nobody to write to, and our own packages would be spent for nothing.
    const theirs = await this.#claim(new Map(devices.filter(([, device]) => device.account !== self.account)));
    this.#lonely = theirs.length === 0;
    if (this.#lonely) {
      this.#notBefore = home.now() + REFUSED_RETRY_MS;
      this.#retry(REFUSED_RETRY_MS);
      this.context.emit({ type: 'chats' });
      return;
    }
    const ours = await this.#claim(new Map(devices.filter(([, device]) => device.account === self.account)));
    const founded = await engine.createGroup(uuidBytes(this.id), this.#judge('strict'));
    await this.#propose(founded, { adds: [...theirs, ...ours], removes: [] }, true);
  }

  /** A group begins with its owner's devices alone; whoever says yes later is added then. */
  async #found(roster: Roster): Promise<void> {
    const { engine, self } = this.context;
    if (roster.roles?.[self.account] !== 'owner') return;
    const own = await this.#claim(await this.#listedDevices({ accounts: [self.account] }));
    await this.#propose(await engine.createGroup(uuidBytes(this.id), this.#judge('strict')), { adds: own, removes: [] }, true);
  }

  /** Makes the group if that is this device's to do. */
  begin(): void {
    this.#later(async () => {
      const { link } = this.context;
      if (this.#stopped || !link.ready || this.#inFlight !== null) return;
      const loaded = await this.#load();
      if (loaded === null) await this.#create();
    });
  }

  async #propose(group: Group, change: { adds: Bytes[]; removes: number[] }, creating = false): Promise<void> {
    const { engine, home, vault } = this.context;
    const made: Commit = await engine.commit(group, change, this.#judge('lenient')).catch((error: unknown) => {
      if (!(error instanceof MlsError)) throw error;
      throw new DirectoryRefused(`A key package that the server handed out does not check out: ${error.message}.`);
    });
    const next = serialise(made.next);
    const loaded = creating ? null : await this.#load();
    const record: GroupRecord = {
      ...(loaded?.record ?? { ratchets: null, counter: 0, broken: null, rotatedMs: home.now() }),
      pending: {
        key: home.random(16), commit: made.commit, welcome: made.welcome, groupInfo: made.groupInfo,
        nextTree: next.tree, nextRatchets: next.ratchets,
      },
    };
    await vault.write(...(await this.#store(record, loaded?.group ?? null, false)));
    this.#sendCommit(record);
  }

  /** Brings the group's leaves in line with the device lists, at a moment of its own; tells when that is done. */
  reconcileSoon(done: () => Promise<void> = async () => undefined): void {
    this.context.home.after((this.context.home.random(1)[0]! / 255) * JITTER_MS, () => {
      this.#later(async () => {
        this.#notBefore = 0;
        await this.#reconcile();
        await this.#pump();
        if (!this.#owed) await done();
      });
    });
  }

  /** Fresh keys when they are a week old, also in a chat in which nobody writes and nobody's devices change. */
  renew(): void {
    this.#later(async () => {
      const loaded = await this.#load();
      if (loaded?.group && this.context.home.now() - loaded.record.rotatedMs > ROTATE_AFTER_MS) this.reconcileSoon();
    });
  }

  /** Whether an answer with this key is for this room. */
  awaits(key: Bytes): boolean {
    return this.#inFlight !== null && equal(this.#inFlight, key);
  }

  /** True when messages wait for a device of the other side. */
  get lonely(): boolean {
    return this.#lonely;
  }

  /** Of a group, what the server says now: its members are decided by people, and leaves follow. */
  async #freshRoster(): Promise<Roster> {
    const { api, directory } = this.context;
    const known = await directory.roster(this.id);
    return known.roles ? directory.pinRoster(await api.room(this.id)) : known;
  }

  /**
   * Somebody new is added by an admin's device; a further device of somebody who is in, by anybody's, and so is an
   * admin: or an owner who lost her only device could not come back to a group that nobody else looks after.
   */
  #mayAdd({ roles }: Roster, account: string): boolean {
    if (roles === undefined) return true;
    return [this.context.self.account, account].some((one) => ['admin', 'owner'].includes(roles[one] ?? ''));
  }

  async #reconcile(): Promise<void> {
    const { link, home } = this.context;
    const loaded = await this.#load();
    this.#owed = Boolean(loaded?.record.pending) || !link.ready || this.#inFlight !== null;
    if (this.#owed || !loaded?.group || loaded.record.broken !== null) return;
    const roster = await this.#freshRoster();
    const listed = await this.#listedDevices(roster);
    const { group } = loaded;
    const others = members(group).filter((member) => member.leaf !== ownLeaf(group));
    const removes = others.filter((member) => {
      const entry = listed.get(member.device);
      return !entry || !equal(entry.key, member.key);
    }).map((member) => member.leaf);
    const present = new Set(others.map((member) => member.device));
    const here = accountsOf(members(group));
    const missing = new Map([...listed].filter(([device, { account }]) =>
      !present.has(device) && (here.has(account) || this.#mayAdd(roster, account))));
    const adds = await this.#claim(missing);
    const due = home.now() - loaded.record.rotatedMs > ROTATE_AFTER_MS;
    if (adds.length > 0 || removes.length > 0 || due) await this.#propose(group, { adds, removes });
  }
}

/** The position of the thread once what came with this room_pos is worked on. */
const past = (pos: number, thread: Thread): number => (pos > thread.pos + FARTHEST_AHEAD ? thread.pos + 1 : Math.max(pos, thread.pos));

const accountOf = (member: Member): string => parseUri(member.account, 'u').id;
const accountsOf = (all: readonly Member[]): Set<string> => new Set(all.map(accountOf));

function newcomers(before: readonly Member[], after: readonly Member[]): Member[] {
  const known = new Set(before.map((member) => member.device));
  return after.filter((member) => !known.has(member.device));
}

function identityOf(engine: MlsEngine, keyPackage: Bytes): ReturnType<MlsEngine['identityOf']> | null {
  try {
    return engine.identityOf(keyPackage);
  } catch (error) {
    if (error instanceof MlsError) return null;
    throw error;
  }
}

const waits = (refused: Refused): boolean => refused.code === 'limited' || refused.code === 'read_only';


/** The bytes of a content; null when they are more than a message may have. */
function fitting(content: Content): Bytes | null {
  try {
    return encodeContent(content);
  } catch (error) {
    if (error instanceof Malformed) return null;
    throw error;
  }
}
