/** The page's end of the line: an `Engine` that lives in a worker. The page holds no key. */
import type { Args, Engine, EngineError, Happening, Op, Result } from './contract';
import type { Ask, Tell } from './rpc';
import workerUrl from './worker.ts?worker&url';

interface Policy { createScriptURL(url: string): string }
interface Factory { createPolicy(name: string, rules: Policy): { createScriptURL(url: string): unknown } }

/** The only script URLs this page ever loads besides its own. */
const ALLOWED = new Set([new URL(workerUrl, self.location.origin).pathname, '/sw.js']);

function allow(url: string): string {
  const { origin, pathname } = new URL(url, self.location.origin);
  if (origin !== self.location.origin || !ALLOWED.has(pathname)) throw new TypeError('script URL is not allowed');
  return pathname;
}

const factory = (globalThis as { trustedTypes?: Factory }).trustedTypes;
const policy = factory?.createPolicy('kith-url', { createScriptURL: allow }) ?? { createScriptURL: allow };

/** A script URL that Trusted Types accepts; throws for anything but the worker and /sw.js. */
export function scriptUrl(url: string): string {
  return policy.createScriptURL(url) as string;
}

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
  const worker = new Worker(scriptUrl(workerUrl), { type: 'module', name: 'kith' });
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
