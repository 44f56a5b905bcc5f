/** The people's client: the engine in its worker at once, then the screens, then the service worker for offline opening. */
import { connectEngine } from './engine/client';
import type { Engine } from './engine/contract';
import { scriptUrl } from './script-url';
import { offerUpdates } from './ui/updates';

/** What stands in where not even a worker can be made; the screens then say which browsers work. */
const NO_ENGINE: Engine = {
  call: (op) =>
    op === 'start'
      ? (Promise.resolve({ phase: 'unsupported', me: null }) as never)
      : Promise.reject({ code: 'unsupported', message: 'This browser cannot run Kith.' }),
  on: () => () => undefined,
};

function engine(): Engine {
  try {
    return connectEngine();
  } catch (error) {
    console.warn('no worker', error);
    return NO_ENGINE;
  }
}

// The worker reads its half megabyte and wakes while the screens, asked for by the page already, are still on their way.
const made = engine();
const { openKith } = await import('./ui/mount');
const kith = openKith(made);
offerUpdates((update) => (kith.updateReady = update), scriptUrl);
