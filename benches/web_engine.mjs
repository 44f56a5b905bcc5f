// The web engine behind JSON lines, as tests/mls/peer.mjs has ts-mls. Usage: node web_engine.mjs <web/.node>
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const { ask } = await import(pathToFileURL(join(process.argv[2], 'peer.js')).href);

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await ask(JSON.parse(line)))}\n`);
}
