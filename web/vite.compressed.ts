/** Beside every text file that is served lie its brotli and its gzip form: made once here, not at every request. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import type { Plugin } from 'vite';

const TEXT = /\.(?:js|css|html|svg|webmanifest)$/;

export function compressed(): Plugin {
  let folder = '';
  return {
    name: 'kith-compressed',
    configResolved({ build }) {
      folder = build.outDir;
    },
    // Last, when the service worker, the page and what is served as it is are there as well.
    closeBundle: {
      order: 'post',
      handler(error) {
        if (error) return;
        for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) if (TEXT.test(name)) twins(join(folder, name));
      },
    },
  };
}

function twins(file: string): void {
  const text = readFileSync(file);
  writeFileSync(`${file}.br`, brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: text.length } }));
  writeFileSync(`${file}.gz`, gzipSync(text, { level: 9 }));
}
