/** The worker: one engine, asked by the page through rpc.ts. */
import type { Args, Op } from './contract';
import { EngineCore } from './core';
import { BrowserHome } from './home-browser';
import { errorOf, type Ask, type Serve, type Tell } from './rpc';

const engine = new EngineCore(new BrowserHome());
const tell = (message: Tell): void => self.postMessage(message);

engine.on((happening) => tell({ happening }));

self.onmessage = ({ data, ports }: MessageEvent<Ask | Serve>) => {
  if ('media' in data) return engine.serve(data.media, ports[0]!);
  const { id, op, args } = data;
  engine.call(op, args as Args<Op>).then(
    (result) => tell({ id, result }),
    (error: unknown) => tell({ id, error: errorOf(error) }),
  );
};
