/** Names of files as they are shown. A name is somebody else's text: it may hide its ending or turn it round. */

/** Control letters, line breaks, and those that turn the direction of writing or take no room. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0\ufffd]/gu;
const LONGEST = 80;
const KEPT_END = 24;

/** On one line, without what hides or turns, its end always in sight; '' when nothing is left. */
export function shownName(name: string): string {
  const letters = [...name.replace(HIDDEN, ' ').replace(/\s+/gu, ' ').trim()];
  if (letters.length <= LONGEST) return letters.join('');
  return `${letters.slice(0, LONGEST - KEPT_END).join('')}…${letters.slice(-KEPT_END).join('')}`;
}
