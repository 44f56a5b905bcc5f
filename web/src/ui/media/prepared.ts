/** What the page and the worker that prepares say to each other. */
import type { Cleaned } from './film';

/** Why a picture does not go as a picture. */
export type Refusal = 'unreadable' | 'huge';
export type Drawn =
  | { refused: Refusal }
  | { refused?: undefined; bytes: Blob; type: string; width: number; height: number; thumbhash: Uint8Array; moves: boolean };

export interface Asked { id: number; what: 'picture' | 'film'; file: Blob }
/** `done` null: it could not be worked on. */
export interface Answered { id: number; done: { picture: Drawn } | { film: Cleaned } | null }
