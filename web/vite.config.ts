/** How the people's client is built: static files only, no source maps, everything from one origin. */
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';
import { compressed } from './vite.compressed.ts';
import { mendedLibrary } from './vite.mends.ts';
import { unusedSuites } from './vite.suites.ts';

const SERVICE_WORKER = fileURLToPath(new URL('./src/sw.js', import.meta.url));

/** Files that are served as they are: the manifest and the icons. */
function publicFiles(): string[] {
  const found = readdirSync(fileURLToPath(new URL('./public', import.meta.url)), { recursive: true, withFileTypes: true });
  return found.filter((file) => file.isFile()).map((file) => `${file.parentPath}/${file.name}`.split('/public/')[1]!).sort();
}

/**
 * Emits /sw.js from src/sw.js, with `__PRECACHE__` replaced by the list of built files
 * and `__BUILD__` by a hash of that list and of the page, so that every build has its own cache name.
 */
function serviceWorker(): Plugin {
  return {
    name: 'kith-service-worker',
    generateBundle(_options, bundle) {
      if (!existsSync(SERVICE_WORKER)) return;
      const files = Object.keys(bundle).filter((name) => name.startsWith('assets/')).sort();
      const list = JSON.stringify(['/', ...files, ...publicFiles()].map((name) => `/${name}`.replace('//', '/')));
      const page = bundle['index.html'];
      const shell = page?.type === 'asset' ? page.source : '';
      const build = createHash('sha256').update(list).update(shell).digest('hex').slice(0, 12);
      const source = readFileSync(SERVICE_WORKER, 'utf8')
        .replace('__PRECACHE__', list)
        .replace('__BUILD__', JSON.stringify(build));
      this.emitFile({ type: 'asset', fileName: 'sw.js', source });
    },
  };
}

/** The screens are asked for by the page itself: what asks for them waits only for the engine's few lines. */
function screensAtOnce(): Plugin {
  return {
    name: 'kith-screens-at-once',
    transformIndexHtml: {
      order: 'post',
      handler(_html, { bundle }) {
        const files = Object.values(bundle ?? {}).filter(({ fileName }) => /^assets\/(?:screens|mount)-/.test(fileName));
        return files.sort((a, b) => (a.fileName < b.fileName ? 1 : -1)).map(({ fileName }) => {
          const rel = fileName.endsWith('.css') ? 'stylesheet' : 'modulepreload';
          return { tag: 'link', attrs: { rel, crossorigin: true, href: `/${fileName}` }, injectTo: 'head' as const };
        });
      },
    },
  };
}

export default defineConfig({
  plugins: [svelte(), screensAtOnce(), serviceWorker(), compressed()],
  // Only the worker holds the library.
  worker: { format: 'es', plugins: () => [mendedLibrary()] },
  resolve: { alias: unusedSuites },
  build: {
    target: 'es2022',
    outDir: 'dist',
    sourcemap: false,
    // Inlined data: URLs would need a looser policy and defeat the precache list.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            { name: 'engine', test: /\/src\/(?:engine\/client|script-url)\.ts$|vite\/preload-helper/, priority: 2 },
            // Everything that the first screens need is one file, however many of its parts later ones share.
            { name: 'screens', test: /\/src\/ui\/mount\.ts$/, priority: 1 },
          ],
        },
      },
    },
  },
});
