/**
 * Opens Kith without a connection: the files of one build, cached whole, and nothing else. No answer of the API and no
 * message ever enters a cache; what is played goes straight from the engine to the player. The build replaces the two names in capitals; each build has its own cache.
 */
const FILES = __PRECACHE__;
const CACHE = `kith ${__BUILD__}`;
const SHELL = '/';
const NETWORK_MS = 4000;
const MEDIA = '/media/';
/** A piece may come over a slow line; after this the player is told that there is nothing more. */
const PIECE_MS = 60_000;

self.addEventListener('install', (event) => {
  const fresh = FILES.map((file) => new Request(file, { cache: 'reload' }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(fresh)));
});

self.addEventListener('activate', (event) => {
  const older = caches.keys().then((names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name))));
  event.waitUntil(older.then(() => self.clients.claim()));
});

self.addEventListener('message', ({ data }) => {
  if (data === 'take over') self.skipWaiting();
  if (typeof data?.words === 'string') keepWords(data.words);
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== self.location.origin) return;
  if (url.pathname.startsWith(MEDIA)) event.respondWith(played(event, url.pathname));
  else if (request.mode === 'navigate') event.respondWith(networkThenShell(request));
  else if (FILES.includes(url.pathname)) event.respondWith(caches.match(url.pathname).then((kept) => kept ?? fetch(request)));
});

/** The newest page if the network answers soon; else the one that was kept. */
async function networkThenShell(request) {
  const kept = await caches.match(SHELL);
  if (!kept) return fetch(request);
  try {
    return await fetch(request, { signal: AbortSignal.timeout(NETWORK_MS) });
  } catch {
    return kept;
  }
}

const nothing = () => new Response(null, { status: 404 });

/**
 * A film or a sound, from the engine that gave the page this address. The page passes on the port and nothing else; the
 * engine answers with verified bytes, as fast as the player takes them. Only players get anything.
 */
async function played(event, path) {
  const { request } = event;
  const page = event.clientId && (await self.clients.get(event.clientId));
  if (!page || !['video', 'audio'].includes(request.destination)) return nothing();
  const { port1: port, port2: theirs } = new MessageChannel();
  // Whoever should answer may be gone: a page that was closed, an engine that ended.
  const answer = () => new Promise((resolve) => {
    const late = setTimeout(() => resolve('failed'), PIECE_MS);
    port.onmessage = ({ data }) => {
      clearTimeout(late);
      resolve(data);
    };
  });
  const first = answer();
  page.postMessage({ media: path }, [theirs]);
  port.postMessage({ range: request.headers.get('Range') });
  const told = await first;
  if (!told.head) {
    port.close();
    return nothing();
  }
  let over;
  event.waitUntil(new Promise((resolve) => { over = resolve; })); // as long as somebody plays
  const close = (last) => {
    if (last) port.postMessage(last);
    port.close();
    over();
  };
  const body = new ReadableStream({
    async pull(controller) {
      const next = answer();
      port.postMessage('more');
      const data = await next;
      if (data.part) controller.enqueue(new Uint8Array(data.part));
      else {
        if (data === 'end') controller.close();
        else controller.error(new TypeError('the file ended early'));
        close(data === 'end' ? undefined : 'stop');
      }
    },
    cancel: () => close('stop'),
  });
  return new Response(body, { status: told.head.partial ? 206 : 200, headers: headersOf(told.head) });
}

function headersOf({ type, length, from, to, partial }) {
  const headers = {
    'Content-Type': type, 'Content-Length': String(to - from), 'Accept-Ranges': 'bytes', 'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff', 'Content-Security-Policy': "default-src 'none'; sandbox",
  };
  return partial ? { ...headers, 'Content-Range': `bytes ${from}-${to - 1}/${length}` } : headers;
}

// ---- waking -------------------------------------------------------------------------------------------------------
// A wake-up says nothing, and neither does what is shown: no name, no words, no number on a locked screen.

const WORDS = '/words-of-a-notice';

/** The one sentence in the person's language, for when no page is open to say it. */
async function keepWords(words) {
  const cache = await caches.open(CACHE);
  await cache.put(WORDS, new Response(words.slice(0, 100)));
}

self.addEventListener('push', (event) => event.waitUntil(woken()));

async function woken() {
  const pages = await self.clients.matchAll({ type: 'window' });
  if (pages.some((page) => page.visibilityState === 'visible')) return; // it is on screen, and says so itself
  const words = await caches.match(WORDS);
  const body = words ? await words.text() : 'New message';
  await self.registration.showNotification('Kith', { body, tag: 'kith', icon: '/icons/kith-192.png' });
}

self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  event.waitUntil(comeBack());
});

async function comeBack() {
  const [page] = await self.clients.matchAll({ type: 'window' });
  if (page) await page.focus();
  else await self.clients.openWindow('/');
}
