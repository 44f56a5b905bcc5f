/** Errors of the engine that a person may read. */
import type { EngineError } from './contract';

export class Problem extends Error {
  override readonly name = 'Problem';
  constructor(
    readonly code: string,
    message: string,
    readonly more: { retry_after_ms?: number; decision?: string } = {},
  ) {
    super(message);
  }

  toJSON(): EngineError {
    return { code: this.code, message: this.message, ...this.more };
  }
}

export const signedOut = (): Problem => new Problem('signed_out', 'You are signed out on this device.');
export const offline = (): Problem => new Problem('offline', 'Kith cannot reach its server. Check your connection and try again.');
export const locked = (): Problem => new Problem('locked', 'Go online once to unlock this device.');
