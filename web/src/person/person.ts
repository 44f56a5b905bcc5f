/**
 * A synthetic person: the same engine as in the browser, in Node, with a few verbs on top.
 *
 * Black-box tests use it. Everything a person does goes through contract.ts; nothing here knows keys, frames or groups.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Args, Chat, Happening, Me, Message, Op, Outgoing, Phase, ReceivedRequest, ReportCategory, Result } from '../engine/contract';
import type { MediaPort } from '../engine/attachments/play';
import { EngineCore } from '../engine/core';
import { Problem } from '../engine/errors';
import { NodeDevice, NodeHome, type NodeOptions } from '../engine/home-node';
import type { PackageLimits } from '../engine/packages';

/** Many people in one test need few key packages each: nobody is away for long. */
const fewPackages: Partial<PackageLimits> = { first: 10, refillBelow: 5, full: 20 };
const WAIT_MS = 20_000;

export interface PersonOptions extends NodeOptions { packages?: Partial<PackageLimits> }
export interface NewPerson {
  handle: string; display_name: string; password: string; year: number; month: number; device_name?: string;
}

export class Person {
  readonly #engine: EngineCore;
  readonly #home: NodeHome;
  readonly #heard = new Set<(message: Message) => void>();
  /** Per room, the newest sequence number that was handed to listeners. */
  readonly #told = new Map<string, number>();
  me: Me | null = null;

  /** A person at a device. Two persons on one `NodeDevice` are two tabs of one browser. */
  constructor(options: PersonOptions, device = new NodeDevice(options), home = new NodeHome(device)) {
    this.#home = home;
    this.#engine = new EngineCore(this.#home, { packages: { ...fewPackages, ...options.packages } });
    this.#engine.on((happening) => {
      if (happening.type !== 'thread') return;
      this.#tell(happening.room).catch((error: unknown) => {
        // Closed or signed out while it was reading: there is nobody left to tell.
        if (!(error instanceof Problem && ['locked', 'unauthenticated'].includes(error.code))) throw error;
      });
    });
  }

  /** Any operation of the contract. */
  call<K extends Op>(op: K, args: Args<K>): Promise<Result<K>> {
    return this.#engine.call(op, args);
  }

  on(listener: (happening: Happening) => void): () => void {
    return this.#engine.on(listener);
  }

  /** Messages of others as they arrive, tombstones and unknown kinds included, each once. */
  onMessage(heard: (message: Message) => void): () => void {
    this.#heard.add(heard);
    return () => this.#heard.delete(heard);
  }

  async #tell(room: string): Promise<void> {
    if (this.#heard.size === 0) return;
    const { messages } = await this.call('thread', { room });
    const before = this.#told.get(room) ?? 0;
    const fresh = messages.filter((message) => message.seq !== null && message.seq > (this.#told.get(room) ?? 0));
    this.#told.set(room, Math.max(before, ...fresh.map((message) => message.seq!)));
    for (const message of fresh) if (!message.mine) this.#heard.forEach((heard) => heard(message));
  }

  /** Passes the age question, makes the account and this device; returns the recovery code. */
  async signUp(who: NewPerson): Promise<string> {
    const [{ ticket }, { version }] = await Promise.all([
      this.call('age', { year: who.year, month: who.month }), this.call('terms', {}),
    ]);
    const { handle, display_name, password, device_name = 'Synthetic device' } = who;
    const { me, recovery_code } = await this.call('sign_up', {
      ticket, handle, display_name, password, terms_version: version, device_name,
    });
    this.me = me;
    return recovery_code;
  }

  /** Signs in on this device; with the recovery code the device becomes usable. */
  async signIn(handle: string, password: string, recoveryCode?: string, deviceName = 'Synthetic device'): Promise<Phase> {
    const { phase, me } = await this.call('sign_in', { handle, password, device_name: deviceName });
    this.me = me;
    if (phase !== 'needs-recovery' || recoveryCode === undefined) return phase;
    this.me = (await this.call('unlock_identity', { recovery_code: recoveryCode })).me;
    return 'ready';
  }

  /** Opens what is stored on this device and connects. */
  async start(): Promise<Phase> {
    const { phase, me } = await this.call('start', {});
    this.me = me;
    return phase;
  }

  request(handle: string, text: string): Promise<{ request: string }> {
    return this.call('request', { handle, text });
  }

  async received(): Promise<ReceivedRequest[]> {
    return (await this.call('requests', {})).received;
  }

  /** Accepts a request, by id or by who sent it; returns the room. */
  async accept(whom: { request: string } | { handle: string }): Promise<string> {
    const request = 'request' in whom ? whom.request : (await this.#requestFrom(whom.handle)).request;
    return (await this.call('accept', { request })).room;
  }

  async #requestFrom(handle: string): Promise<ReceivedRequest> {
    return this.eventually(async () => (await this.received()).find((one) => one.handle === handle) ?? null, `a request from ${handle}`);
  }

  send(room: string, text: string, replyTo?: string): Promise<Message> {
    return this.call('send', { room, text, ...(replyTo === undefined ? {} : { reply_to: replyTo }) });
  }

  /** Sends a file of this machine, described as `about` says. */
  sendFile(room: string, path: string, about: Partial<Omit<Outgoing, 'bytes'>> = {}, text = ''): Promise<Message> {
    const file: Outgoing = {
      bytes: new Blob([readFileSync(path)]), kind: 'file', name: basename(path), type: 'application/octet-stream', alt: '', width: null, height: null,
      thumbhash: null, duration_ms: null, waveform: null, poster: null, ...about,
    };
    return this.call('send', { room, text, files: [file] });
  }

  /** A player's request for an address that `play` gave. */
  serve(path: string, port: MediaPort): void {
    this.#engine.serve(path, port);
  }

  /** Saves a file of a message; returns the type that its bytes say. */
  async saveFile(room: string, id: string, part: number, path: string): Promise<{ size: number; type: string }> {
    const { blob } = await this.call('file', { room, id, part });
    writeFileSync(path, new Uint8Array(await blob.arrayBuffer()));
    return { size: blob.size, type: blob.type };
  }

  edit(room: string, id: string, text: string): Promise<null> {
    return this.call('edit', { room, id, text });
  }

  /** For everyone, or with `everyone` false on this device only. */
  delete(room: string, id: string, everyone = true): Promise<null> {
    return this.call('delete_message', { room, id, everyone });
  }

  /** With null, takes the reaction back. */
  react(room: string, id: string, symbol: string | null): Promise<null> {
    return this.call('react', { room, id, symbol });
  }

  forward(room: string, id: string, ...rooms: string[]): Promise<null> {
    return this.call('forward', { room, id, rooms });
  }

  /** Waits until a message of the room is as `wanted`: changed by somebody, reacted to, or deleted. */
  sees(room: string, id: string, wanted: Partial<Message>, waitMs = WAIT_MS): Promise<Message> {
    const is = (message: Message): boolean =>
      message.id === id && message.change === null
      && Object.entries(wanted).every(([field, value]) => JSON.stringify(message[field as keyof Message]) === JSON.stringify(value));
    return this.eventually(
      async () => (await this.messages(room)).find(is) ?? null, `${id} as ${JSON.stringify(wanted)}`, waitMs,
    );
  }

  async messages(room: string): Promise<Message[]> {
    return (await this.call('thread', { room })).messages;
  }

  async chatWith(handle: string): Promise<Chat> {
    return this.eventually(async () => (await this.call('chats', {})).find((chat) => chat.handle === handle) ?? null, `a chat with ${handle}`);
  }

  /** Waits until a message with this text is in the room, and returns it. */
  hear(room: string, text: string, waitMs = WAIT_MS): Promise<Message> {
    return this.eventually(
      async () => (await this.messages(room)).find((message) => message.text === text && message.delivery !== 'waiting') ?? null,
      `"${text}"`, waitMs,
    );
  }

  report(account: string, room: string | null, category: ReportCategory, note = '', message?: string): Promise<Result<'report'>> {
    return this.call('report', {
      account, room, category, minor_involved: false, note, ...(message === undefined ? {} : { message }),
    });
  }

  /** Asks again at every happening until there is an answer. */
  async eventually<T>(ask: () => Promise<T | null>, what: string, waitMs = WAIT_MS): Promise<T> {
    const until = Date.now() + waitMs;
    for (;;) {
      const answer = await ask();
      if (answer !== null) return answer;
      if (Date.now() > until) throw new Error(`waited ${waitMs} ms for ${what}`);
      await this.#nextHappening(250);
    }
  }

  #nextHappening(atMostMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, atMostMs);
      const off = this.on(done);
      function done(): void {
        clearTimeout(timer);
        off();
        resolve();
      }
    });
  }

  /** Closes the connection and lets the process end; what is stored stays. */
  stop(): void {
    this.#engine.stop();
    this.#home.close();
  }
}

export { NodeDevice } from '../engine/home-node';
export type { Chat, Happening, Message } from '../engine/contract';
