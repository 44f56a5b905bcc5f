/** Every pair of colours in use, recomputed from tokens.css with the WCAG formula, light and dark. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

type Colour = readonly [number, number, number];
const CSS = readFileSync(join(process.cwd(), 'src/tokens.css'), 'utf8');

const hex = (text: string): Colour => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)) as unknown as Colour;
const TOKENS = new Map(
  [...CSS.matchAll(/--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g)].map(
    ([, name, light, dark]) => [name!, [hex(light!), hex(dark!)] as const] as const,
  ),
);

function luminance(colour: Colour): number {
  const [r, g, b] = colour.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
}

function contrast(a: Colour, b: Colour): number {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

const TEXT: [string, string][] = [
  ...['bg', 'surface', 'surface-2', 'mine', 'line'].map((ground): [string, string] => ['ink', ground]),
  ...['bg', 'surface', 'surface-2', 'mine'].map((ground): [string, string] => ['ink-2', ground]),
  ...['bg', 'surface', 'surface-2'].map((ground): [string, string] => ['accent', ground]),
  ...['bg', 'surface', 'surface-2'].map((ground): [string, string] => ['danger', ground]),
  ...['accent', 'hue-1', 'hue-2', 'hue-3', 'hue-4', 'hue-5', 'hue-6'].map((ground): [string, string] => ['on-accent', ground]),
  ['notice-ink', 'notice'], ['accent', 'mine'], ['bg', 'ink-2'],
];
const BOUNDARIES: [string, string][] = [['ink-2', 'bg'], ['ink-2', 'surface'], ['accent', 'bg'], ['accent', 'surface'], ['accent', 'notice']];

for (const [mode, name] of [[0, 'light'], [1, 'dark']] as const) {
  test(`text reaches 4.5:1 in ${name}`, () => {
    for (const [text, ground] of TEXT) {
      const ratio = contrast(TOKENS.get(text)![mode], TOKENS.get(ground)![mode]);
      assert.ok(ratio >= 4.5, `${text} on ${ground}: ${ratio.toFixed(2)}`);
    }
  });
  test(`borders and focus rings reach 3:1 in ${name}`, () => {
    for (const [edge, ground] of BOUNDARIES) {
      const ratio = contrast(TOKENS.get(edge)![mode], TOKENS.get(ground)![mode]);
      assert.ok(ratio >= 3, `${edge} on ${ground}: ${ratio.toFixed(2)}`);
    }
  });
}

test('the formula agrees with published values: black on white is 21, and #767676 on white is the AA limit', () => {
  assert.equal(contrast([0, 0, 0], [255, 255, 255]).toFixed(1), '21.0');
  assert.equal(contrast(hex('#767676'), hex('#ffffff')).toFixed(2), '4.54');
});
