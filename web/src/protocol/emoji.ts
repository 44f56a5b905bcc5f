/**
 * What counts as one emoji: the rule for reactions, the same on every device whatever Unicode version it has. The ranges
 * are written out because the property Extended_Pictographic differs between versions; `protocol/emoji.py` has the rule in
 * words and the same ranges.
 */
import { utf8 } from './bytes';

/** UTF-8 bytes of one reaction. */
const MAX_BYTES = 32;

const PICTURES = [
  String.raw`\u{a9}\u{ae}\u{203c}\u{2049}\u{2122}\u{2139}\u{2194}-\u{2199}\u{21a9}-\u{21aa}\u{231a}-\u{231b}\u{2328}`,
  String.raw`\u{23cf}\u{23e9}-\u{23f3}\u{23f8}-\u{23fa}\u{24c2}\u{25aa}-\u{25ab}\u{25b6}\u{25c0}\u{25fb}-\u{25fe}`,
  String.raw`\u{2600}-\u{27bf}\u{2934}-\u{2935}\u{2b05}-\u{2b07}\u{2b1b}-\u{2b1c}\u{2b50}\u{2b55}\u{3030}\u{303d}\u{3297}`,
  String.raw`\u{3299}\u{1f004}\u{1f0cf}\u{1f170}-\u{1f171}\u{1f17e}-\u{1f17f}\u{1f18e}\u{1f191}-\u{1f19a}`,
  String.raw`\u{1f201}-\u{1f202}\u{1f21a}\u{1f22f}\u{1f232}-\u{1f23a}\u{1f250}-\u{1f251}\u{1f300}-\u{1f3fa}`,
  String.raw`\u{1f400}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f7e0}-\u{1f7ff}\u{1f90c}-\u{1f9ff}\u{1fa70}-\u{1faff}`,
].join('');
const PICTURE = String.raw`[${PICTURES}](?:\u{fe0f}|[\u{1f3fb}-\u{1f3ff}])?`;
const ONE = new RegExp(
  String.raw`^(?:[\u{1f1e6}-\u{1f1ff}]{2}|[0-9#*]\u{fe0f}?\u{20e3}|\u{1f3f4}[\u{e0020}-\u{e007e}]+\u{e007f}|${PICTURE}(?:\u{200d}${PICTURE})*)$`, 'u',
);

/** Whether the whole text is one emoji. */
export const isOneEmoji = (text: string): boolean => text.length <= MAX_BYTES && ONE.test(text) && utf8(text).length <= MAX_BYTES;
