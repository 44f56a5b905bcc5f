/** What stands for a person when there is no picture. */

/** The first letter as a person sees it (a flag or a family emoji is one letter), upper case. */
export function initial(name: string): string {
  const [first] = new Intl.Segmenter(undefined, { granularity: 'grapheme' }).segment(name.trim());
  return first ? first.segment.toLocaleUpperCase() : '?';
}

/** One of six hues, the same for an account on every screen and every device. */
export function hue(account: string): 1 | 2 | 3 | 4 | 5 | 6 {
  let hash = 0x811c9dc5; // FNV-1a, 32 bits
  for (const letter of account) hash = Math.imul(hash ^ letter.codePointAt(0)!, 0x01000193) >>> 0;
  return ((hash % 6) + 1) as 1 | 2 | 3 | 4 | 5 | 6;
}

/** The name to say: what the person chose, or the handle. */
export const called = (person: { display_name: string; handle: string }): string =>
  person.display_name.trim() || person.handle;
