import assert from 'node:assert/strict';
import { test } from 'node:test';
import { files, relevant, suiteOne, type Case } from './mls-vectors';
import { readJson, vectorsFolder } from './shared';

const folder = vectorsFolder();
const skip = folder === null ? 'the shared vectors are not here (set KITH_VECTORS)' : false;
/** What takes longer is left to `npm run vectors`. */
const quick = ['crypto-basics', 'deserialization', 'key-schedule', 'message-protection', 'psk_secret', 'secret-tree', 'transcript-hashes', 'tree-math', 'tree-operations', 'welcome'];

for (const name of quick) {
  test(`the official vectors of ${name} hold for suite 1`, { skip }, async () => {
    const cs = await suiteOne();
    const cases = relevant(readJson<Case[]>(`${folder}/mls/${name}.json`) ?? []);
    assert.ok(cases.length > 0);
    for (const v of cases) await files[name]!(cs, v);
  });
}
