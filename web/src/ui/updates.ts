/** Keeps the client openable without a connection, and offers a new version instead of reloading under anyone's fingers. */

/** `offer` is called with what to do when the person agrees; `allowed` makes the script URL that the browser accepts. */
export function offerUpdates(offer: (update: () => void) => void, allowed: (url: string) => string): void {
  // A part of an older version that the server no longer has: the new version is one reload away.
  addEventListener('vite:preloadError', () => offer(() => location.reload()));
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
  const watch = (registration: ServiceWorkerRegistration): void => {
    const ready = (worker: ServiceWorker | null): void => {
      // Without a controller this is the very first version: nothing is older, so there is nothing to offer.
      if (worker && navigator.serviceWorker.controller) offer(() => take(worker));
    };
    ready(registration.waiting);
    registration.addEventListener('updatefound', () => {
      const coming = registration.installing;
      coming?.addEventListener('statechange', () => coming.state === 'installed' && ready(coming));
    });
  };
  navigator.serviceWorker.register(allowed('/sw.js'), { scope: '/', updateViaCache: 'none' }).then(watch, (error: unknown) => {
    console.warn('opening offline is not possible', error); // a private window, or storage is switched off
  });
}

function take(worker: ServiceWorker): void {
  navigator.serviceWorker.addEventListener('controllerchange', () => location.reload(), { once: true });
  worker.postMessage('take over');
}
