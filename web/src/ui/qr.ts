/** QR codes for screens: dark modules by row, made by a library; null when the text is too long to be scanned with ease. */
import { encode } from 'uqr';

const LONGEST = 213;

export function qr(text: string): boolean[][] | null {
  return text.length > LONGEST ? null : encode(text, { ecc: 'M', border: 0 }).data;
}

/** One SVG path of unit squares. */
export const path = (modules: boolean[][]): string =>
  modules.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : ''))).join('');
