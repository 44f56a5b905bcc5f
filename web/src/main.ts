/** The people's client: the engine in its worker, the screens on the page, the service worker for offline opening. */
import { connectEngine } from './engine/client';
import type { Engine } from './engine/contract';
import { scriptUrl } from './script-url';
import { openKith } from './ui/mount';
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

const kith = openKith(engine());
offerUpdates((update) => (kith.updateReady = update), scriptUrl);
