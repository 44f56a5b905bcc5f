/**
 * MessagePack as the stream and what is kept here use it: the library's, with bounds for what comes from others, and
 * one kind of error.
 */
import { decode as read, encode as write } from '@msgpack/msgpack';
import { Malformed, type Bytes } from './bytes';

/** What is accepted from others: how many bytes at most, how long an array may be, and whether there may be maps. */
export interface Bounds { array: number; maps: boolean }
const OURS: Bounds = { array: Infinity, maps: true };

export const encode = (value: unknown): Bytes => write(value).slice() as Bytes;

/** The one value of these bytes; anything after it, and anything else than a value, is `Malformed`. */
export function decode(bytes: Uint8Array, bounds = OURS): unknown {
  try {
    return read(bytes, { maxArrayLength: bounds.array, maxMapLength: bounds.maps ? Infinity : 0, maxExtLength: 0 });
  } catch (error) {
    throw new Malformed(`not MessagePack: ${error instanceof Error ? error.message : 'unreadable'}`);
  }
}
