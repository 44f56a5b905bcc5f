/** Keeps the place in a thread: at the end while a person reads the end, where they were while they read above. */

const NEAR_PX = 80;
/** How close to either end of what is loaded more is asked for. */
const MORE_PX = 600;

export const nearEnd = (log: HTMLElement): boolean => log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_PX;

export function toEnd(log: HTMLElement): void {
  log.scrollTop = log.scrollHeight;
}

export type End = 'top' | 'bottom';

export function nearWhich(log: HTMLElement): End | null {
  if (log.scrollTop < MORE_PX) return 'top';
  return log.scrollHeight - log.scrollTop - log.clientHeight < MORE_PX ? 'bottom' : null;
}

/** Follows the end while the reader is there and `follows()`; `onmoved` hears where they are: at the end, and near what is not loaded. */
export function followEnd(log: HTMLElement, follows: () => boolean, onmoved: (atEnd: boolean, near: End | null) => void): () => void {
  let following = nearEnd(log);
  let laidOut = '';
  const watch = (): void => {
    // What was laid out anew moved by itself, which is no wish to read above: a tray that closes while a message appears, for example.
    const before = laidOut;
    laidOut = `${log.clientHeight} ${log.scrollHeight}`;
    following = nearEnd(log) || (following && before !== laidOut);
    onmoved(following, nearWhich(log));
  };
  const grown = new ResizeObserver(() => following && follows() && toEnd(log));
  grown.observe(log);
  for (const child of log.children) grown.observe(child);
  log.addEventListener('scroll', watch, { passive: true });
  watch();
  return () => {
    grown.disconnect();
    log.removeEventListener('scroll', watch);
  };
}

/** Changes what is loaded without moving what is read: the first message in sight stays where it is. Lines between messages may go. */
export async function stayPut(log: HTMLElement, change: () => Promise<unknown>): Promise<void> {
  const above = log.getBoundingClientRect().top;
  const anchor = [...log.querySelectorAll('li[data-message]')].find((row) => row.getBoundingClientRect().bottom > above);
  const before = anchor?.getBoundingClientRect().top ?? 0;
  await change();
  if (anchor?.isConnected) log.scrollTop += anchor.getBoundingClientRect().top - before;
}

/** Brings a row into sight, a quarter from the top, with the end in sight when the row is near it. */
export function bringUp(log: HTMLElement, row: Element): void {
  log.scrollTop += row.getBoundingClientRect().top - log.getBoundingClientRect().top - log.clientHeight / 4;
}
