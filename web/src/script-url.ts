/** The only scripts that this page loads besides its own: its workers and the service worker. Trusted Types asks here. */
import engineUrl from './engine/worker.ts?worker&url';
import preparingUrl from './ui/media/preparing.ts?worker&url';

interface Policy { createScriptURL(url: string): string }
interface Factory { createPolicy(name: string, rules: Policy): { createScriptURL(url: string): unknown } }

const ALLOWED = new Set([...[engineUrl, preparingUrl].map((url) => new URL(url, self.location.origin).pathname), '/sw.js']);

function allow(url: string): string {
  const { origin, pathname } = new URL(url, self.location.origin);
  if (origin !== self.location.origin || !ALLOWED.has(pathname)) throw new TypeError('script URL is not allowed');
  return pathname;
}

const factory = (globalThis as { trustedTypes?: Factory }).trustedTypes;
const policy = factory?.createPolicy('kith-url', { createScriptURL: allow }) ?? { createScriptURL: allow };

/** A script URL that Trusted Types accepts; throws for anything but the workers and /sw.js. */
export function scriptUrl(url: string): string {
  return policy.createScriptURL(url) as string;
}

/** The worker that holds the keys. */
export const engineWorker = (): Worker => new Worker(scriptUrl(engineUrl), { type: 'module', name: 'kith' });
/** The worker that makes pictures and films ready to leave this device. It holds nothing and asks for nothing. */
export const preparingWorker = (): Worker => new Worker(scriptUrl(preparingUrl), { type: 'module', name: 'kith-preparing' });
