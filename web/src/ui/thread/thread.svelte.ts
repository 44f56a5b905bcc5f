/** The open thread: what is loaded of it, what is selected, what is being answered. */
import type { Chat, Message, Outgoing, Stretch } from '../../engine/contract';
import type { Kith } from '../kith.svelte';
import { FILES } from '../later';
import type { Tray } from '../media/tray.svelte';
import { preload } from '../parts/Lazy.svelte';
import { Resource } from '../resource.svelte';
import { point } from '../words/jump';
import { Typing } from './typing.svelte';
import { marked, UNMARKED, type Mark } from './unread';
import { afterLast, beginning, MOST, PAGE, renewed, withEarlier, withLater } from './window';

/** Asked for once there is something to keep, never at start-up; whatever the answer, nothing changes here. */
async function keepStorage(): Promise<void> {
  if (navigator.storage && !(await navigator.storage.persisted())) await navigator.storage.persist();
}

/** With files in it, what shows them is there before the messages are: nothing moves afterwards. */
async function ready(asked: Promise<Stretch>): Promise<Stretch> {
  const stretch = await asked;
  if (stretch.messages.some(({ files }) => files.length > 0)) await preload(FILES);
  return stretch;
}

export type Veiled = 'new' | 'restricted';

export class Thread {
  selected = $state<string | null>(null);
  replyTo = $state.raw<Message | null>(null);
  /** What waits to be sent with the next message. */
  tray = $state.raw<Tray | null>(null);
  recording = $state(false);
  /** The message that is to be changed; the composer takes it from here. */
  toEdit = $state.raw<Message | null>(null);
  /** The message that was gone to, marked for a moment. */
  found = $state<string | null>(null);
  /** The end of the chat is in sight. */
  atEnd = $state(false);
  /** The place that was asked for, from a search for example. */
  sought = $state<string | null>(null);
  /** Where the line "New messages" stands. */
  mark = $state.raw<Mark>(UNMARKED);
  readonly page: Resource<Stretch>;
  readonly typing: Typing;
  /** How the stretch on the page is asked for next; moves change it for one time. */
  #next: (() => Promise<Stretch>) | null = null;
  /** Something that this person wrote is on the page, if only on its way. */
  readonly #wrote = $derived.by(() => this.page.value?.messages.some(({ mine, kind }) => mine && kind !== 'info') === true);

  constructor(private readonly kith: Kith, readonly room: string) {
    this.typing = new Typing(kith.engine, room);
    this.tray = kith.trays.get(room) ?? null;
    this.page = new Resource(async () => {
      const next = this.#next ?? (() => this.#again());
      this.#next = null;
      return renewed(this.page.value, await ready(next()));
    });
  }

  /** Loads now and again whenever the engine says that the thread changed; returns how to stop. */
  follow(): () => void {
    void this.page.load();
    const stop = this.kith.engine.on((happening) => {
      if (!('room' in happening) || happening.room !== this.room) return;
      if (happening.type === 'typing') this.typing.heard(happening.account, happening.name);
      if (happening.type === 'thread') void this.#moved();
    });
    return () => {
      stop();
      this.typing.clear();
    };
  }

  /** Something changed; whoever's message came has written it. */
  async #moved(): Promise<void> {
    const before = this.page.value?.messages.at(-1)?.id;
    await this.page.load();
    if (this.page.value?.messages.at(-1)?.id !== before) this.typing.clear();
  }

  #ask(where: { before?: string; from?: string; limit?: number } = {}): Promise<Stretch> {
    return this.kith.engine.call('thread', { room: this.room, limit: PAGE, ...where });
  }

  /** The same stretch as it is now; at its end it goes on with what arrived. */
  async #again(): Promise<Stretch> {
    const window = this.page.value;
    const from = window?.begins ?? null;
    if (!window || from === null) return this.#open();
    const fresh = await this.#ask({ from, limit: MOST });
    if (!fresh.newer || window.newer) return beginning(fresh, window.newer ? window.messages.length : MOST);
    return this.#up(await this.#ask({ limit: MOST / 2 })); // more arrived than the window holds: follow the end
  }

  /** The newest messages; with more unread ones than that, the first of those. */
  async #open(): Promise<Stretch> {
    if (this.sought !== null) return this.#around(this.sought);
    const unread = this.kith.chat(this.room);
    if (!unread?.unread_from || unread.unread < PAGE) return this.#up(await this.#ask());
    return this.#around(unread.unread_from);
  }

  async #around(place: string): Promise<Stretch> {
    const [above, below] = await Promise.all([this.#ask({ before: place, limit: PAGE / 2 }), this.#ask({ from: place })]);
    const whole = { messages: [...above.messages, ...below.messages], more: above.more, newer: below.newer };
    return this.#up({ ...whole, begins: above.begins ?? below.begins, ends: below.ends ?? above.ends });
  }

  /** With older messages above it; what holds nothing but changes is passed over, one bounded reading after another. */
  async #up(window: Stretch): Promise<Stretch> {
    let now = window;
    while (now.messages.length === 0 && now.more && now.begins !== null) now = withEarlier(now, await this.#ask({ before: now.begins }));
    return now;
  }

  #move(next: () => Promise<Stretch>): Promise<void> {
    this.#next = next;
    return this.page.load();
  }

  earlier(): Promise<void> {
    return this.#move(async () => {
      const window = this.page.value!;
      return window.begins === null ? window : withEarlier(window, await this.#up(await this.#ask({ before: window.begins })));
    });
  }

  later(): Promise<void> {
    return this.#move(async () => {
      let window = this.page.value!;
      let page: Stretch;
      do {
        const from = afterLast(window);
        if (from === null) return window;
        page = await this.#ask({ from });
        window = withLater(window, page);
      } while (page.messages.length === 0 && page.newer);
      return window;
    });
  }

  newest(): Promise<void> {
    return this.#move(async () => this.#up(await this.#ask()));
  }

  /** To a place, with what is around it; null: wherever the reader is. */
  show(place: string | null): void {
    this.sought = place;
    if (place !== null && this.page.value) void this.goTo(place);
  }

  goTo(place: string): Promise<void> {
    return this.#move(() => this.#around(place));
  }

  /** Reading counts only while the end of the thread is in sight. */
  async read(unread: number, unread_from: string | null): Promise<void> {
    const reading = this.atEnd && this.page.value?.newer === false && document.visibilityState === 'visible';
    this.mark = marked(this.mark, { unread, unread_from }, reading);
    if (!reading || unread_from === null) return;
    try {
      await this.kith.engine.call('mark_read', { room: this.room });
    } catch (error) {
      console.warn('not marked as read', error); // only the count stays; the next look tries again
    }
  }

  /** To the message that this one answers, marked so that the eye finds it. */
  async showAnswered({ reply_to }: Message): Promise<void> {
    if (!reply_to?.place) return;
    if (!this.page.value?.messages.some(({ id }) => id === reply_to.id)) await this.goTo(reply_to.place);
    this.found = reply_to.id;
    await point(reply_to.id);
  }

  select(id: string): void {
    this.selected = this.selected === id ? null : id;
  }

  /**
   * Why what somebody sends stays closed until it is wanted: who is restricted always; who is new in a direct chat until it was
   * answered, and in a group for people under 18 until they have a chat with its sender.
   */
  veils(chat: Chat, account: string): Veiled | null {
    if (chat.restricted.includes(account)) return 'restricted';
    return this.#isNew(chat, account) ? 'new' : null;
  }

  #isNew(chat: Chat, account: string): boolean {
    if (!chat.group) return !chat.answered && !this.#wrote;
    return this.kith.isMinor() && !this.kith.chats.value?.some((one) => one.kind === 'direct' && one.account === account && !one.blocked);
  }

  /** Takes files into the message that is being written. */
  async attach(files: readonly File[], wanted: 'media' | 'file' | 'any'): Promise<void> {
    if (files.length === 0) return;
    const { trayOf } = await import('../media/tray.svelte');
    this.tray = trayOf(this.kith.trays, this.room);
    this.tray.add(files, wanted);
  }

  /** The message that the next one answers; it belongs to that one from now on. */
  takeReply(): Message | null {
    const reply = this.replyTo;
    this.replyTo = null;
    return reply;
  }

  async send(text: string, files: Outgoing[], reply: Message | null): Promise<void> {
    const rest = { ...(reply === null ? {} : { reply_to: reply.id }), ...(files.length > 0 ? { files } : {}) };
    await this.kith.engine.call('send', { room: this.room, text, ...rest });
    this.mark = { ...this.mark, at: null };
    await (this.page.value?.newer ? this.newest() : this.page.load());
    await keepStorage();
  }

  async retry(message: Message): Promise<void> {
    await this.kith.engine.call('retry', { room: this.room, id: message.id });
    await this.page.load();
  }
}
