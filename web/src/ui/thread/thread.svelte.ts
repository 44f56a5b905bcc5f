/** The open thread: what is loaded of it, what is selected, what is being answered. */
import type { Message } from '../../engine/contract';
import type { Kith } from '../kith.svelte';
import { Resource } from '../resource.svelte';

const PAGE = 50;

/** Asked for once there is something to keep, never at start-up; whatever the answer, nothing changes here. */
async function keepStorage(): Promise<void> {
  if (navigator.storage && !(await navigator.storage.persisted())) await navigator.storage.persist();
}

export class Thread {
  selected = $state<string | null>(null);
  replyTo = $state.raw<Message | null>(null);
  readonly page: Resource<{ messages: Message[]; more: boolean }>;
  #limit = PAGE;

  constructor(private readonly kith: Kith, readonly room: string) {
    this.page = new Resource(() => kith.engine.call('thread', { room, limit: this.#limit }));
  }

  /** Loads now and again whenever the engine says that the thread changed; returns how to stop. */
  follow(): () => void {
    void this.page.load();
    return this.kith.engine.on((happening) => {
      if (happening.type === 'thread' && happening.room === this.room) void this.page.load();
    });
  }

  earlier(): Promise<void> {
    this.#limit += PAGE;
    return this.page.load();
  }

  /** Reading counts only while the page is in sight. */
  async markRead(): Promise<void> {
    const unread = this.kith.chat(this.room)?.unread ?? 0;
    if (unread === 0 || document.visibilityState !== 'visible') return;
    try {
      await this.kith.engine.call('mark_read', { room: this.room });
    } catch (error) {
      console.warn('not marked as read', error); // only the count stays; the next look tries again
    }
  }

  select(id: string): void {
    this.selected = this.selected === id ? null : id;
  }

  async send(text: string): Promise<void> {
    const reply = this.replyTo?.id;
    await this.kith.engine.call('send', { room: this.room, text, ...(reply === undefined ? {} : { reply_to: reply }) });
    this.replyTo = null;
    await this.page.load();
    await keepStorage();
  }

  async retry(message: Message): Promise<void> {
    await this.kith.engine.call('retry', { room: this.room, id: message.id });
    await this.page.load();
  }
}
