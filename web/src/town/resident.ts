/** A townsperson at her device: the web client's own engine, in this process, with a folder for a disk. */
import type { Args, Chat, Happening, Message, Op, ReceivedRequest, Result } from '../engine/contract';
import { Person } from './person';
import { nextWords, typingMs } from './answers';
import { HANDLES, type Townsperson } from './townspeople';

const LOOK_EVERY_MS = 300;
const THREAD_PAGE = 30;
/** Everything that comes within this time gets one answer together. */
const READING_MS = 500;
const DEVICE = 'Kith’s demo';

export class Resident {
  /** Chats in which an answer is being typed. */
  readonly #typing = new Set<string>();
  readonly #accepting = new Set<string>();

  constructor(readonly who: Townsperson, private readonly person: Person, private readonly note: (words: string) => void) {
    person.on((happening) => this.#heard(happening));
  }

  call<K extends Op>(op: K, args: Args<K>): Promise<Result<K>> {
    return this.person.call(op, args);
  }

  /** Comes online; signs up, in or anew where that is needed. True when the account is new. */
  async comeOnline(password: string, year: number): Promise<boolean> {
    const { phase, reason } = await this.call('start', {});
    if (phase === 'signed-out') return this.#arrive(password, year);
    if (phase === 'needs-identity') await this.call('make_identity', {});
    else if (phase === 'needs-recovery') await this.call('reset_identity', {});
    else if (phase !== 'ready') throw new Error(`${this.who.handle} is ${phase}: ${reason ?? ''}`);
    return false;
  }

  async #arrive(password: string, year: number): Promise<boolean> {
    const { handle, name, age } = this.who;
    try {
      const { phase } = await this.call('sign_in', { handle, password, device_name: DEVICE });
      if (phase === 'needs-identity') await this.call('make_identity', {});
      if (phase === 'needs-recovery') await this.call('reset_identity', {});
      return false;
    } catch (error) {
      if ((error as { code?: string }).code !== 'unauthenticated') throw error;
    }
    await this.person.signUp({ handle, display_name: name, password, year: year - age, month: 1, device_name: DEVICE });
    return true;
  }

  // ---- what the story asks of her --------------------------------------------------------------------------------

  /** Asks somebody, unless that was done before. */
  async ask(handle: string, text: string): Promise<void> {
    const { sent } = await this.call('requests', {});
    if (sent.some((one) => one.to === handle) || (await this.chatWith(handle))) return;
    await this.call('request', { handle, text });
  }

  async chatWith(handle: string): Promise<Chat | null> {
    return (await this.call('chats', {})).find((chat) => chat.handle === handle) ?? null;
  }

  async requestFrom(handle: string): Promise<ReceivedRequest | null> {
    return (await this.call('requests', {})).received.find((one) => one.handle === handle) ?? null;
  }

  /** Says yes to a request that comes or came; returns the chat. */
  async accept(handle: string): Promise<Chat> {
    return until(`${this.who.handle} accepts ${handle}`, async () => {
      const request = await this.requestFrom(handle);
      if (request) await this.call('accept', { request: request.request });
      return this.chatWith(handle);
    });
  }

  async decline(handle: string): Promise<void> {
    const request = await until(`${this.who.handle} declines ${handle}`, () => this.requestFrom(handle));
    await this.call('decline', { request: request.request });
  }

  async write(handle: string, text: string): Promise<void> {
    const chat = await until(`${this.who.handle} has a chat with ${handle}`, () => this.chatWith(handle));
    await this.call('send', { room: chat.room, text });
  }

  /** Waits until so many messages of somebody are here; returns the chat. */
  async reads(handle: string, count: number): Promise<Chat> {
    return until(`${this.who.handle} reads ${handle}`, async () => {
      const chat = await this.chatWith(handle);
      if (!chat) return null;
      const theirs = (await this.messages(chat.room)).filter((message) => !message.mine && message.kind === 'text');
      return theirs.length >= count ? chat : null;
    });
  }

  async messages(room: string): Promise<Message[]> {
    return (await this.call('thread', { room, limit: THREAD_PAGE })).messages;
  }

  // ---- what she does by herself ----------------------------------------------------------------------------------

  /** Answers whoever wrote or asked while she was away. */
  async catchUp(): Promise<void> {
    await this.#answerRequests();
    for (const chat of await this.call('chats', {})) await this.#answer(chat.room);
  }

  #heard(happening: Happening): void {
    if (happening.type === 'requests') this.#background(() => this.#answerRequests());
    if (happening.type === 'thread') this.#background(() => this.#answer(happening.room));
  }

  #background(work: () => Promise<void>): void {
    work().catch((error: unknown) => this.note(`${this.who.handle}: ${String(error)}`));
  }

  /** People outside the town are welcome; the town's own requests belong to the story. */
  async #answerRequests(): Promise<void> {
    const { received } = await this.call('requests', {});
    for (const { request, handle } of received) {
      if (HANDLES.has(handle) || this.#accepting.has(request)) continue;
      this.#accepting.add(request);
      await pause(typingMs('', Math.random()));
      const { room } = await this.call('accept', { request });
      await this.call('send', { room, text: this.who.welcome });
    }
  }

  /** One answer for everything that was said since her own last message; townspeople never answer each other. */
  async #answer(room: string): Promise<void> {
    if (this.#typing.has(room)) return;
    const chat = (await this.call('chats', {})).find((one) => one.room === room);
    if (!chat || !chat.writable || chat.blocked || HANDLES.has(chat.handle)) return;
    if (this.#typing.has(room) || nextWords(this.who, await this.messages(room)) === null) return;
    this.#typing.add(room);
    try {
      await pause(READING_MS);
      const text = nextWords(this.who, await this.messages(room));
      if (text === null) return;
      await this.call('mark_read', { room });
      await pause(typingMs(text, Math.random()));
      await this.call('send', { room, text });
    } finally {
      this.#typing.delete(room);
    }
  }

  stop(): void {
    this.person.stop();
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Looks again and again until there is something; fails after a minute. */
export async function until<T>(what: string, look: () => Promise<T | null>, patienceMs = 60_000): Promise<T> {
  for (let left = patienceMs; left > 0; left -= LOOK_EVERY_MS) {
    const found = await look();
    if (found !== null) return found;
    await pause(LOOK_EVERY_MS);
  }
  throw new Error(`Waited too long: ${what}.`);
}
