/** Where tests find vectors, and small things that many tests make. */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';

/** The folder of the shared vectors: KITH_VECTORS, else next to the repository; null when there is none. */
export function vectorsFolder(): string | null {
  const folder = process.env['KITH_VECTORS'] ?? resolve(process.cwd(), '../../shared/vectors');
  return existsSync(folder) ? folder : null;
}

export function readJson<T>(path: string): T | null {
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as T) : null;
}

/** Golden files written by the Python side; tests run from `web/`. */
export function golden<T>(name: string): T | null {
  return readJson<T>(resolve(process.cwd(), `../tests/vectors/golden/${name}.json`));
}

export const account = (n: number): string => `0b0e7c0e-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
