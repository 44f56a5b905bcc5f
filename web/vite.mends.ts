/**
 * Defects of ts-mls 1.6.4 that a group would meet, mended while building. Each is one exact piece of source in
 * mends.json with the section of RFC 9420 that it breaks; a piece that is not there exactly once fails the build, so
 * that no other version is taken for this one. A worker that does not hold the library has nothing to mend.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';

type Mend = { why: string; find: string; put: string };

const mends = JSON.parse(readFileSync(fileURLToPath(new URL('./mends.json', import.meta.url)), 'utf8')) as Record<string, Mend[]>;
const LIBRARY = /\/ts-mls\/dist\/src\/([A-Za-z]+\.js)$/;

export function mendedLibrary(): Plugin {
  const open = new Set(Object.keys(mends));
  let holds = false;
  return {
    name: 'kith-mended-ts-mls',
    enforce: 'pre',
    transform(code, id) {
      holds ||= id.includes('/ts-mls/');
      const file = LIBRARY.exec(id.split('?')[0]!)?.[1];
      if (file === undefined || !mends[file]) return null;
      open.delete(file);
      return { code: mends[file].reduce((text, mend) => mended(text, file, mend), code), map: null };
    },
    buildEnd(error) {
      if (error === undefined && holds && open.size > 0) this.error(`Not built with ts-mls: ${[...open].join(', ')}. Look at mends.json.`);
    },
  };
}

function mended(code: string, file: string, { why, find, put }: Mend): string {
  const parts = code.split(find);
  if (parts.length !== 2) throw new Error(`${file} of ts-mls is not the one that mends.json knows (${why}).`);
  return parts.join(put);
}
