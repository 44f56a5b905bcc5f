/** The line between page and worker: `{id, op, args}` → `{id, result}` or `{id, error}`, and happenings. */
import type { EngineError, Happening, Op } from './contract';
import { Problem } from './errors';

export interface Ask { id: number; op: Op; args: unknown }
/** A player's request, with the port to answer it on. */
export interface Serve { media: string }
export type Tell =
  | { id: number; result: unknown }
  | { id: number; error: EngineError }
  | { happening: Happening };

/** What crosses the line of an error: a code and a sentence, never a stack or a key. */
export function errorOf(error: unknown): EngineError {
  if (error instanceof Problem) return error.toJSON();
  return { code: 'bug', message: 'Something went wrong inside Kith. Nothing was lost; try again.' };
}
