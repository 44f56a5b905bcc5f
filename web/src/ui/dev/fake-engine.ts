/**
 * A scripted engine in memory, for looking at screens. It keeps what is done to it until the page is closed.
 * Only `fake.html` uses it; nothing of it is in the product build.
 */
import type { Args, Chat, Engine, EngineError, FileView, GroupFacts, Happening, KeyAlarm, Me, Message, Op, Outgoing, Phase, Picture, Result, SafetyNumber, Stretch } from '../../engine/contract';
import {
  chats, DAY, groups, groupThread, invitations, me, longThread, MY_ACCOUNT, placed, plain, QUIET, received, RECOVERY_CODE, reports, sent, TERMS, thread, ASIDE, NEWCOMER, unanswered, type WorldName,
} from './worlds';
import { deletedForAll, deletedHere, edited, reacted } from './fake-words';

type Doing = { [K in Op]: (args: Args<K>) => Promise<Result<K>> };
const PHASES: Partial<Record<WorldName, Phase>> = {
  'signed-out': 'signed-out', locked: 'locked', removed: 'signed-out', unsupported: 'unsupported', insecure: 'unsupported',
  'needs-identity': 'needs-identity', 'needs-recovery': 'needs-recovery',
};
const REASONS: Partial<Record<WorldName, string>> = {
  removed: 'You were signed out on this device.', insecure: 'Kith needs a secure connection (https).',
};
const refused = (code: string, message: string, rest: Partial<EngineError> = {}): EngineError => ({ code, message, ...rest });

/** A painted landscape, another for each seed. */
async function hills(seed: string): Promise<Picture> {
  const canvas = new OffscreenCanvas(128, 128);
  const paint = canvas.getContext('2d')!;
  const hue = [...seed].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % 360;
  const ground = (color: string, x: number, y: number, size: number): void => {
    paint.fillStyle = color;
    paint.beginPath();
    paint.arc(x, y, size, 0, 7);
    paint.fill();
  };
  ground(`hsl(${hue} 60% 85%)`, 64, 64, 128);
  ground('#fff3b0', 90, 40, 16);
  ground(`hsl(${hue + 90} 35% 55%)`, 30, 140, 70);
  ground(`hsl(${hue + 110} 40% 40%)`, 100, 150, 70);
  const blob = await canvas.convertToBlob({ type: 'image/png' });
  return { type: 'image/png', bytes: new Uint8Array(await blob.arrayBuffer()) };
}

/** The part of a thread that was asked for. */
function stretchOf(all: Message[], { before, from, limit = 50 }: { before?: string; from?: string; limit?: number }): Stretch {
  const place = (message: Message): string => message.place ?? '~';
  const span = (messages: Message[]): Pick<Stretch, 'messages' | 'begins' | 'ends'> => ({ messages, begins: messages[0]?.place ?? null, ends: messages.findLast((one) => one.place)?.place ?? null });
  if (from !== undefined) {
    const at = all.findIndex((message) => place(message) >= from);
    const messages = at < 0 ? [] : all.slice(at, at + limit);
    return { ...span(messages), more: at > 0 || (at < 0 && all.length > 0), newer: at >= 0 && at + limit < all.length };
  }
  const older = before === undefined ? all : all.filter((message) => place(message) < before);
  return { ...span(older.slice(-limit)), more: older.length > limit, newer: older.length < all.length };
}

/** What a file looks like in a thread once it was chosen. */
const shown = ({ bytes, ...facts }: Outgoing, part: number): FileView => ({ ...facts, mark: '', part, size: bytes.size, state: 'here' });

async function paintedHills(seed: string): Promise<Outgoing> {
  const { type, bytes } = await hills(seed);
  return {
    bytes: new Blob([bytes], { type }), kind: 'photo', name: `${seed}.png`, type, alt: 'Hills in the evening', width: 128, height: 128,
    thumbhash: null, duration_ms: null, waveform: null, poster: null,
  };
}

export class FakeEngine implements Engine {
  /** Files by room, message and part. */
  #files = new Map<string, Blob>();
  #listeners = new Set<(happening: Happening) => void>();
  #me: Me;
  #chats: Chat[];
  #threads = new Map<string, Message[]>();
  #received;
  #sent;
  #reports;
  #notices;
  #blocks: Result<'blocks'>;
  #restricted: Result<'restricted'>;
  #devices;

  constructor(private readonly world: WorldName, private readonly now = Date.now()) {
    const empty = world === 'empty';
    this.#alarms = world === 'alarmed' ? (['device', 'log', 'own', 'clock'] as const).map((kind) => ({ id: kind, kind })) : [];
    this.#me = me(world, now);
    this.#chats = empty ? [] : [...chats(now), ...groups(now)];
    for (const chat of this.#chats) this.#threads.set(chat.room, chat.group ? groupThread(chat, now) : thread(chat, now));
    for (const chat of this.#chats) if (chat.handle === NEWCOMER || chat.handle === ASIDE) this.#threads.set(chat.room, unanswered(chat, now));
    if (world === 'long') this.#threads.set(this.#chats[0]!.room, longThread(this.#chats[0]!, now));
    if (this.#chats[5]) this.#threads.set(this.#chats[5].room, []);
    this.#received = empty ? [] : received(now);
    this.#sent = empty ? [] : sent(now);
    this.#reports = empty ? [] : reports(now);
    this.#notices = this.#received.flatMap(({ notice }) => (notice ? [notice] : []));
    this.#blocks = this.#chats
      .filter((chat) => chat.blocked)
      .map(({ account, handle, display_name }) => ({ account, handle, display_name, since_ms: now - 4 * DAY }));
    this.#restricted = this.#chats
      .filter(({ account, restricted }) => restricted.includes(account))
      .map(({ account, handle, display_name }) => ({ account, handle, display_name, since_ms: now - 2 * DAY }));
    this.#devices = [
      { id: this.#me.device_id, name: 'Chrome on Linux', created_ms: now - 40 * DAY, last_seen_ms: now, current: true },
      { id: 'phone', name: 'Firefox on Android', created_ms: now - 90 * DAY, last_seen_ms: now - DAY, current: false },
    ];
  }

  on(listener: (happening: Happening) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async call<K extends Op>(op: K, args: Args<K>): Promise<Result<K>> {
    if (this.world === 'slow' || (this.world === 'starting' && op === 'start')) await new Promise(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 15));
    if (this.world === 'failing' && op !== 'start' && op !== 'me') throw refused('unreachable', "Kith can't be reached right now.");
    // As it would be on its way to the worker and back.
    const result = await (this.#doing[op] as (given: Args<K>) => Promise<Result<K>>)(structuredClone(args));
    return structuredClone(result);
  }

  #tell(happening: Happening): void {
    for (const listener of this.#listeners) listener(happening);
  }

  #regroup(room: string, change: (chat: Chat) => Chat): null {
    this.#chats = this.#chats.map((chat) => (chat.room === room ? change(chat) : chat));
    this.#tell({ type: 'chats' });
    return null;
  }

  #hush(account: string, hushed: boolean): null {
    const known = this.#chats.flatMap(({ people }) => people).find((one) => one.account === account) ?? this.#chats.find((chat) => chat.account === account);
    this.#restricted = this.#restricted.filter((one) => one.account !== account);
    if (hushed) this.#restricted.push({ account, handle: known?.handle ?? '', display_name: known?.display_name ?? '', since_ms: Date.now() });
    this.#chats = this.#chats.map((chat) => {
      const here = chat.account === account || chat.people.some((one) => one.account === account);
      const others = chat.restricted.filter((one) => one !== account);
      return here ? { ...chat, restricted: hushed ? [...others, account] : others } : chat;
    });
    this.#tell({ type: 'chats' });
    return null;
  }

  #without(room: string, account: string): null {
    return this.#regroup(room, (chat) => ({ ...chat, people: chat.people.filter((one) => one.account !== account) }));
  }

  #arrive(): { me: Me; recovery_code: string } {
    this.#tell({ type: 'phase', phase: 'ready' });
    this.#tell({ type: 'connection', state: 'online' });
    return { me: this.#me, recovery_code: RECOVERY_CODE };
  }

  #safety: SafetyNumber = {
    groups: ['30035', '44776', '92869', '39689', '28698', '76765', '45825', '75691', '62576', '84344', '09180', '79131'],
    code: 'AGVFd2ltbWluZyBpbiB0aGUgbGFrZSBhdCBuaWdodCBpcyBxdWlldCBhbmQgY29sZCBidXQgc28gdmVyeSBuaWNl', verified_ms: null,
  };
  #alarms: KeyAlarm[];

  #doing: Doing = {
    start: async () => {
      const phase = PHASES[this.world] ?? 'ready';
      this.#tell({ type: 'connection', state: this.world === 'offline' || this.world === 'locked' ? 'offline' : 'online' });
      const reason = REASONS[this.world];
      return { phase, me: phase === 'ready' ? this.#me : null, ...(reason ? { reason } : {}) };
    },
    link_start: async () => ({ code: 'B7QK-2M9X-4TRA-H0WD-5S', link: 'https://kith.example/#/approve/B7QK-2M9X-4TRA-H0WD-5S', until_ms: this.now + 600_000 }),
    link_check: async () => ({ state: 'waiting' }),
    link_find: async ({ code }) => {
      if (code.length < 10) throw refused('wrong_code', 'The device code has 18 characters.');
      return { name: 'Chrome on Android' };
    },
    link_approve: async () => this.#doing.devices({}),
    safety_number: async () => this.#safety,
    set_verified: async ({ verified }) => (this.#safety = { ...this.#safety, verified_ms: verified ? this.now : null }),
    alarms: async () => this.#alarms,
    put_away_alarm: async ({ id }) => {
      this.#alarms = this.#alarms.filter((one) => one.id !== id);
      this.#tell({ type: 'alarms' });
      return null;
    },
    age: async ({ year }) => {
      const years = new Date(this.now).getFullYear() - year;
      if (years < 14) throw refused('forbidden', "You can't make an account right now.");
      const teen = years < 18;
      this.#me = { ...me(teen ? 'teen' : 'adult', this.now) };
      return { ticket: 'ticket', band: this.#me.band };
    },
    sign_up: async ({ handle, display_name }) => {
      if (handle === 'taken') throw refused('conflict', "This handle can't be had. Try another.");
      this.#me = { ...this.#me, handle, display_name };
      this.#chats = [];
      this.#received = [];
      this.#sent = [];
      this.#notices = [];
      return this.#arrive();
    },
    sign_in: async ({ handle, password }) => {
      if (password === 'wrong') throw refused('unauthenticated', "That handle and password don't match.");
      this.#me = { ...this.#me, handle };
      return { phase: this.#arrive() && 'ready', me: this.#me };
    },
    make_identity: async () => this.#arrive(),
    unlock_identity: async ({ recovery_code }) => {
      if (recovery_code.length < 30) throw refused('invalid', "That code isn't complete. It has 34 letters and digits.");
      return this.#arrive();
    },
    reset_identity: async () => this.#arrive(),
    recover: async () => this.#arrive(),
    sign_out: async () => {
      this.#tell({ type: 'phase', phase: 'signed-out' });
      return null;
    },
    me: async () => this.#me,
    set_display_name: async ({ display_name }) => (this.#me = { ...this.#me, display_name }),
    set_controls: async (controls) => (this.#me = { ...this.#me, controls: { ...this.#me.controls, ...controls } }),
    change_password: async ({ current }) => {
      if (current === 'wrong') throw refused('unauthenticated', "That isn't your current password.");
      return null;
    },
    devices: async () => this.#devices,
    remove_device: async ({ id }) => (this.#devices = this.#devices.filter((device) => device.id !== id)),
    push: async () => ({ public_key: null, on: false }),
    set_push: async () => null,
    end_push: async () => null,
    terms: async () => TERMS,
    export_data: async () => ({ account: this.#me }),

    request: async ({ handle, text }) => {
      if (handle === 'toomany') throw refused('limited', 'You have sent all your requests for today.', { retry_after_ms: 5 * 3_600_000 });
      const request = `sent-${this.#sent.length}`;
      const state = 'sent' as const;
      this.#sent = [...this.#sent, { request, to: handle ?? 'an invite link', sent_ms: Date.now(), state, account: null, room: null, waiting_text: text || null }];
      return { request };
    },
    requests: async () => ({ received: this.#received, sent: this.#sent }),
    accept: async ({ request }) => {
      const from = this.#received.find((known) => known.request === request)!;
      const room = `room-${request}`;
      const { account, handle, display_name } = from;
      this.#chats = [
        { room, kind: 'direct', group: null, people: [], account, handle, display_name, writable: true, ready: true, ...QUIET, last: null, deleted: false },
        ...this.#chats,
      ];
      this.#received = this.#received.filter((known) => known !== from);
      return { room };
    },
    decline: async ({ request }) => this.#answer(request),
    cancel: async ({ request }) => {
      this.#sent = this.#sent.filter((known) => known.request !== request);
      return null;
    },
    invite: async () => ({ link: `${location.origin}/#/i/kq3v7Zr0tB9wXyN2`, expires_ms: this.now + 7 * DAY }),
    block: async ({ account }) => {
      const known = this.#chats.find((chat) => chat.account === account) ?? this.#received.find((from) => from.account === account);
      this.#blocks.push({ account, handle: known?.handle ?? '', display_name: known?.display_name ?? '', since_ms: Date.now() });
      this.#chats = this.#chats.map((chat) => (chat.account === account ? { ...chat, blocked: true, writable: false } : chat));
      this.#received = this.#received.filter((from) => from.account !== account);
      return null;
    },
    unblock: async ({ account }) => {
      this.#blocks = this.#blocks.filter((blocked) => blocked.account !== account);
      this.#chats = this.#chats.map((chat) => (chat.account === account ? { ...chat, blocked: false } : chat));
      return null;
    },
    blocks: async () => this.#blocks,
    restrict: async ({ account }) => this.#hush(account, true),
    unrestrict: async ({ account }) => this.#hush(account, false),
    restricted: async () => this.#restricted,
    notices: async () => this.#notices,
    dismiss_notice: async ({ id }) => {
      this.#notices = this.#notices.filter((notice) => notice.id !== id);
      this.#received = this.#received.map((from) => (from.notice?.id === id ? { ...from, notice: null } : from));
      return null;
    },
    appeal: async ({ measure }) => {
      const measures = this.#me.standing.measures.map((one) => (one.id === measure ? { ...one, appeal: 'open' as const } : one));
      this.#me = { ...this.#me, standing: { ...this.#me.standing, measures } };
      return this.#me.standing;
    },

    create_group: async ({ name, description }) => {
      const group: GroupFacts = {
        name, description, posting: 'everyone', approval: false, role: 'owner', created_ms: Date.now(), photo: null, left: false,
      };
      const mine = { account: this.#me.account_id, handle: this.#me.handle, display_name: this.#me.display_name, role: 'owner' as const };
      const room = crypto.randomUUID();
      this.#chats = [{
        room, kind: 'group', group, people: [mine], account: '', handle: '', display_name: name, writable: true, ready: true,
        ...QUIET, last: null, deleted: false,
      }, ...this.#chats];
      this.#threads.set(room, []);
      this.#tell({ type: 'chats' });
      return { room };
    },
    edit_group: async ({ room, ...change }) => this.#regroup(room, (chat) => ({
      ...chat, display_name: change.name ?? chat.display_name, group: chat.group && { ...chat.group, ...change },
    })),
    set_group_photo: async ({ room, picture }) => this.#regroup(room, (chat) => ({
      ...chat, group: chat.group && { ...chat.group, photo: picture && (chat.group.photo ?? 0) + 1 },
    })),
    group_photo: async ({ room }) => hills(room),
    group_link_photo: async ({ token }) => hills(token),
    invite_to_group: async () => null,
    group_invitations: async () => ({ received: this.world === 'empty' ? [] : invitations(this.now), sent: [] }),
    accept_group: async () => { throw refused('not_found', 'There is nothing here, or it is not yours to see.'); },
    decline_group: async () => null,
    take_back_group_invitation: async () => null,
    leave_group: async ({ room }) => this.#regroup(room, (chat) => ({
      ...chat, writable: false, group: chat.group && { ...chat.group, left: true },
    })),
    set_role: async ({ room, account, role }) => this.#regroup(room, (chat) => ({
      ...chat, people: chat.people.map((one) => (one.account === account ? { ...one, role } : one)),
    })),
    remove_member: async ({ room, account }) => this.#without(room, account),
    ban_member: async ({ room, account }) => this.#without(room, account),
    unban_member: async () => null,
    group_bans: async () => [{ account: 'banned', handle: 'pat', display_name: 'Pat Stone', since_ms: this.now - DAY }],
    group_joiners: async () => [{ account: 'joiner', handle: 'sam.rivers', display_name: 'Sam Rivers', since_ms: this.now - DAY }],
    group_links: async () => [{ link: 'one', by: this.#me.account_id, made_ms: this.now, expires_ms: this.now + 5 * DAY, joined: 2 }],
    make_group_link: async () => ({ link: 'https://chat.example/#/g/AbCdEfGh', expires_ms: Date.now() + 7 * DAY }),
    revoke_group_link: async () => null,
    look_at_group_link: async () => ({
      name: 'Saturday hall', description: 'Who opens, who brings what', members: 12, known: 3, approval: true, photo: 1,
      by: { account: this.#me.account_id, handle: 'maya', display_name: 'Maya Lindqvist', connected: true },
    }),
    join_by_group_link: async () => ({ room: this.#chats[0]!.room, state: 'asked' }),

    chats: async () => [...this.#chats].sort((a, b) => Number(b.pinned) - Number(a.pinned)),
    thread: async ({ room, ...where }) => stretchOf(this.#threads.get(room) ?? [], where),
    send: async ({ room, text, reply_to, files = [] }) => {
      if (text === 'refuse me') throw refused('not_allowed', "You can't message this account.");
      const all = this.#threads.get(room) ?? [];
      const answered = all.find((message) => message.id === reply_to);
      const offline = this.world === 'offline';
      const message: Message = {
        id: `${room}:${all.length}`, room, at_ms: Date.now(), seq: offline ? null : all.length + 1,
        place: offline ? null : placed(all.length + 1), mine: true, sender: MY_ACCOUNT, sender_name: '',
        kind: 'text', text, files: files.map(shown), gap_before: 0, delivery: text === 'fail me' ? 'failed' : offline ? 'waiting' : 'sent',
        reply_to: answered ? { id: answered.id, text: answered.text, mine: answered.mine, name: '', place: answered.place, deleted: false } : null,
        ...plain(true),
      };
      this.#threads.set(room, [...all, message]);
      files.forEach(({ bytes }, part) => this.#files.set(`${message.id}/${part}`, bytes));
      this.#chats = this.#chats.map((chat) => (chat.room === room ? { ...chat, last: { kind: 'text', text, mine: true, at_ms: Date.now(), files: files.map(({ kind }) => kind) } } : chat));
      this.#tell({ type: 'chats' });
      return message;
    },
    retry: async ({ room, id }) => {
      const retried = (this.#threads.get(room) ?? []).map((m) => (m.id === id ? { ...m, delivery: 'sent' as const } : m));
      this.#threads.set(room, retried);
      return null;
    },
    cancel_message: async ({ room, id }) => {
      this.#threads.set(room, (this.#threads.get(room) ?? []).filter((message) => message.id !== id));
      this.#tell({ type: 'thread', room });
      return null;
    },
    file: async ({ room, id, part }) => {
      const view = this.#threads.get(room)?.find((message) => message.id === id)?.files[part];
      if (!view || view.state === 'gone') throw refused('gone', 'This file is no longer on the server.');
      if (view.state === 'broken') throw refused('broken', 'This file arrived damaged, so it is not shown.');
      const blob = this.#files.get(`${id}/${part}`) ?? (await paintedHills(`${id}${part}`)).bytes;
      for (const done of [0.25, 0.5, 1]) {
        await new Promise((resolve) => setTimeout(resolve, view.state === 'here' ? 0 : 300));
        this.#tell({ type: 'transfer', room, id, part, done: done * view.size, total: view.size });
      }
      return { blob };
    },
    play: async () => null,
    stop_playing: async () => ({ why: null }),
    edit: async ({ room, id, text }) => this.#rewrite(room, (messages) => edited(messages, id, text)),
    delete_message: async ({ room, id, everyone }) =>
      this.#rewrite(room, (messages) => (everyone ? deletedForAll(messages, id) : deletedHere(messages, id))),
    react: async ({ room, id, symbol }) => this.#rewrite(room, (messages) => reacted(messages, id, symbol)),
    forward: async ({ room, id, rooms }) => {
      const source = this.#threads.get(room)?.find((message) => message.id === id);
      for (const to of source ? rooms : []) {
        this.#rewrite(to, (messages) => [...messages, {
          ...source!, id: `${to}:${messages.length}`, room: to, at_ms: Date.now(), seq: messages.length + 1, place: placed(messages.length + 1), mine: true, sender: MY_ACCOUNT,
          sender_name: '', reply_to: null, delivery: 'sent', gap_before: 0, ...plain(true), forwarded: source!.forwarded + 1,
        }]);
      }
      return null;
    },
    versions: async () => [
      { text: 'Yes, from ten. I have the key to the shed too', at_ms: this.now - 3 * DAY },
      { text: 'Yes, from half past nine. I have the key to the shed', at_ms: this.now - 3 * DAY + 60_000 },
    ],
    mark_read: async ({ room }) => {
      this.#chats = this.#chats.map((chat) => (chat.room === room ? { ...chat, unread: 0, unread_from: null } : chat));
      this.#tell({ type: 'chats' });
      return null;
    },
    search: async ({ room, text }) => {
      const all = this.#threads.get(room) ?? [];
      const found = all.flatMap((message) => {
        const start = message.text.toLowerCase().indexOf(text.toLowerCase());
        if (start < 0 || message.place === null) return [];
        const { id, place, at_ms, mine, sender, sender_name } = message;
        const from = Math.max(0, start - 40);
        return [{ room, id, place, at_ms, mine, sender, sender_name, text: message.text.slice(from, from + 140), start: start - from, end: start - from + text.length }];
      });
      return { found: found.reverse(), looked: all.length, before: null };
    },
    typing: async ({ room }) => {
      const chat = this.#chats.find((one) => one.room === room);
      if (chat) this.#tell({ type: 'typing', room, account: chat.account, name: chat.display_name });
      return null;
    },
    set_timer: async ({ room, seconds }) => this.#regroup(room, (chat) => ({ ...chat, timer_s: seconds })),
    keep_chat: async ({ room, ...change }) => {
      if (change.pinned && this.#chats.filter((chat) => chat.pinned).length >= 5) throw refused('invalid', 'You can pin 5 chats. Unpin another one first.');
      return this.#regroup(room, (chat) => ({ ...chat, ...change }));
    },
    set_draft: async ({ room, text }) => this.#regroup(room, (chat) => ({ ...chat, draft: text })),
    delete_thread: async ({ room }) => {
      this.#chats = this.#chats.map((chat) => (chat.room === room ? { ...chat, deleted: true } : chat));
      return null;
    },

    report_preview: async ({ account, room }) => ({
      room, account, omitted_tail: room ? 1 : 0,
      rows: (this.#threads.get(room ?? '') ?? [])
        .filter((message) => message.kind === 'text' && message.seq !== null)
        .map(({ seq, mine, at_ms, text, gap_before, files }, n) => ({ seq: seq!, mine, at_ms, text, gap_before, files, verified: n !== 3, what: n === 1 ? ('edit' as const) : ('message' as const) })),
    }),
    report: async ({ account, category, minor_involved }) => {
      const about = this.#chats.find((chat) => chat.account === account);
      const report = `report-${this.#reports.length}`;
      const fresh = { report, sent_ms: Date.now(), category, account, handle: about?.handle ?? null, status: 'received' as const, outcome: null };
      this.#reports = [fresh, ...this.#reports];
      this.#tell({ type: 'reports' });
      return { report, first: minor_involved, class: 'FULL' };
    },
    reports: async () => this.#reports,
  };

  #rewrite(room: string, change: (messages: readonly Message[]) => Message[]): null {
    this.#threads.set(room, change(this.#threads.get(room) ?? []));
    this.#tell({ type: 'thread', room });
    return null;
  }

  #answer(request: string): null {
    this.#received = this.#received.filter((known) => known.request !== request);
    return null;
  }
}
