/** `npm run vectors`: every official MLS vector of suite 1, and the suite-free ones; prints passed/total per file. */
import { files, relevant, suiteOne, type Case } from './mls-vectors';
import { readJson, vectorsFolder } from './shared';

const folder = vectorsFolder();
if (folder === null) {
  console.log('skipped: the vectors are not here (set KITH_VECTORS)');
} else {
  const cs = await suiteOne();
  let passed = 0;
  let total = 0;
  for (const [name, run] of Object.entries(files)) {
    const cases = relevant(readJson<Case[]>(`${folder}/mls/${name}.json`) ?? []);
    let here = 0;
    for (const [i, v] of cases.entries()) {
      try {
        await run(cs, v);
        here++;
      } catch (error) {
        console.error(`${name}[${i}]:`, error instanceof Error ? error.message : error);
      }
    }
    console.log(`${name}: ${here}/${cases.length}`);
    passed += here;
    total += cases.length;
  }
  console.log(`total: ${passed}/${total}`);
  if (passed !== total || total === 0) process.exitCode = 1;
}
