/** How long a message may be: the content limit is 64 KiB, of which the envelope and a quote take a little. */
export const MESSAGE_BYTES = 60_000;
/** From here on the room that is left is shown. */
const SHOW_FROM = 50_000;

const encoder = new TextEncoder();

/** Bytes left, once it is worth saying; null while there is plenty. Negative: too long to send. */
export function bytesLeft(text: string): number | null {
  if (text.length * 3 < SHOW_FROM) return null; // a UTF-16 unit is at most three bytes
  const used = encoder.encode(text).length;
  return used < SHOW_FROM ? null : MESSAGE_BYTES - used;
}
