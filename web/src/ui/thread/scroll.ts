/** Keeps the place in a thread: at the end while a person reads the end, where they were while they read above. */

const NEAR_PX = 80;

export const nearEnd = (log: HTMLElement): boolean => log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_PX;

export function toEnd(log: HTMLElement): void {
  log.scrollTop = log.scrollHeight;
}

/** Follows the end while the reader is there; `onaway` hears when they are not. */
export function followEnd(log: HTMLElement, onaway: (away: boolean) => void): () => void {
  let following = true;
  const watch = (): void => {
    following = nearEnd(log);
    onaway(!following);
  };
  const grown = new ResizeObserver(() => following && toEnd(log));
  grown.observe(log);
  for (const child of log.children) grown.observe(child);
  log.addEventListener('scroll', watch, { passive: true });
  toEnd(log);
  return () => {
    grown.disconnect();
    log.removeEventListener('scroll', watch);
  };
}
