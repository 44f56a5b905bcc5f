/**
 * How much of the built client (dist/) has to arrive before a person can read, compressed, against what it may be.
 *
 *     node tools/sizes.mjs             exits 1 when something has grown past its limit
 *     node tools/sizes.mjs worker      which files a script is made of: bytes once minified, and compressed alone
 */
import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const ASSETS = new URL('../dist/assets/', import.meta.url);
/** kB of gzip: what was reached, and a little. */
const LIMITS = {
  'the engine (worker)': { files: /^worker-.*\.js$/, most: 100 },
  'the screens at start': { files: /^(?:index|engine|screens|mount)-.*\.js$/, most: 66 },
  'styles at start': { files: /^screens-.*\.css$/, most: 6 },
  'the largest part that comes later': { files: /^(?!worker|index|engine|screens|mount).*\.js$/, most: 8, each: true },
};

function limits() {
  const names = readdirSync(ASSETS).filter((name) => /\.(?:js|css)$/.test(name));
  const kB = (name) => gzipSync(readFileSync(new URL(name, ASSETS)), { level: 9 }).length / 1000;
  let over = false;
  for (const [what, { files, most, each }] of Object.entries(LIMITS)) {
    const sizes = names.filter((name) => files.test(name)).map(kB);
    const size = each ? Math.max(...sizes) : sizes.reduce((sum, one) => sum + one, 0);
    if (sizes.length === 0) throw new Error(`Nothing in dist/ is ${what}: build it, or look at the names here and in vite.config.ts.`);
    console.log(`${size.toFixed(1).padStart(6)} of ${most} kB  ${what}`);
    over ||= size > most;
  }
  if (!over) return;
  console.error('The client has grown. See what it is made of (node tools/sizes.mjs worker), load what is not needed to read and '
    + 'answer messages later (src/ui/later.ts), or raise the limit here and say in the commit what people get for it.');
  process.exitCode = 1;
}

/** Builds once more, in memory and with source maps, and shares every minified byte out to the file it came from. */
async function inside(wanted) {
  const { build, loadConfigFromFile } = await import('vite');
  const chunks = [];
  const look = () => ({ name: 'look', generateBundle: (_options, bundle) => void chunks.push(...Object.values(bundle)) });
  const { config } = await loadConfigFromFile({ command: 'build', mode: 'production' }, 'vite.config.ts');
  const { plugins: ofWorker } = config.worker;
  await build({
    ...config, configFile: false, logLevel: 'silent',
    plugins: [...config.plugins.filter(({ name }) => name !== 'kith-compressed'), look()],
    worker: { ...config.worker, plugins: () => [...ofWorker(), look()] },
    build: { ...config.build, write: false, sourcemap: 'hidden' },
  });
  for (const chunk of chunks.filter(({ fileName, map }) => map && fileName.startsWith(`assets/${wanted}-`))) {
    console.log(`${chunk.fileName}: ${chunk.code.length} bytes, ${gzipSync(chunk.code).length} compressed`);
    const parts = Object.entries(shares(chunk)).map(([name, text]) => [text.length, gzipSync(text).length, name]);
    for (const [bytes, packed, name] of parts.sort(([a], [b]) => b - a)) console.log(`${bytes}`.padStart(8), `${packed}`.padStart(7), name);
  }
}

/** What of a script came from which source. */
function shares({ code, map }) {
  const lines = code.split('\n');
  const found = {};
  const starts = [...positions(map.mappings)];
  starts.forEach(({ line, column, source }, at) => {
    const next = starts[at + 1];
    const name = source < 0 ? '(the bundler)' : map.sources[source].replace(/^.*\/(?=(?:node_modules|src)\/)/, '');
    found[name] = (found[name] ?? '') + lines[line].slice(column, next?.line === line ? next.column : undefined);
  });
  return found;
}

/** The segments of a source map (ECMA-426), as far as they say where a stretch begins and of which source it is. */
function* positions(mappings) {
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  let source = 0;
  for (const [line, segments] of mappings.split(';').entries()) {
    let column = 0;
    for (const segment of segments.split(',').filter(Boolean)) {
      const fields = [...segment.matchAll(/[g-z0-9+/]*[A-Za-f]/g)].map(([digit]) => {
        const value = [...digit].reduce((sum, letter, at) => sum + ((digits.indexOf(letter) & 31) << (5 * at)), 0);
        return value & 1 ? -(value >> 1) : value >> 1;
      });
      column += fields[0];
      if (fields.length > 1) source += fields[1];
      yield { line, column, source: fields.length > 1 ? source : -1 };
    }
  }
}

await (process.argv[2] ? inside(process.argv[2]) : limits());
