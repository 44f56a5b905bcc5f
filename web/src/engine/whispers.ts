/**
 * Read status and typing of one room: what is told, and what is heard. Both are mutual: who does not tell does not see.
 *
 * A read status is cumulative: it names the newest message that was read. Nobody queues it for devices that are away, so
 * each one is told once more when somebody of the room is next seen.
 */
import { Malformed, toHex, type Bytes } from '../protocol/bytes';
import { decodeContent, encodeContent, roomOf, senderOf, type Content, type Head } from '../protocol/content';
import { receiptsContent, signalOf, typingContent } from '../protocol/ephemeral';
import { parseUri } from '../protocol/uris';
import { storedAt } from './compose';
import type { Controls, Happening } from './contract';
import type { Directory } from './directory';
import type { Home, Write } from './home';
import type { Hushes } from './hushes';
import type { Processed } from './mls';
import type { ReadByOthers, Thread, Told } from './records';
import { readUpTo } from './reading';
import type { Vault } from './vault';

/** Typing is told once in this time. */
export const TYPING_EVERY_MS = 4_000;

export interface WhisperContext {
  home: Home;
  vault: Vault;
  directory: Directory;
  controls(): Controls;
  hushes: Hushes;
  emit(happening: Happening): void;
}

export class Whispers {
  /** Somebody of this room was heard since the last status was told. */
  #seen = false;
  #lastTyping = Number.NEGATIVE_INFINITY;

  constructor(private readonly context: WhisperContext, private readonly room: string, private readonly uri: string, private readonly self: string) {}

  /** Whoever was away when a status was told may be here now. */
  seen(): void {
    this.#seen = true;
  }

  // ---- telling ----------------------------------------------------------------------------------------------------

  /** True when it may be told now that this person writes; it then counts as told. */
  async mayTellTyping(): Promise<boolean> {
    const now = this.context.home.now();
    if (!this.context.controls().typing || now - this.#lastTyping < TYPING_EVERY_MS) return false;
    if (!(await this.context.hushes.open(this.room))) return false;
    this.#lastTyping = now;
    return true;
  }

  typing(head: Head): Bytes {
    return encodeContent(typingContent(head));
  }

  /** What is to be told about reading, and what is remembered of it; null: nothing. */
  async owed(thread: Thread): Promise<{ content(head: Head): Bytes; told: Write } | null> {
    const { vault, controls, hushes } = this.context;
    const { seen } = thread;
    if (!seen || !controls().read_receipts || !(await hushes.open(this.room))) return null;
    const told = await vault.get<Told>('meta', `told/${this.room}`);
    const fresh = told === null || seen.seq > told.seq;
    if (!fresh && !(this.#seen && told.again)) return null;
    return {
      content: (head) => encodeContent(receiptsContent(head, [seen.id])),
      told: await vault.put('meta', `told/${this.room}`, { seq: seen.seq, again: fresh } satisfies Told),
    };
  }

  /** A status is on its way. */
  toldNow(): void {
    this.#seen = false;
  }

  // ---- hearing ----------------------------------------------------------------------------------------------------

  /** Takes what somebody's device told; anything that does not belong here is dropped. */
  async hear({ sender, plaintext }: Pick<Extract<Processed, { kind: 'application' }>, 'sender' | 'plaintext'>): Promise<void> {
    const account = parseUri(sender.account, 'u').id;
    const content = this.#opened(plaintext, sender.account);
    if (content === null) return;
    const signal = signalOf(content);
    if (account === this.self) return signal?.what === 'receipts' ? this.#readElsewhere(signal.read) : undefined;
    this.seen();
    if (!(await this.context.hushes.open(this.room))) return;
    const controls = this.context.controls();
    if (signal?.what === 'typing' && controls.typing) {
      const name = (await this.context.directory.nameOf(account)) ?? '';
      this.context.emit({ type: 'typing', room: this.room, account, name });
    }
    if (signal?.what === 'receipts' && controls.read_receipts) await this.#read(account, signal.read);
  }

  #opened(plaintext: Bytes, sender: string): Content | null {
    try {
      const content = decodeContent(plaintext);
      return senderOf(content) === sender && roomOf(content) === this.uri ? content : null;
    } catch (error) {
      if (error instanceof Malformed) return null;
      throw error;
    }
  }

  /** Another device of this person has read up to there; it told the others itself. */
  async #readElsewhere(ids: readonly Bytes[]): Promise<void> {
    const { vault, emit, home } = this.context;
    if (!(await readUpTo(vault, this.room, await this.#newest(ids), home.now()))) return;
    emit({ type: 'thread', room: this.room });
    emit({ type: 'chats' });
  }

  /** The highest number among those of these messages that are here. */
  async #newest(ids: readonly Bytes[]): Promise<number> {
    const rows = await Promise.all(ids.map((id) => storedAt(this.context.vault, this.room, toHex(id))));
    return Math.max(0, ...rows.map((named) => named?.row.seq ?? 0));
  }

  /** Only messages of this room that are here count; what was read stays read. */
  async #read(account: string, ids: readonly Bytes[]): Promise<void> {
    const { vault, emit } = this.context;
    const key = `reads/${this.room}`;
    const before = (await vault.get<ReadByOthers>('meta', key)) ?? {};
    const seq = Math.max(before[account] ?? 0, await this.#newest(ids));
    if (seq === (before[account] ?? 0)) return;
    await vault.save('meta', key, { ...before, [account]: seq } satisfies ReadByOthers);
    emit({ type: 'thread', room: this.room });
  }
}
