/** The time, for what is said relative to it: read in a screen, it is read again while the screen stands still. */
import { createSubscriber } from 'svelte/reactivity';

const EVERY_MS = 10_000;

const passing = createSubscriber((update) => {
  const timer = setInterval(update, EVERY_MS);
  return () => clearInterval(timer);
});

export function now(): number {
  passing();
  return Date.now();
}
