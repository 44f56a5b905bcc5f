/** Errors as sentences that a person can act on. */
import type { EngineError } from '../engine/contract';
import { plural, t } from '../i18n';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

function isEngineError(error: unknown): error is EngineError {
  return typeof error === 'object' && error !== null && 'code' in error && 'message' in error;
}

/** What cannot be done here, said by the page itself. */
export class Cannot extends Error implements EngineError {
  readonly code = 'cannot';
}

export function codeOf(error: unknown): string {
  return isEngineError(error) ? error.code : 'unknown';
}

/** "Try again in about 5 minutes.", rounded up, never in seconds. */
export function patience(afterMs: number): string {
  if (afterMs < MINUTE) return t('problem.soon');
  if (afterMs < HOUR) return plural('problem.minutes', Math.ceil(afterMs / MINUTE));
  return plural('problem.hours', Math.ceil(afterMs / HOUR));
}

/** One or two sentences: what happened, and when to try again where the server said so. */
export function sentence(error: unknown): string {
  if (!isEngineError(error)) return t('problem.unknown');
  if (error.code === 'offline') return t('problem.offline');
  const said = error.message.trim() || t('problem.unknown');
  return error.retry_after_ms === undefined ? said : `${said} ${patience(error.retry_after_ms)}`;
}
