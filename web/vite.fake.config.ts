/** Builds the screens over the scripted engine, to look at them. Never part of what is served to people. */
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';
import { mendedLibrary } from './vite.mends.ts';
import { unusedSuites } from './vite.suites.ts';

export default defineConfig({
  plugins: [svelte()],
  worker: { format: 'es', plugins: () => [mendedLibrary()] },
  resolve: { alias: unusedSuites },
  build: {
    target: 'es2022',
    outDir: '.fake',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    rollupOptions: { input: 'fake.html' },
  },
});
