/**
 * Opens Kith without a connection: the files of one build, cached whole, and nothing else. No answer of the API and no
 * message ever enters a cache. The build replaces the two names in capitals; each build has its own cache.
 */
const FILES = __PRECACHE__;
const CACHE = `kith ${__BUILD__}`;
const SHELL = '/';
const NETWORK_MS = 4000;

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
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== self.location.origin) return;
  if (request.mode === 'navigate') event.respondWith(networkThenShell(request));
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
