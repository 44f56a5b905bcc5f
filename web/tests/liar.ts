/** A home whose server lies, loses and delays: the real server with somebody in between. */
import { decode, encode } from '@msgpack/msgpack';
import { Unreachable, type Answer, type Socket, type SocketEvents } from '../src/engine/home';
import { NodeHome } from '../src/engine/home-node';

export type Frame = unknown[];

export class LyingHome extends NodeHome {
  /** Returns what the device shall see instead of a frame: none, one or several. */
  fromServer: (frame: Frame) => Frame[] = (frame) => [frame];
  /** Returns what the server shall see instead of a frame of the device. */
  fromDevice: (frame: Frame) => Frame[] = (frame) => [frame];
  /** Returns another answer to a request, or the one given. */
  answer: (method: string, path: string, answer: Answer) => Answer = (_method, _path, answer) => answer;
  /** False: no request and no connection gets through. */
  reachable = true;
  #socket: Socket | null = null;
  #events: SocketEvents | null = null;

  override async request(method: string, path: string, body?: unknown): Promise<Answer> {
    if (!this.reachable) throw new Unreachable('cut off');
    return this.answer(method, path, await super.request(method, path, body));
  }

  override openSocket(events: SocketEvents): Socket {
    const socket = super.openSocket({
      opened: () => events.opened(),
      closed: () => events.closed(),
      received: (bytes) => {
        for (const frame of this.fromServer(decode(bytes) as Frame)) events.received(encode(frame));
      },
    });
    this.#socket = socket;
    this.#events = events;
    return {
      send: (bytes) => {
        for (const frame of this.fromDevice(decode(bytes) as Frame)) socket.send(encode(frame));
      },
      close: () => socket.close(),
    };
  }

  /** A frame that the server never sent. */
  inject(frame: Frame): void {
    this.#events?.received(encode(frame));
  }

  /** The connection breaks now. */
  cut(): void {
    this.#socket?.close();
    this.#events?.closed();
  }
}
