/** Times in words people use. Every function takes `now`, so tests choose the clock. */
import { formats, t } from '../i18n';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const midnight = (ms: number): number => new Date(ms).setHours(0, 0, 0, 0);
/** Whole calendar days between the two, in local time (a day with a clock change still counts as one). */
const daysBetween = (from: number, to: number): number => Math.round((midnight(to) - midnight(from)) / DAY);
const monthsBetween = (from: Date, to: Date): number =>
  (to.getFullYear() - from.getFullYear()) * 12 + to.getMonth() - from.getMonth();

/** The last moment that a calendar knows (ECMA-262): whatever a server says is a date. */
const LAST_MS = 8.64e15;
/** Made once for each form: a formatter is dear, and every message has a time. */
const formatters = new Map<string, Intl.DateTimeFormat>();

function format(ms: number, options: Intl.DateTimeFormatOptions): string {
  const form = formats() + JSON.stringify(options);
  let formatter = formatters.get(form);
  if (!formatter) formatters.set(form, (formatter = new Intl.DateTimeFormat(formats(), options)));
  return formatter.format(Math.min(ms, LAST_MS));
}

/** "10:42". */
export const clock = (ms: number): string => format(ms, { hour: 'numeric', minute: '2-digit' });

/** "5 May 2027": dates that matter (until when, since when) always carry the year. */
export const date = (ms: number): string => format(ms, { day: 'numeric', month: 'long', year: 'numeric' });

/** "May 2027". */
export const month = (ms: number): string => format(ms, { month: 'long', year: 'numeric' });

/** Heading of a day in a thread: "Today", "Yesterday", "Tuesday", "5 May", "5 May 2024". */
export function day(ms: number, now: number): string {
  const ago = daysBetween(ms, now);
  if (ago === 0) return t('time.today');
  if (ago === 1) return t('time.yesterday');
  if (ago > 1 && ago < 7) return format(ms, { weekday: 'long' });
  const thisYear = new Date(ms).getFullYear() === new Date(now).getFullYear();
  return format(ms, { day: 'numeric', month: 'long', ...(thisYear ? {} : { year: 'numeric' }) });
}

/** Short form for a list: the clock today, the weekday this week, else the date. */
export function brief(ms: number, now: number): string {
  const ago = daysBetween(ms, now);
  if (ago <= 0) return clock(ms);
  if (ago < 7) return format(ms, { weekday: 'short' });
  return format(ms, { day: 'numeric', month: 'short' });
}

/** "just now", "5 minutes ago", "3 hours ago", "2 days ago", then the date. */
export function ago(ms: number, now: number): string {
  const past = Math.max(0, now - ms);
  const relative = new Intl.RelativeTimeFormat(formats(), { numeric: 'auto' });
  if (past < MINUTE) return t('time.now');
  if (past < HOUR) return relative.format(-Math.floor(past / MINUTE), 'minute');
  if (past < DAY) return relative.format(-Math.floor(past / HOUR), 'hour');
  if (past < 14 * DAY) return relative.format(-daysBetween(ms, now), 'day');
  return date(ms);
}

/** How far ahead: "in 5 minutes", "in 3 hours", "in 6 days". */
export function ahead(ms: number, now: number): string {
  const left = Math.max(0, ms - now);
  const relative = new Intl.RelativeTimeFormat(formats(), { numeric: 'always' });
  if (left < HOUR) return relative.format(Math.max(1, Math.ceil(left / MINUTE)), 'minute');
  if (left < DAY) return relative.format(Math.ceil(left / HOUR), 'hour');
  return relative.format(Math.ceil(left / DAY), 'day');
}

/** When an account joined, to the month: "This month", "Last month", "March 2024". */
export function joined(ms: number, now: number): string {
  const months = monthsBetween(new Date(ms), new Date(now));
  if (months <= 0) return t('time.this_month');
  if (months === 1) return t('time.last_month');
  return month(ms);
}
