/** The few colours that stand in for a picture until it is here. */
import { thumbHashToDataURL } from 'thumbhash';

/** A hash is at least 5 bytes and at most 25; what a sender made up is no picture, and none is drawn. */
export function placeholder(thumbhash: Uint8Array | null): string | undefined {
  if (!thumbhash || thumbhash.length < 5 || thumbhash.length > 32) return undefined;
  try {
    return thumbHashToDataURL(thumbhash);
  } catch {
    return undefined; // not a hash: the box stays plain
  }
}
