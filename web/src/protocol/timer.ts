/** The timer of disappearing messages: a message of the room that sets it, and what every later one carries. */
import { equal, utf8, type Bytes } from './bytes';
import { disposition, type Content, type Part } from './content';

export const TIMER_TYPE = 'application/x.kith.timer';
/** Seconds after reading: off, 5 minutes, an hour, a day, a week, four weeks. */
export const TIMES = [0, 300, 3600, 86_400, 604_800, 2_419_200] as const;

export const timerPart = (seconds: number): Part => ({
  disposition: disposition('session'), language: '', kind: 'single', contentType: TIMER_TYPE, content: utf8(String(seconds)),
});

/** What a message sets the timer to; null when it does not, or to something that is not allowed. */
export function timerOf({ part, replaces }: Content): number | null {
  if (part.kind !== 'single' || part.contentType !== TIMER_TYPE || replaces !== null) return null;
  return TIMES.find((seconds) => equal(part.content as Bytes, utf8(String(seconds)))) ?? null;
}

/** After how many seconds of reading a message disappears; null: it stays, or says something that is not allowed. */
export function lifeOf({ expires }: Content): number | null {
  return expires?.relative ? (TIMES.find((seconds) => seconds > 0 && seconds === expires.time) ?? null) : null;
}

/** The content with the room's timer on it. */
export const timed = (content: Content, seconds: number): Content =>
  seconds > 0 && timerOf(content) === null ? { ...content, expires: { relative: true, time: seconds } } : content;
