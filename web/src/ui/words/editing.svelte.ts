/** The composer while it changes a message: what was being written waits aside and comes back. */
import type { Message } from '../../engine/contract';
import type { Kith } from '../kith.svelte';
import type { Thread } from '../thread/thread.svelte';

export class Editing {
  message = $state.raw<Message | null>(null);
  #aside = '';

  constructor(private readonly kith: Kith, private readonly thread: Thread) {}

  /** Begins; returns the words to change. */
  begin(message: Message, written: string): string {
    if (this.message === null) this.#aside = written;
    this.message = message;
    this.thread.replyTo = null;
    this.thread.selected = null;
    return message.text;
  }

  /** Ends without a change; returns what was being written before. */
  end(): string {
    this.message = null;
    const written = this.#aside;
    this.#aside = '';
    return written;
  }

  async save(text: string): Promise<void> {
    const message = this.message!;
    await this.kith.engine.call('edit', { room: this.thread.room, id: message.id, text });
  }

  /** The newest message of one's own, if it can be changed. */
  last(): Message | null {
    const mine = this.thread.page.value?.messages.findLast((message) => message.mine);
    return mine?.may.edit ? mine : null;
  }
}
