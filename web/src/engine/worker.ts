/** The worker: one engine, asked by the page through rpc.ts. */
import type { Args, Op } from './contract';
import { EngineCore } from './core';
import { BrowserHome } from './home-browser';
import { errorOf, type Ask, type Tell } from './rpc';

const engine = new EngineCore(new BrowserHome());
const tell = (message: Tell): void => self.postMessage(message);

engine.on((happening) => tell({ happening }));

self.onmessage = ({ data: { id, op, args } }: MessageEvent<Ask>) => {
  engine.call(op, args as Args<Op>).then(
    (result) => tell({ id, result }),
    (error: unknown) => tell({ id, error: errorOf(error) }),
  );
};
