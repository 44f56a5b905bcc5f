/**
 * A made-up right-to-left language for tests: English words shown mirrored, so that a layout that leans on left
 * and right, or a string that never went through the catalogue, is seen at a glance. Holes stay untouched.
 */
const MIRRORED = { start: '\u202e', end: '\u202c' };

function mirror(text: string): string {
  return text
    .split(/(\{\w+\})/)
    .map((part) => (part.startsWith('{') ? part : part.replace(/[\p{L}\p{N}’']+/gu, (w) => MIRRORED.start + w + MIRRORED.end)))
    .join('');
}

export function pseudo<C extends Record<string, string>>(catalogue: C): C {
  return Object.fromEntries(Object.entries(catalogue).map(([key, text]) => [key, mirror(text)])) as C;
}
