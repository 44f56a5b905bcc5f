/** The connection to the stream: opens, keeps alive, opens again. Says nothing about what the frames mean. */
import { Malformed, type Bytes } from '../protocol/bytes';
import { decodeFrame, encodeFrame, MAX_ACKS, type ClientFrame, type MailId, type ServerFrame } from '../protocol/frames';
import type { Home, Socket } from './home';

export type LinkState = 'online' | 'offline' | 'connecting';

export interface LinkEvents {
  state(state: LinkState): void;
  /** After HELLO: everything unanswered is sent again. */
  ready(): void;
  frame(frame: ServerFrame): void;
  /** The server ended this connection for good. */
  bye(code: string): void;
  /** Could not connect several times: is this session still alive? */
  doubt(): void;
}

const FIRST_DELAY_MS = 400;
const LONGEST_DELAY_MS = 30_000;
const PING_EVERY_MS = 25_000;
const SILENCE_MS = 60_000;
/** After the network changed, a connection that says nothing for so long is taken for dead. */
const PROBE_MS = 4_000;
const ACK_AFTER_MS = 20;
/** Failed attempts before asking whether the session is still alive. */
const DOUBT_AFTER = 2;

export class Link {
  #socket: Socket | null = null;
  #ready = false;
  #stopped = true;
  #failures = 0;
  #lastHeard = 0;
  #acks: MailId[] = [];
  #cancelAck: (() => void) | null = null;
  #cancelTimer: (() => void) | null = null;
  #stopListening: (() => void) | null = null;
  #generation = 0;

  constructor(private readonly home: Home, private readonly events: LinkEvents) {}

  get ready(): boolean {
    return this.#ready;
  }

  start(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#failures = 0;
    this.#stopListening = this.home.network(() => this.#networkChanged());
    this.#connect();
  }

  stop(): void {
    this.#stopped = true;
    this.#generation++;
    this.#stopListening?.();
    this.#cancelTimer?.();
    this.#cancelAck?.();
    this.#cancelAck = null;
    this.#acks = [];
    this.#socket?.close();
    this.#socket = null;
    this.#ready = false;
  }

  /** True when it was handed to the socket. */
  send(frame: ClientFrame): boolean {
    if (!this.#ready || !this.#socket) return false;
    this.#socket.send(encodeFrame(frame));
    return true;
  }

  /** Acknowledges soon, many at once. Call only for what is on disk. */
  ack(mailId: MailId): void {
    if (mailId === 0) return;
    this.#acks.push(mailId);
    this.#cancelAck ??= this.home.after(ACK_AFTER_MS, () => this.flushAcks());
  }

  flushAcks(): void {
    this.#cancelAck?.();
    this.#cancelAck = null;
    const mailIds = this.#acks.splice(0, MAX_ACKS);
    // Without a connection they are simply sent again by the server and acknowledged then.
    if (mailIds.length > 0) this.send({ kind: 'ack', mailIds });
    if (this.#acks.length > 0) this.#cancelAck = this.home.after(ACK_AFTER_MS, () => this.flushAcks());
  }

  #connect(): void {
    const generation = ++this.#generation;
    const current = (): boolean => generation === this.#generation && !this.#stopped;
    this.events.state('connecting');
    this.#socket = this.home.openSocket({
      opened: () => undefined,
      received: (bytes) => {
        if (current()) this.#received(bytes as Bytes);
      },
      closed: () => {
        if (current()) this.#closed();
      },
    });
    this.#lastHeard = this.home.now();
    this.#watch(generation);
  }

  #watch(generation: number): void {
    this.#cancelTimer = this.home.after(PING_EVERY_MS, () => {
      if (generation !== this.#generation) return;
      if (this.home.now() - this.#lastHeard > SILENCE_MS) {
        this.#socket?.close();
        this.#closed();
        return;
      }
      this.send({ kind: 'ping' });
      this.#watch(generation);
    });
  }

  /** Whoever waits for the next attempt tries now; whoever is connected asks whether that is still true. */
  #networkChanged(): void {
    if (!this.#socket) {
      this.#cancelTimer?.();
      this.#connect();
    } else if (this.#ready) this.#probe(this.#generation, this.#lastHeard);
  }

  #probe(generation: number, heard: number): void {
    this.send({ kind: 'ping' });
    this.home.after(PROBE_MS, () => {
      if (generation !== this.#generation || this.#lastHeard !== heard) return;
      this.#socket?.close();
      this.#closed();
    });
  }

  #received(bytes: Bytes): void {
    this.#lastHeard = this.home.now();
    let frame: ServerFrame;
    try {
      frame = decodeFrame(bytes);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.#socket?.close();
      this.#closed();
      return;
    }
    if (frame.kind === 'hello') {
      this.#ready = true;
      this.#failures = 0;
      this.events.state('online');
      this.events.ready();
    } else if (frame.kind === 'bye') this.events.bye(frame.code);
    else this.events.frame(frame);
  }

  #closed(): void {
    this.#generation++;
    this.#cancelTimer?.();
    this.#socket = null;
    this.#ready = false;
    this.events.state('offline');
    if (this.#stopped) return;
    this.#failures++;
    if (this.#failures === DOUBT_AFTER) this.events.doubt();
    const delay = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(this.#failures - 1, 7));
    const jitter = (this.home.random(1)[0]! / 255) * 0.5 + 0.75;
    this.#cancelTimer = this.home.after(delay * jitter, () => this.#connect());
  }
}
