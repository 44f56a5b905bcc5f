/** What the page knows, kept current by what the engine tells. One instance per page, handed down by context. */
import { createContext } from 'svelte';
import type {
  Chat, Engine, FileView, GroupRole, Happening, KeyAlarm, Me, Message, Notice, Participant, Phase, ReceivedRequest, Result,
} from '../engine/contract';
import { waiting } from './badge';
import { Drafts } from './drafts';
import { sentence } from './errors';
import type { Tray } from './media/tray.svelte';
import { called } from './names';
import { Notifications } from './notifications.svelte';
import { Photos } from './photos.svelte';
import { Resource } from './resource.svelte';
import type { Route } from './routes';

/** Somebody that a sheet is about. */
export interface Person {
  account: string;
  handle: string;
  name: string;
  room: string | null;
  request: string | null;
  blocked: boolean;
  /** Known for a short time only: deleting the chat first offers report and block. */
  recent: boolean;
}

export type Sheet =
  | { kind: 'person'; person: Person }
  | { kind: 'report'; person: Person; message?: string }
  | { kind: 'blocked' | 'restricted'; person: Person }
  | { kind: 'delete'; person: Person }
  | { kind: 'member'; room: string; account: string; mine: GroupRole }
  | { kind: 'compare'; person: Person }
  | { kind: 'viewer'; message: Message; photos: FileView[]; at: number; name: string }
  | { kind: 'chat'; room: string }
  | { kind: 'words'; what: 'delete' | 'forward' | 'versions' | 'reactions'; room: string; message: Message }
  | { kind: 'safety' };

/** Steps after an identity was made that must not be skipped: keeping the code, then seeing what is on. */
export type Ceremony = { step: 'joining' } | { step: 'code'; code: string } | { step: 'protections' };

export class Kith {
  phase = $state<Phase | 'starting'>('starting');
  reason = $state<string | null>(null);
  startProblem = $state<string | null>(null);
  me = $state.raw<Me | null>(null);
  connection = $state<'online' | 'offline' | 'connecting'>('connecting');
  ceremony = $state.raw<Ceremony | null>(null);
  sheet = $state.raw<Sheet | null>(null);
  updateReady = $state.raw<(() => void) | null>(null);
  /** Files that wait to be sent, per room; in memory only, because nothing written may reach the disk unsealed. */
  readonly trays = new Map<string, Tray>();
  readonly drafts: Drafts;
  /** An invite or a link into a group, opened before signing in. */
  opened = $state.raw<Extract<Route, { token: string }> | null>(null);

  #starting = false;

  readonly chats: Resource<Chat[]>;
  readonly requests;
  readonly invitations: Resource<Result<'group_invitations'>>;
  readonly notices: Resource<Notice[]>;
  readonly alarms: Resource<KeyAlarm[]>;
  readonly photos: Photos;
  readonly notifications: Notifications;
  /** Terms and standards; loaded by the screens that show them. */
  readonly terms: Resource<Result<'terms'>>;

  constructor(readonly engine: Engine) {
    this.chats = new Resource(() => engine.call('chats', {}));
    this.requests = new Resource(() => engine.call('requests', {}));
    this.invitations = new Resource(() => engine.call('group_invitations', {}));
    this.notices = new Resource(() => engine.call('notices', {}));
    this.alarms = new Resource(() => engine.call('alarms', {}));
    this.terms = new Resource(() => engine.call('terms', {}));
    this.photos = new Photos(engine);
    this.drafts = new Drafts(engine);
    this.notifications = new Notifications(engine);
    engine.on((happening) => this.#hear(happening));
  }

  async start(): Promise<void> {
    this.startProblem = null;
    this.#starting = true;
    try {
      const { phase, me, reason } = await this.engine.call('start', {});
      this.reason = reason ?? null;
      if (me) this.me = me;
      this.#enter(phase);
    } catch (error) {
      this.startProblem = sentence(error);
    } finally {
      this.#starting = false;
    }
  }

  /** After an operation that ends in an account on this device. */
  arrived(me: Me, phase: Phase = 'ready'): void {
    this.me = me;
    this.reason = null;
    this.#enter(phase);
  }

  /** After an operation that made an identity: the code is shown before anything else. */
  madeIdentity(me: Me, code: string): void {
    this.ceremony = { step: 'code', code };
    this.arrived(me);
  }

  isMinor(): boolean {
    return this.me !== null && this.me.band !== '18+';
  }

  chat(room: string): Chat | undefined {
    return this.chats.value?.find((chat) => chat.room === room);
  }

  /** Messages that wait to be read, in chats that may say so. */
  get waiting(): number {
    return waiting(this.chats.value ?? []);
  }

  async refreshMe(): Promise<void> {
    this.me = await this.engine.call('me', {});
  }

  async signOut(): Promise<void> {
    await this.engine.call('sign_out', {});
    this.#forget();
    this.reason = null;
    this.phase = 'signed-out';
  }

  async block(person: Person): Promise<void> {
    await this.engine.call('block', { account: person.account });
    await Promise.all([this.chats.load(), this.requests.load(), this.invitations.load()]);
  }

  /** Somebody whom this person restricts, as far as a chat with her is here. */
  restricts(account: string): boolean {
    return this.chats.value?.some((chat) => chat.restricted.includes(account)) === true;
  }

  async restrict(account: string): Promise<void> {
    await this.engine.call('restrict', { account });
    await this.chats.load();
  }

  async unrestrict(account: string): Promise<void> {
    await this.engine.call('unrestrict', { account });
    await this.chats.load();
  }

  #enter(phase: Phase): void {
    this.phase = phase;
    if (phase === 'ready') void this.#refresh();
  }

  async #refresh(): Promise<void> {
    const refreshed = [this.chats.load(), this.requests.load(), this.invitations.load(), this.notices.load(), this.alarms.load()];
    if (!this.me) refreshed.push(this.refreshMe());
    // Nobody waits for it: the next start tries again.
    this.notifications.start().catch((error: unknown) => console.info('not woken', sentence(error)));
    await Promise.all(refreshed);
  }

  #hear(happening: Happening): void {
    switch (happening.type) {
      case 'phase':
        // Told on the way to the answer that `start` waits for; taken twice, everything would be fetched twice.
        if (this.#starting) return;
        this.reason = happening.reason ?? null;
        if (happening.phase !== 'ready') this.sheet = null;
        if (happening.phase === 'signed-out') this.#forget();
        return this.#enter(happening.phase);
      case 'connection':
        this.connection = happening.state;
        if (happening.state === 'online') this.photos.retry();
        return;
      case 'chats':
        return void this.chats.load();
      case 'requests':
        void this.invitations.load();
        return void this.requests.load();
      case 'standing':
        // The standing on screen stays until the new one is here; the next happening or visit tries again.
        return void this.refreshMe().catch((error: unknown) => (this.startProblem = sentence(error)));
      case 'notices':
        void this.requests.load(); // a request carries the notice about whoever sent it
        return void this.notices.load();
      case 'alarms':
        return void this.alarms.load();
      case 'thread':
      case 'reports':
        return; // heard by the screens that show them
    }
  }

  #forget(): void {
    this.me = null;
    this.drafts.clear();
    this.trays.forEach((tray) => tray.clear());
    this.trays.clear();
    this.chats.value = this.requests.value = this.invitations.value = this.notices.value = this.alarms.value = undefined;
    this.photos.forget();
    this.notifications.forget();
  }
}

export const personOfChat = (chat: Chat, recent: boolean): Person => ({
  account: chat.account, handle: chat.handle, name: called(chat), room: chat.room, request: null,
  blocked: chat.blocked, recent,
});

export const personOfRequest = (request: ReceivedRequest): Person => ({
  account: request.account, handle: request.handle, name: called(request), room: null, request: request.request,
  blocked: false, recent: true,
});

/** Somebody of a group, as reports and blocks know her. */
export const personOfMember = (member: Omit<Participant, 'role'>, room: string): Person => ({
  account: member.account, handle: member.handle, name: called(member), room, request: null, blocked: false, recent: false,
});

/** Who wrote a message: the other person of a chat, or that member of the group, also when she has left it. */
export function personOfMessage(chat: Chat, message: Message, recent: boolean): Person {
  if (chat.kind === 'direct') return personOfChat(chat, recent);
  const { sender: account, sender_name: display_name } = message;
  const member = chat.people.find((one) => one.account === account) ?? { account, handle: '', display_name };
  return personOfMember(member, chat.room);
}

export const [useKith, provideKith] = createContext<Kith>();
