/** The same engine for Node: synthetic people for black-box drivers and the tests. Output: .node/. */
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import { mendedLibrary } from './vite.mends.ts';
import { unusedSuites } from './vite.suites.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Every test file, the vector runner, the two ways to drive a synthetic person and MLS alone become one file each. */
function entries(): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(here('./tests'))) {
    if (name.endsWith('.test.ts')) found[`tests/${name.slice(0, -3)}`] = here(`./tests/${name}`);
  }
  const tools = {
    vectors: './tests/vectors.ts', peer: './tests/peer.ts', twin: './tests/twin.ts', person: './src/person/person.ts', stdio: './src/person/stdio.ts',
  };
  for (const [name, path] of Object.entries(tools)) if (existsSync(here(path))) found[name] = here(path);
  return found;
}

export default defineConfig({
  plugins: [mendedLibrary()],
  resolve: { alias: unusedSuites },
  build: {
    ssr: true,
    target: 'node20',
    outDir: '.node',
    emptyOutDir: true,
    minify: false,
    sourcemap: 'inline',
    rollupOptions: { input: entries(), output: { entryFileNames: '[name].js', chunkFileNames: 'chunks/[name]-[hash].js' } },
  },
  // Everything is bundled except what must stay a package of Node's own: ts-mls is imported in depth and as ES modules.
  ssr: { noExternal: true, external: ['ws'], target: 'node' },
});
