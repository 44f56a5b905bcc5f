/** The page's end of the line: an `Engine` that lives in a worker. The page holds no key. */
import type { Args, Engine, EngineError, Happening, Op, Result } from './contract';
import { engineWorker } from '../script-url';
import type { Ask, Serve, Tell } from './rpc';

/** An operation failed with something a person can read. */
export class EngineFailure extends Error implements EngineError {
  override readonly name = 'EngineFailure';
  readonly code: string;
  readonly retry_after_ms?: number;
  readonly decision?: string;

  constructor(error: EngineError) {
    super(error.message);
    this.code = error.code;
    if (error.retry_after_ms !== undefined) this.retry_after_ms = error.retry_after_ms;
    if (error.decision !== undefined) this.decision = error.decision;
  }
}

interface Waiting { resolve(result: unknown): void; reject(error: EngineFailure): void }

export function connectEngine(): Engine {
  const worker = engineWorker();
  // The service worker asks for what is played; the worker answers on the request's own port, and the page sees none of it.
  navigator.serviceWorker?.addEventListener('message', ({ data, ports }: MessageEvent<Partial<Serve>>) => {
    if (typeof data.media === 'string' && ports[0]) worker.postMessage({ media: data.media } satisfies Serve, [ports[0]]);
  });
  const waiting = new Map<number, Waiting>();
  const listeners = new Set<(happening: Happening) => void>();
  let nextId = 1;
  worker.onmessage = ({ data }: MessageEvent<Tell>) => {
    if ('happening' in data) listeners.forEach((listener) => listener(data.happening));
    else settle(waiting, data);
  };
  worker.onerror = () => {
    waiting.forEach(({ reject }) => reject(new EngineFailure({ code: 'bug', message: 'Kith could not start here. Reload the page.' })));
    waiting.clear();
  };
  return {
    call<K extends Op>(op: K, args: Args<K>): Promise<Result<K>> {
      const id = nextId++;
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve: resolve as Waiting['resolve'], reject });
        worker.postMessage({ id, op, args } satisfies Ask);
      });
    },
    on(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function settle(waiting: Map<number, Waiting>, data: Exclude<Tell, { happening: Happening }>): void {
  const asked = waiting.get(data.id);
  waiting.delete(data.id);
  if ('error' in data) asked?.reject(new EngineFailure(data.error));
  else asked?.resolve(data.result);
}
