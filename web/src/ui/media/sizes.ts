/** Sizes, lengths and shapes of files in words and numbers that people use. Whatever a sender claims, what comes out is sane. */
import { formats } from '../../i18n';
import type { FileView } from '../../engine/contract';

const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte'] as const;

/** "212 kB", "7.4 MB"; '' for what is no size. */
export function sizeText(bytes: number): string {
  if (!Number.isFinite(bytes) || bytes < 0) return '';
  const step = Math.min(UNITS.length - 1, bytes < 1000 ? 0 : Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** step;
  const maximumFractionDigits = step >= 2 && value < 10 ? 1 : 0;
  return new Intl.NumberFormat(formats(), { style: 'unit', unit: UNITS[step]!, unitDisplay: step === 0 ? 'long' : 'short', maximumFractionDigits }).format(value);
}

/** "0:14", "1:02:09"; '' when it is not known or not believable. */
export function lengthText(ms: number | null): string {
  if (ms === null || !Number.isFinite(ms) || ms < 0 || ms > 100 * 3_600_000) return '';
  const seconds = Math.floor(ms / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (n: number): string => String(n).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** Narrower or wider pictures are cut to this in a thread, and whole in the viewer. */
const NARROWEST = 0.6;
const WIDEST = 2.2;

/** Width by height of the box that a picture gets before it is here; what a sender claims is kept within bounds. */
export function shape({ width, height }: Pick<FileView, 'width' | 'height'>): number {
  const ratio = (width ?? 0) / (height ?? 0);
  return Number.isFinite(ratio) && ratio > 0 ? Math.min(WIDEST, Math.max(NARROWEST, ratio)) : 4 / 3;
}
