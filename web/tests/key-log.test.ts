/** A server that lies in its key log: each lie is refused, and what speaks against the server stays visible. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EntryAnswer, KeysProofAnswer, WatchAnswer } from '../src/engine/api';
import { NodeDevice, NodeHome } from '../src/engine/home-node';
import { KeyLog, LogRefused } from '../src/engine/key-log';
import type { Alarm, HeardHead, LogRecord } from '../src/engine/records';
import { rootKey, Vault } from '../src/engine/vault';
import { fromBase64, toBase64, utf8, type Bytes } from '../src/protocol/bytes';
import { encodeDeviceList, HUB_SIGNING, signDeviceList } from '../src/protocol/identity';
import { newSeed, signerFromSeed, signWithLabel, type Signer } from '../src/protocol/sign';
import { decodeConfiguration, ENDORSED, headIsSigned, keyValue, parseValue } from '../src/protocol/transparency';
import { accountUri, deviceUri } from '../src/protocol/uris';
import { Log } from './log';
import { account } from './shared';

const DAY = 86_400_000;
const START = 1_767_225_600_000;
const [ann, ben, phone, tablet] = [account(1), account(2), account(11), account(12)];

async function signer(): Promise<Signer> {
  const { seed, publicKey } = await newSeed();
  return signerFromSeed(seed, publicKey);
}

const [logKey, hub, aik, eve] = await Promise.all([signer(), signer(), signer(), signer()]);

/** A value: identity key and a signed list of these devices. */
async function listed(key: Signer, version: number, ...devices: string[]): Promise<Bytes> {
  const entries = devices.map((one, at) => ({ device: deviceUri('h.example', one), mlsKey: new Uint8Array(32).fill(at + 1) as Bytes, addedMs: START }));
  const list = { account: accountUri('h.example', ann), version, signedMs: START, entries };
  return keyValue(key.publicKey, encodeDeviceList(list), await signDeviceList(key, list));
}

const said = (text: string): Bytes => utf8(text);
const heardOf = ({ tree_size, root, signature }: { tree_size: number; root: string; signature: string }): HeardHead =>
  ({ size: tree_size, root: fromBase64(root), signature: fromBase64(signature) });

/** Ann's device, and a server whose answers may be bent. Its log begins with entries of others and one of Ben's. */
class Scene {
  log = new Log(logKey, hub);
  now = START;
  endorsed = async (): Promise<{ configuration: string; signature: string } | undefined> => this.log.endorsed();
  bend: (answer: WatchAnswer) => WatchAnswer = (answer) => answer;
  denies = false;
  told = 0;
  held!: KeyLog;
  private constructor(readonly home: NodeHome, readonly vault: Vault) {}

  static async create(): Promise<Scene> {
    const home = new NodeHome(new NodeDevice({ origin: 'http://h.example' }));
    const scene = new Scene(home, new Vault(home, await rootKey(await home.backend.localKey(), new Uint8Array(32), ann, phone)));
    home.now = () => scene.now;
    const api = {
      wellKnown: async () => ({ transparency: await scene.endorsed() }),
      watch: async (of: string, from: Parameters<Log['watch']>[1]) => scene.bend(await scene.log.watch(of, from)),
      head: async (size: number, first: number) => (scene.denies || size > scene.log.entries.length ? null : scene.log.head(first, size)),
    };
    const manifest = async (): Promise<never> =>
      [{ index: 0, kind: HUB_SIGNING, publicKey: hub.publicKey, firstHubKeyId: 1, createdMs: START, previousHash: new Uint8Array(32) }] as never;
    scene.held = new KeyLog(home, api as never, scene.vault, { account: ann, device: phone, aik: () => aik.publicKey }, manifest);
    scene.held.onAlarm = () => void scene.told++;
    for (let n = 0; n < 5; n++) scene.log.add(account(100 + n), said('somebody'), START);
    scene.log.add(ben, said('ben 0'), START);
    return scene;
  }

  /** The server's own log goes on with a new entry. */
  adds(of: string, value: Bytes): void {
    this.log.add(of, value, this.now);
  }

  passes(ms: number): void {
    this.now += ms;
    this.log.wait(this.now);
  }

  /** Ann's device asks for Ben's keys. */
  sees(value: string, log = this.log, bend = (proof: KeysProofAnswer): KeysProofAnswer => proof): Promise<void> {
    return this.held.asking(async (size) => this.held.checkKeys(ben, bend(await log.proof(ben, size)), said(value)));
  }

  looks(): Promise<void> {
    return this.held.lookAround();
  }

  /** Ann's own first keys are in the log, and her device has looked. */
  async begins(): Promise<void> {
    this.adds(ann, await listed(aik, 1, phone));
    await this.looks();
    assert.deepEqual(await this.alarms(), []);
  }

  async alarms(): Promise<string[]> {
    return (await this.held.alarms()).map(({ id }) => id);
  }

  /** The heads that an alarm keeps; each is signed by the log's key. */
  async evidence(id: string): Promise<LogRecord[]> {
    const { evidence } = (await this.vault.get<Alarm>('meta', `alarm/${id}`))!;
    for (const one of evidence) assert.ok(await headIsSigned(decodeConfiguration(one.configuration), one.size, one.root, one.signature));
    return evidence;
  }

  refuses(work: Promise<unknown>, why: RegExp): Promise<void> {
    return assert.rejects(work, (error: Error) => why.test(error.message) || assert.fail(error));
  }
}

/** A test with its scene. */
const story = (name: string, play: (s: Scene) => Promise<void>): void => {
  test(name, async () => {
    const s = await Scene.create();
    await play(s);
    s.home.close();
  });
};

story('honest keys are taken again and again, and found again where everybody looks', async (s) => {
  await s.begins();
  for (const n of [1, 2, 3]) {
    await s.sees(`ben ${n - 1}`);
    s.passes(DAY);
    s.adds(ben, said(`ben ${n}`));
  }
  await s.sees('ben 3');
  assert.equal((await s.vault.range('meta', { prefix: 'watch/' })).length, 1);
  s.passes(DAY);
  s.passes(DAY);
  await s.looks();
  assert.equal((await s.vault.range('meta', { prefix: 'watch/' })).length, 0);
  assert.deepEqual(await s.alarms(), []);
});

story('keys without a proof, or with the proof of others, are refused', async (s) => {
  await s.refuses(s.held.asking(() => s.held.checkKeys(ben, null, said('ben 0'))), /not in its key log/);
  await s.refuses(s.sees('swapped'), /other keys/);
});

story('an older version is not the newest', async (s) => {
  s.adds(ben, said('ben 1'));
  await s.sees('ben 1');
  s.passes(1);
  const older = (proof: KeysProofAnswer): KeysProofAnswer => {
    const newest = s.log.entry(ben, s.log.entries.length - 1, 0);
    return { ...proof, newest, opening: { ...proof.opening, version: 0 } };
  };
  await s.refuses(s.sees('ben 0', s.log, older), /older keys/);
});

story('a tree that lost a version is refused, though the log goes on consistently', async (s) => {
  const before = s.log.entries.at(-1)!.leaves;
  s.adds(ben, said('ben 1'));
  await s.sees('ben 1');
  s.log.entries.push({ atMs: s.now, leaves: before });
  await s.refuses(s.sees('ben 0'), /forgot/);
  const other = before.filter((leaf) => leaf.account !== ben);
  s.log.entries.push({ atMs: s.now, leaves: other });
  s.adds(ben, said('ben anew'));
  s.adds(ben, said('ben replaced'));
  await s.refuses(s.sees('ben replaced'), /replaced/);
});

story('a forked log is refused, whether as long or longer, and both heads are kept, once', async (s) => {
  const other = s.log.fork();
  s.adds(ben, said('ben 1'));
  await s.sees('ben 1');
  other.add(ben, said('ben for Ann alone'), s.now);
  await s.refuses(s.sees('ben for Ann alone', other), /does not continue/);
  const kept = await s.evidence('log');
  assert.equal(kept.length, 2);
  other.wait(s.now);
  await s.refuses(s.sees('ben for Ann alone', other), /does not continue/);
  assert.deepEqual(await s.alarms(), ['log']);
  assert.deepEqual(await s.evidence('log'), kept);
  assert.equal(s.told, 1);
  await s.sees('ben 1'); // and the true one goes on
});

story('a true but older head is refused', async (s) => {
  const old = s.log.fork();
  s.adds(ben, said('ben 1'));
  await s.sees('ben 1');
  await s.refuses(s.sees('ben 0', old), /shorter/);
  assert.deepEqual(await s.alarms(), ['log']);
});

story('an old log does not pass for the present one, nor one of the future; some hours are no matter', async (s) => {
  for (const [wrong, told] of [[DAY / 2, []], [-2 * DAY, ['clock']], [0, []], [2 * DAY, ['clock']], [0, []]] as const) {
    s.now = START + wrong;
    await s.sees('ben 0');
    assert.deepEqual(await s.alarms(), told);
  }
});

story('a head by another key is refused', async (s) => {
  await s.sees('ben 0');
  const forged = new Log(eve, hub, [...s.log.entries]);
  await s.refuses(s.sees('ben 0', forged), /not signed/);
  const unsigned = (proof: KeysProofAnswer): KeysProofAnswer => ({ ...proof, head: { ...proof.head, signature: toBase64(new Uint8Array(64)) } });
  await s.refuses(s.sees('ben 0', s.log, unsigned), /not signed/);
});

story('a configuration needs the word of a key of the server’s manifest, or nothing is pinned', async (s) => {
  const { configuration } = await s.log.endorsed();
  const signature = toBase64(await signWithLabel(eve, ENDORSED, fromBase64(configuration)));
  s.endorsed = async () => ({ configuration, signature });
  await assert.rejects(s.sees('ben 0'), LogRefused);
  s.endorsed = async () => undefined;
  await assert.rejects(s.sees('ben 0'), LogRefused);
  assert.equal(await s.vault.get('meta', 'log'), null);
  s.endorsed = () => s.log.endorsed();
  await s.sees('ben 0');
});

story('a swapped identity key raises the alarm of its owner', async (s) => {
  await s.begins();
  s.adds(ann, await listed(aik, 2, phone));
  await s.looks();
  assert.deepEqual(await s.alarms(), []);
  s.adds(ann, await listed(eve, 3, phone));
  await s.refuses(s.looks(), /other keys/);
  assert.deepEqual(await s.alarms(), ['own']);
});

story('a swap that was taken back is noticed all the same: every version is opened', async (s) => {
  await s.begins();
  s.adds(ann, await listed(eve, 2, phone));
  s.adds(ann, await listed(aik, 2, phone));
  await s.refuses(s.looks(), /other keys/);
  assert.deepEqual(await s.alarms(), ['own']);
});

story('a log that never held one’s own keys is an alarm at the first look', async (s) => {
  s.adds(ann, await listed(eve, 1, phone));
  await s.refuses(s.looks(), /does not hold/);
  assert.deepEqual(await s.alarms(), ['own']);
});

story('a version that the server does not open is an alarm; one opened to something else is forged', async (s) => {
  await s.begins();
  s.adds(ann, said('hidden'));
  s.bend = (answer) => ({ ...answer, openings: answer.openings.map((one) => ({ ...one, value: toBase64(said('something else')) })) });
  await s.refuses(s.looks(), /something else/);
  for (const openings of [[], null]) {
    s.bend = (answer) => ({ ...answer, openings: openings ?? answer.openings.map((one) => ({ ...one, value: null })) });
    await s.refuses(s.looks(), /does not open/);
    assert.deepEqual(await s.alarms(), ['own']);
    await s.held.putAway('own');
  }
});

story('an entry of one’s own that was replaced or forgotten is an alarm', async (s) => {
  await s.begins();
  s.adds(ann, await listed(aik, 2, phone));
  await s.looks();
  const without = s.log.entries.at(-1)!.leaves.filter((leaf) => leaf.account !== ann);
  s.log.entries.push({ atMs: s.now, leaves: without });
  s.adds(ann, await listed(aik, 1, phone));
  await s.refuses(s.looks(), /forgot/);
  s.adds(ann, await listed(aik, 5, phone));
  await s.held.putAway('own');
  await s.refuses(s.looks(), /replaced/);
  assert.deepEqual(await s.alarms(), ['own']);
});

story('a device that one’s own key added is a question, unless it was let in here; a forged list is an alarm', async (s) => {
  await s.begins();
  s.adds(ann, await listed(aik, 2, phone, tablet));
  await s.looks();
  assert.deepEqual(await s.held.alarms(), [{ id: `device-${tablet}`, kind: 'device' }]);
  await s.held.putAway(`device-${tablet}`);
  await s.held.expectDevice(account(13));
  s.adds(ann, await listed(aik, 3, phone, tablet, account(13)));
  await s.looks();
  assert.deepEqual(await s.alarms(), []);
  const { list, signature } = parseValue(await listed(eve, 4, phone, tablet));
  s.adds(ann, keyValue(aik.publicKey, list, signature));
  await s.refuses(s.looks(), /other keys/);
  assert.deepEqual(await s.alarms(), ['own']);
});

story('keys that were shown here and are gone where their owner looks are found out', async (s) => {
  await s.begins();
  const honest = s.log.entries.at(-1)!.leaves;
  s.adds(ben, said('a ghost'));
  await s.sees('a ghost');
  for (let day = 0; day < 2; day++) {
    s.now += DAY;
    s.log.entries.push({ atMs: s.now, leaves: honest });
  }
  await s.refuses(s.looks(), /not in its key log any more/);
  assert.deepEqual(await s.alarms(), ['log']);
  assert.equal((await s.vault.range('meta', { prefix: 'watch/' })).length, 1); // it stays to be looked at
});

story('entries that everybody checks must all be there, really be in the log, and rise', async (s) => {
  await s.begins();
  for (let day = 0; day < 4; day++) s.passes(DAY);
  let checked: EntryAnswer[] = [];
  const bent = (change: (there: EntryAnswer[]) => EntryAnswer[]): void => {
    s.bend = (answer) => ({ ...answer, checked: (checked = change(answer.checked)) });
  };
  bent((there) => there.slice(0, -1));
  await s.refuses(s.looks(), /leaves out/);
  assert.ok(checked.length > 1);
  bent(([first, ...rest]) => [{ ...first!, timestamp_ms: first!.timestamp_ms + 5 }, ...rest]);
  await s.refuses(s.looks(), /not in the key log/);
  s.bend = (answer) => ({ ...answer, upto: answer.upto + 1 });
  await s.refuses(s.looks(), /left out/);
  s.bend = (answer) => ({ ...answer, upto: 0 });
  await s.refuses(s.looks(), /left out/);
  s.bend = (answer) => ({ ...answer, newest: { ...answer.newest, lookups: answer.newest.lookups.slice(1) } });
  await s.refuses(s.looks(), /another search/);
  bent((there) => there);
  await s.looks();
  assert.deepEqual(await s.alarms(), []);
});

story('times that run backwards in the log are refused', async (s) => {
  await s.begins();
  s.passes(3 * DAY);
  s.log.wait(s.now - DAY);
  s.log.wait(s.now + 1);
  for (let n = 0; n < 8; n++) s.log.wait(s.now + (n + 1) * DAY);
  s.now += 8 * DAY;
  const backwards = s.log.entries.findIndex((entry, at) => at > 0 && entry.atMs < s.log.entries[at - 1]!.atMs);
  s.bend = (answer) => ({ ...answer, checked: [...answer.checked.filter((one) => Math.abs(one.position - backwards) > 1),
    s.log.entry(ann, backwards - 1, 1), s.log.entry(ann, backwards, 1)] });
  await s.refuses(s.looks(), /backwards/);
});

story('what contacts hold is compared: equal logs agree, whichever is longer, and unsigned words say nothing', async (s) => {
  await s.begins();
  const shorter = heardOf(await s.log.head(0, 3));
  s.passes(1);
  s.passes(1);
  const longer = heardOf(await s.log.head(0));
  const nonsense: HeardHead = { size: 3, root: new Uint8Array(32) as Bytes, signature: new Uint8Array(64) as Bytes };
  for (const { size, root, signature } of [shorter, longer, nonsense]) await s.held.hear([size, root, signature]);
  for (const junk of [null, 5, [], [1, 2, 3], [-1, new Uint8Array(32), new Uint8Array(64)]]) await s.held.hear(junk);
  assert.equal((await s.vault.range('meta', { prefix: 'heard/' })).length, 3);
  await s.looks();
  assert.equal((await s.vault.range('meta', { prefix: 'heard/' })).length, 0);
  assert.deepEqual(await s.alarms(), []);
});

story('a fork that a contact holds is an alarm with both heads, and again until it is no more', async (s) => {
  await s.begins();
  const other = s.log.fork();
  other.add(ben, said('ben for somebody else'), s.now);
  s.adds(ben, said('ben 1'));
  const forked = heardOf(await other.head(0));
  await s.held.hear([forked.size, forked.root, forked.signature]);
  await s.refuses(s.looks(), /differently/);
  const kept = await s.evidence('log');
  const own = (await s.vault.get<LogRecord>('meta', 'log'))!;
  assert.deepEqual(new Set(kept.map((one) => toBase64(one.root))), new Set([toBase64(own.root), toBase64(forked.root)]));
  await s.held.putAway('log');
  await s.refuses(s.looks(), /differently/);
  assert.deepEqual(await s.alarms(), ['log']);
});

story('a head that the server signed for a contact and denies is an alarm', async (s) => {
  await s.begins();
  const ahead = s.log.fork();
  ahead.wait(s.now);
  const head = heardOf(await ahead.head(0));
  await s.held.hear([head.size, head.root, head.signature]);
  s.denies = true;
  await s.refuses(s.looks(), /denies/);
  assert.deepEqual(await s.alarms(), ['log']);
});

story('no more heads are kept for comparison than there is room for, and the own one not at all', async (s) => {
  await s.begins();
  const own = (await s.held.gossip()) as [number, Bytes, Bytes];
  await s.held.hear(own);
  assert.equal((await s.vault.range('meta', { prefix: 'heard/' })).length, 0);
  for (let n = 0; n < 40; n++) await s.held.hear([5, new Uint8Array(32).fill(n + 1), new Uint8Array(64)]);
  assert.equal((await s.vault.range('meta', { prefix: 'heard/' })).length, 16);
});
