/** Every lie of `attacks.json` against the web engine: refused or said aloud, and the genuine chat goes on. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import type { DevicesAnswer } from '../src/engine/api';
import { members } from '../src/engine/mls';
import { toBase64, utf8, type Bytes } from '../src/protocol/bytes';
import type { Accepted, HubRecord } from '../src/protocol/frames';
import { encodeDeviceList, signDeviceList, type SignedEntry } from '../src/protocol/identity';
import { deviceUri, roomUri, uuidBytes } from '../src/protocol/uris';
import type { Signer } from '../src/protocol/sign';
import {
  anybody, Device, ELSEWHERE, GHOST, manifestEntry, ME, OUTSIDER, ROOM, Scene, SERVER, signer, TABLET, THEIRS, THEM,
} from './evil-scene';

interface Row { name: string; web: string }
const list = JSON.parse(readFileSync(resolve(process.cwd(), '../tests/evil/attacks.json'), 'utf8')) as Row[];
/** These begin before this device is in the chat. */
const UNJOINED = ['wrong-welcome', 'altered-welcome', 'stranger-in-welcome', 'far-position-welcome'];
const FAR = 2 ** 50;
const JOINED = 'They joined this chat on another device.';
const STRANGER = /^Somebody tried to add a device/;
const UNLISTED = /^A device was added that its account does not list/;
const BROKEN = /^This device cannot follow/;

const flip = (bytes: Bytes, at = 0): Bytes => {
  const copy = bytes.slice() as Bytes;
  copy[at]! ^= 1;
  return copy;
};
const says = async (s: Scene, what: RegExp): Promise<boolean> => (await s.lines()).some((line) => what.test(line));
const shows = async (s: Scene, text: string): Promise<boolean> => (await s.texts()).includes(text);

/** A message whose hub record is changed on the way. */
const rehubbed = (change: Partial<HubRecord> | ((hub: HubRecord) => Partial<HubRecord>)) => async (s: Scene, lie: boolean): Promise<void> => {
  const { body, hub, id } = await s.says('with its frank');
  await s.message({ body, id, hub: lie ? { ...hub, ...(typeof change === 'function' ? change(hub) : change) } : hub });
  assert.equal(await shows(s, 'with its frank'), !lie);
};
/** A message whose bytes are changed on the way. */
const rewritten = (change: (body: Bytes) => Bytes) => async (s: Scene, lie: boolean): Promise<void> => {
  const { body, hub, id } = await s.says('hello');
  await s.message({ id, body: lie ? change(body) : body, hub });
};
/** A message that the hub signs for something else. */
const signedFor = (change: object) => async (s: Scene, lie: boolean): Promise<void> => {
  await s.message(await s.says('hello', lie ? change : {}));
};
/** An answer to a message of this device that is changed on the way. */
const answered = (change: (answer: Accepted) => Partial<Accepted>, shown: boolean) => async (s: Scene, lie: boolean): Promise<void> => {
  const answer = await s.answer(await s.writes('mine'));
  await s.hears(lie ? { ...answer, ...change(answer) } : answer);
  assert.equal(await shows(s, 'mine'), shown || !lie);
};
/** The server answers so about the other one's devices; nothing follows from it. */
const aboutTheirKeys = (change: (answer: DevicesAnswer, s: Scene, size: number) => Promise<DevicesAnswer> | DevicesAnswer) => async (s: Scene, lie: boolean): Promise<void> => {
  if (lie) s.server.lie = async (answer, size) => (answer.account === THEM ? change(answer, s, size) : answer);
  await s.roster();
  assert.equal(s.commits().length, 0);
  s.server.lie = async (answer) => answer;
  await s.roster();
};
const eachDevice = (change: object) => aboutTheirKeys((answer) => ({ ...answer, devices: answer.devices.map((one) => ({ ...one, ...change })) }));
/** They have a new device, and the server hands out this package for it. */
const addsTablet = (lied: (tablet: Device, s: Scene) => Promise<Bytes>) => async (s: Scene, lie: boolean): Promise<void> => {
  const tablet = await Device.create(THEM, TABLET);
  await s.server.listsDevices(THEM, s.peer, tablet);
  s.server.packages.set(TABLET, lie ? await lied(tablet, s) : await tablet.keyPackage());
  await s.roster();
  assert.equal(s.commits().length, lie ? 0 : 1);
  if (!lie) await s.adopts();
};
/** The package is the new device's own, and still no good; the next one is. */
const spoilsTablet = (spoil: (tablet: Device) => Promise<Bytes>) => async (s: Scene, lie: boolean): Promise<void> => {
  const tablet = await Device.create(THEM, TABLET);
  await s.server.listsDevices(THEM, s.peer, tablet);
  s.server.packages.set(TABLET, lie ? await spoil(tablet) : await tablet.keyPackage());
  await s.roster();
  assert.equal(s.commits().length, lie ? 0 : 1);
  s.server.packages.set(TABLET, await tablet.keyPackage());
  if (lie) await s.roster();
  await s.adopts();
};
/** The server shows another manifest, and franks with the key in it. */
async function underAnotherKey(s: Scene, lie: boolean, manifest: SignedEntry[], hub: Signer): Promise<void> {
  const honest = [s.server.manifest, s.server.hub] as const;
  if (lie) [s.server.manifest, s.server.hub] = [manifest, hub];
  await s.message(await s.says('under another key'));
  assert.equal(await shows(s, 'under another key'), !lie);
  [s.server.manifest, s.server.hub] = honest;
}
const elsewhere = (s: Scene) => s.peer.engine.createGroup(uuidBytes(ELSEWHERE), anybody);

const attacks: Record<string, (s: Scene, lie: boolean) => Promise<void>> = {
  // ---- messages and their franks
  'altered-ciphertext': rewritten((body) => flip(body, body.length - 3)),
  'altered-tag': rewritten((body) => flip(body, 64)),
  'truncated-message': rewritten((body) => body.slice(0, -1)),
  'not-mls': rewritten(() => utf8('hello')),
  'altered-frank': rehubbed({ serverFrank: new Uint8Array(32) }),
  'altered-signature': rehubbed((hub) => ({ proof: flip(hub.proof, 20) })),
  'altered-time': rehubbed({ timestamp: Date.now() }),
  'altered-sequence': rehubbed({ roomSeq: 7 }),
  'other-hub-key': rehubbed({ hubKeyId: 9 }),
  'unknown-suite': rehubbed({ suite: 2 }),
  'no-frank': async (s, lie) => {
    const { body, hub } = await s.says('hello');
    await s.mail('message', body, lie ? null : hub);
  },
  'swapped-franks': async (s, lie) => {
    const [one, two] = [await s.says('one'), await s.says('two')];
    await s.message({ ...one, hub: lie ? two.hub : one.hub });
    await s.message({ ...two, hub: lie ? one.hub : two.hub });
  },
  'frank-for-another-device': signedFor({ senderDevice: deviceUri(SERVER, GHOST) }),
  'frank-for-another-room': signedFor({ roomUri: roomUri(SERVER, ELSEWHERE) }),
  'frank-for-another-epoch': signedFor({ epoch: 9 }),

  // ---- order, number and time
  'repeated-sequence': async (s, lie) => {
    await s.message(await s.says('the first'));
    await s.message(await s.says('the second', lie ? { roomSeq: s.seq } : {}));
    assert.equal(await says(s, /^The server signed two different messages/), lie);
    assert.equal(await shows(s, 'the second'), !lie);
  },
  'lower-sequence': async (s, lie) => {
    for (const text of ['one', 'two']) await s.message(await s.says(text));
    await s.message(await s.says('three', lie ? { roomSeq: 1 } : {}));
  },
  'far-sequence': async (s, lie) => {
    await s.message(await s.says('the first'));
    await s.message(await s.says('far ahead', lie ? { roomSeq: FAR } : {}));
  },
  'far-first-sequence': signedFor({ roomSeq: FAR }),
  'time-runs-backwards': async (s, lie) => {
    await s.message(await s.says('the first'));
    await s.message(await s.says('earlier', lie ? { acceptedTimestamp: 5 } : {}));
  },
  'time-of-the-future': async (s, lie) => {
    await s.message(await s.says('tomorrow', lie ? { acceptedTimestamp: Date.now() + 1e12 } : {}));
    assert.ok(await shows(s, 'tomorrow'));
    assert.equal(await says(s, /^The server dates messages here ahead/), lie);
  },
  'replayed-message': async (s, lie) => {
    const said = await s.says('once');
    await s.message(said);
    await s.message(lie ? said : await s.says('then this'));
    assert.equal((await s.texts()).filter((text) => text === 'once').length, 1);
  },
  'repeated-delivery': async (s, lie) => {
    const said = await s.says('once');
    await s.message(said);
    if (lie) await s.message(said, s.pos);
    assert.deepEqual(await s.texts(), ['once']);
  },
  'reordered-mail': async (s, lie) => {
    const [one, two] = [await s.says('one'), await s.says('two')];
    const mail = [[one, s.pos + 1], [two, s.pos + 2]] as const;
    for (const [said, pos] of lie ? [...mail].reverse() : mail) await s.message(said, pos);
    s.pos += 2;
    assert.deepEqual(await s.texts(), ['one', 'two']);
  },
  'reordered-positions': async (s, lie) => {
    const [one, two] = [await s.says('one'), await s.says('two')];
    await s.message(lie ? two : one);
    await s.message(lie ? one : two);
  },
  'withheld-message': async (s, lie) => {
    await s.message(await s.says('before'));
    const kept = await s.says('withheld');
    s.pos++;
    if (!lie) await s.message(kept, s.pos);
    await s.message(await s.says('the next'));
    await s.later(6000);
    assert.ok(await shows(s, 'the next'));
  },
  'far-position': async (s, lie) => {
    await s.message(await s.says('far away'), lie ? FAR : undefined);
    await s.message(await s.says('and another'), lie ? 9000 : undefined);
    await s.later(6000);
    assert.deepEqual(await s.texts(), ['far away', 'and another']);
  },
  'message-of-the-past': async (s, lie) => {
    const kept = await s.says('of epoch 1');
    if (!lie) await s.message(kept);
    await s.mail('commit', await s.commit());
    if (lie) await s.message(kept);
  },
  'message-of-another-room': async (s, lie) => {
    const here = s.group;
    if (lie) s.group = await elsewhere(s);
    const said = await s.says('elsewhere');
    if (lie) s.group = here;
    await s.message(said);
  },
  'message-as-commit': async (s, lie) => {
    const { body, hub } = await s.says('hello');
    await s.mail(lie ? 'commit' : 'message', body, lie ? null : hub);
  },
  'commit-as-message': async (s, lie) => {
    const made = await s.commit();
    if (lie) await s.mail('message', made);
    await s.mail('commit', made);
  },

  // ---- answers
  'answer-without-proof': answered(() => ({ hub: null }), false),
  'answer-for-another-place': answered((answer) => ({ hub: { ...answer.hub!, roomSeq: 900 } }), false),
  'answer-of-a-far-sequence': async (s, lie) => {
    await s.message(await s.says('hello'));
    await s.hears(await s.answer(await s.writes('mine'), lie ? { roomSeq: FAR } : {}));
    assert.equal(await shows(s, 'mine'), !lie);
  },
  'answer-at-a-far-position': answered(() => ({ roomPos: FAR }), true),
  'answer-of-the-future': async (s, lie) => {
    await s.hears(await s.answer(await s.writes('mine'), lie ? { acceptedTimestamp: Date.now() + 1e12 } : {}));
  },
  'invented-answer': async (s, lie) => {
    const answer = await s.answer(await s.writes('mine'));
    if (lie) {
      s.room.accepted({ ...answer, key: new Uint8Array(16).fill(7) });
      await s.settled();
      assert.equal(await shows(s, 'mine'), false);
    }
    await s.hears(answer);
    assert.ok(await shows(s, 'mine'));
  },
  'repeated-answer': async (s, lie) => {
    const answer = await s.answer(await s.writes('mine'));
    for (let n = 0; n < (lie ? 3 : 1); n++) {
      s.room.accepted(answer);
      await s.settled();
    }
    assert.deepEqual(await s.texts(), ['mine']);
  },
  'false-refusal': async (s, lie) => {
    let submit = await s.writes('mine');
    if (lie) {
      await s.hears({ kind: 'refused', key: submit.key as Bytes, code: 'epoch_too_old', details: '1', retryAfterMs: null });
      await s.later(4000);
      submit = s.submits().at(-1)!;
    }
    await s.hears(await s.answer(submit));
    assert.deepEqual(await s.texts(), ['mine']);
  },

  // ---- commits
  'ghost-member': async (s, lie) => {
    const ghost = lie ? await Device.create(OUTSIDER, GHOST) : await Device.create(THEM, TABLET);
    if (!lie) await s.server.listsDevices(THEM, s.peer, ghost);
    await s.mail('commit', await s.commit(await ghost.keyPackage()));
    assert.equal(await says(s, STRANGER), lie);
    await s.queue('a secret');
    assert.equal(s.submits().length, lie ? 0 : 1);
    if (!lie) await s.hears(await s.answer(s.submits()[0]!));
  },
  'ghost-device': async (s, lie) => {
    const ghost = await Device.create(THEM, GHOST);
    if (!lie) await s.server.listsDevices(THEM, s.peer, ghost);
    await s.mail('commit', await s.commit(await ghost.keyPackage()));
    assert.equal(await says(s, UNLISTED), lie);
    await s.queue('only for listed devices');
    assert.deepEqual([s.commits().length, s.submits().length], lie ? [1, 0] : [0, 1]);
    if (lie) {
      await s.adopts();
      assert.ok(!members(s.group).some((one) => one.device === deviceUri(SERVER, GHOST)));
    }
    await s.hears(await s.answer(s.submits()[0]!));
  },
  'swapped-leaf-key': async (s, lie) => {
    const tablet = await Device.create(THEM, TABLET);
    await s.server.listsDevices(THEM, s.peer, tablet);
    await s.mail('commit', await s.commit(await (lie ? await Device.create(THEM, TABLET) : tablet).keyPackage()));
    assert.equal(await says(s, STRANGER), lie);
  },
  'external-commit': async (s, lie) => {
    const made = await s.commit();
    if (lie) await s.mail('commit', external(made));
    await s.mail('commit', made);
  },
  'altered-commit': async (s, lie) => {
    const made = await s.commit();
    if (lie) await s.mail('commit', flip(made, made.length >> 1));
    await s.mail('commit', made);
  },
  'commit-replaced-by-noise': async (s, lie) => {
    const made = await s.commit();
    await s.mail('commit', lie ? new Uint8Array(99).fill(0xff) : made);
    await s.mail('commit', await s.commit());
    assert.equal(await says(s, BROKEN), lie);
  },
  'withheld-commit': async (s, lie) => {
    const made = await s.commit();
    if (!lie) await s.mail('commit', made);
    await s.mail('commit', await s.commit());
    assert.equal(await says(s, BROKEN), lie);
  },
  'late-commit': async (s, lie) => {
    const made = await s.commit();
    s.pos++;
    if (!lie) await s.mail('commit', made, null, s.pos);
    await s.message(await s.says('in the new epoch'));
    await s.later(6000);
    if (lie) await s.mail('commit', made, null, s.pos - 1);
  },
  'replayed-commit': async (s, lie) => {
    const made = await s.commit();
    for (let n = 0; n < (lie ? 2 : 1); n++) await s.mail('commit', made);
  },
  fork: async (s, lie) => {
    const before = s.group;
    const other = await s.commit();
    s.group = before;
    await s.mail('commit', await s.commit());
    if (lie) await s.mail('commit', other);
  },
  'own-commit-mailed-back': async (s, lie) => {
    await s.later(9 * 24 * 3600 * 1000); // our keys are due
    s.server.log.add(OUTSIDER, utf8('of that day'), s.home.now());
    await s.roster();
    if (lie) await s.mail('commit', s.commits()[0]!.commit as Bytes);
    await s.adopts();
  },
  'taken-out': async (s, lie) => {
    await s.mail('commit', await s.commit([], lie ? [s.myLeaf()] : []));
    assert.equal(await says(s, /^This device was taken out/), lie);
  },
  'oversize-commit': async (s, lie) => {
    const made = await s.commit();
    if (lie) {
      const large = new Uint8Array(made.length + 2 * 1024 * 1024);
      large.set(made);
      await s.mail('commit', large);
    }
    await s.mail('commit', made);
  },
  'oversize-tree': async (s, lie) => {
    if (lie) await s.mail('commit', await s.commitToMany(256));
    await s.mail('commit', await s.commit());
  },

  // ---- Welcomes
  'wrong-welcome': async (s, lie) => {
    const here = s.group;
    if (lie) {
      s.group = await elsewhere(s);
      await s.commit(await s.joins());
      await s.mail('welcome', s.welcome);
      assert.equal(await s.room.hasGroup(), false);
      s.group = here;
    }
    await s.commit(await s.joins());
    await s.mail('welcome', s.welcome);
  },
  'altered-welcome': async (s, lie) => {
    await s.commit(await s.joins());
    if (lie) await s.mail('welcome', flip(s.welcome, s.welcome.length - 40));
    await s.mail('welcome', s.welcome);
  },
  'stranger-in-welcome': async (s, lie) => {
    const here = s.group;
    if (lie) {
      await s.commit(await (await Device.create(OUTSIDER, GHOST)).keyPackage());
      await s.commit(await s.joins());
      await s.mail('welcome', s.welcome);
      assert.equal(await s.room.hasGroup(), false);
      s.group = here;
    }
    await s.commit(await s.joins());
    await s.mail('welcome', s.welcome);
  },
  'far-position-welcome': async (s, lie) => {
    await s.commit(await s.joins());
    await s.mail('welcome', s.welcome, null, lie ? FAR : undefined);
    assert.ok(await s.room.hasGroup());
  },
  'replayed-welcome': async (s, lie) => {
    if (lie) await s.mail('welcome', s.welcome, null, s.pos);
  },
  'replayed-welcome-after-a-break': async (s, lie) => {
    const old = s.welcome;
    await s.mail('commit', await s.commit());
    if (!lie) return;
    await s.commit();
    await s.mail('commit', await s.commit());
    await s.mail('welcome', old);
  },

  // ---- keys of people
  'ghost-in-the-answer': aboutTheirKeys((answer) => ({ ...answer, devices: [...answer.devices, { ...answer.devices[0]!, device: deviceUri(SERVER, GHOST) }] })),
  'ghost-in-the-list': aboutTheirKeys((answer, s) => {
    const made = s.server.lists.get(THEM)!;
    const entries = [...made.entries, { device: deviceUri(SERVER, GHOST), mlsKey: new Uint8Array(32).fill(7), addedMs: 5 }];
    return { ...answer, device_list: toBase64(encodeDeviceList({ ...made, version: 9, entries })) };
  }),
  'forged-certificate': eachDevice({ certificate: toBase64(new Uint8Array(64)) }),
  'swapped-device-key': eachDevice({ mls_key: toBase64(new Uint8Array(32).fill(7)) }),
  'keys-of-somebody-else': aboutTheirKeys((_answer, s, size) => s.server.devices(ME, s.server.aiks.get(ME), s.server.lists.get(ME), size)),
  'rolled-back-list': async (s, lie) => {
    const old = s.server.lists.get(THEM)!;
    await s.server.listsDevices(THEM, s.peer);
    await s.roster();
    await aboutTheirKeys((_answer, _s, size) => s.server.devices(THEM, s.server.aiks.get(THEM)!, old, size))(s, lie);
  },
  'two-lists-of-one-version': aboutTheirKeys(async (answer, s) => {
    const other = { ...s.server.lists.get(THEM)!, signedMs: 8 };
    const signature = await signDeviceList(s.server.aiks.get(THEM)!, other);
    return { ...answer, device_list: toBase64(encodeDeviceList(other)), device_list_signature: toBase64(signature) };
  }),
  'vanished-keys': async (s, lie) => {
    await s.roster();
    await aboutTheirKeys((answer) => ({ ...answer, aik: null, device_list: null, device_list_signature: null, devices: [] }))(s, lie);
  },
  'swapped-identity': async (s, lie) => {
    const forger = await signer();
    await aboutTheirKeys((_answer, _s, size) => s.server.devices(THEM, forger, s.server.lists.get(THEM), size))(s, lie);
  },
  'own-identity-swapped': async (s, lie) => {
    const forger = await signer();
    if (lie) s.server.lie = async (answer, size) => (answer.account === ME ? s.server.devices(ME, forger, s.server.lists.get(ME), size) : answer);
    await s.roster(ME);
    assert.equal(s.commits().length, 0);
    s.server.lie = async (answer) => answer;
  },
  'swapped-key-package': addsTablet(async () => (await Device.create(THEM, TABLET)).keyPackage()),
  'key-package-of-a-stranger': addsTablet(async () => (await Device.create(OUTSIDER, GHOST)).keyPackage()),
  'key-package-of-another-device': addsTablet(async (_tablet, s) => (await Device.create(THEM, THEIRS, s.peer.key)).keyPackage()),
  'stale-key-package': spoilsTablet(async (tablet) => (await Device.create(THEM, TABLET, tablet.key, () => Date.now() - 200 * 86_400_000)).keyPackage()),
  'altered-key-package': spoilsTablet(async (tablet) => {
    const made = await tablet.keyPackage();
    return flip(made, made.length - 5);
  }),
  'noise-as-key-package': addsTablet(async () => new Uint8Array(50).fill(0xff)),

  // ---- rosters
  'third-account': async (s, lie) => {
    await s.directory.pinRoster(s.server.room());
    s.server.accounts = lie ? [ME, THEM, OUTSIDER] : [ME, THEM];
    await s.server.listsDevices(OUTSIDER, await Device.create(OUTSIDER, GHOST));
    await s.directory.pinRoster(s.server.room());
    await s.roster(OUTSIDER);
    assert.deepEqual((await s.directory.roster(ROOM)).accounts, [ME, THEM]);
    assert.equal(s.commits().length, 0);
  },
  'chat-becomes-group': async (s, lie) => {
    s.server.kind = lie ? 'group' : 'direct';
    const asked = s.directory.pinRoster(s.server.room());
    if (lie) await assert.rejects(asked, /group/);
    else await asked;
  },

  // ---- groups
  'group-ghost-member': async (s, lie) => {
    const ghost = await Device.create(OUTSIDER, GHOST);
    await s.server.listsDevices(OUTSIDER, ghost);
    await s.mail('commit', await s.commit(lie ? await ghost.keyPackage() : []));
    assert.equal(await says(s, UNLISTED), lie);
    await s.queue('only for members');
    assert.deepEqual([s.commits().length, s.submits().length], lie ? [1, 0] : [0, 1]);
    if (lie) await s.adopts();
    assert.equal(members(s.group).length, 2);
    await s.hears(await s.answer(s.submits()[0]!));
  },
  'group-ghost-speaks': async (s, lie) => {
    const ghost = await Device.create(OUTSIDER, GHOST);
    await s.server.listsDevices(OUTSIDER, ghost);
    if (lie) {
      const { message, secret } = await ghost.engine.newKeyPackage();
      await s.mail('commit', await s.commit(message));
      await s.message(await s.ghostSays('I am one of you', ghost, secret));
    }
    assert.deepEqual(await s.texts(), []);
  },
  'group-roster-ghost': async (s, lie) => {
    const ghost = await Device.create(OUTSIDER, GHOST);
    await s.server.listsDevices(OUTSIDER, ghost);
    s.server.packages.set(GHOST, await ghost.keyPackage());
    if (lie) s.server.accounts = [ME, THEM, OUTSIDER];
    await s.membersChanged();
    if (s.commits().length > 0) await s.adopts();
    assert.equal(await says(s, /^Name 3 joined/), lie);
  },
  'group-becomes-chat': async (s, lie) => {
    s.server.kind = lie ? 'direct' : 'group';
    if (lie) await assert.rejects(s.membersChanged(), /group/);
    else await s.membersChanged();
    s.server.kind = 'group';
  },
  'group-replayed-welcome': async (s, lie) => {
    if (lie) await s.mail('welcome', s.welcome, null, s.pos + 1);
  },

  // ---- the server's keys
  'swapped-server-key': async (s, lie) => {
    const other = await signer();
    await underAnotherKey(s, lie, [await manifestEntry(other, other, [], 1)], other);
  },
  'forged-manifest-entry': async (s, lie) => {
    const other = await signer();
    await underAnotherKey(s, lie, [...s.server.manifest, await manifestEntry(other, other, s.server.manifest, 2)], other);
  },
  'dropped-manifest-entry': async (s, lie) => {
    const short = s.server.manifest;
    s.server.manifest = [...short, await manifestEntry(await signer(), s.server.hub, short, 2)];
    await s.directory.refreshManifest();
    await s.message(await s.says('of the first key'));
    await underAnotherKey(s, lie, short, await signer());
  },
  'keys-not-in-the-log': aboutTheirKeys((answer) => ({ ...answer, transparency: null })),
  'dropped-log-entry': async (s, lie) => {
    const old = s.server.lists.get(THEM)!;
    await s.server.listsDevices(THEM, s.peer);
    await aboutTheirKeys((_answer, _s, size) => s.server.devices(THEM, s.server.aiks.get(THEM), old, size))(s, lie);
  },
  'forked-log': async (s, lie) => {
    const fork = s.server.log.fork();
    await s.roster();
    s.server.log.add(OUTSIDER, utf8('one'));
    fork.add(OUTSIDER, utf8('another'));
    await s.roster();
    fork.add(OUTSIDER, utf8('more'));
    await aboutTheirKeys(async (answer, _s, size) => ({ ...answer, transparency: await fork.proof(THEM, size) }))(s, lie);
  },
  'rolled-back-log': async (s, lie) => {
    const old = s.server.log.fork();
    await s.roster();
    s.server.log.add(OUTSIDER, utf8('more'));
    await s.roster();
    await aboutTheirKeys(async (answer) => ({ ...answer, transparency: await old.proof(THEM, 0) }))(s, lie);
  },
};

/** The same commit, said to be of somebody who is not in the group yet (RFC 9420 section 6.1). */
function external(commit: Bytes): Bytes {
  const at = 4 + 1 + commit[4]! + 8; // version, wire format, group id, epoch
  assert.equal(commit[at], 1);
  return new Uint8Array([...commit.subarray(0, at), 4, ...commit.subarray(at + 5)]) as Bytes;
}

/** What became of it: `broken` (with the way out said), `flagged` (the person sees that something was wrong). */
async function seen(s: Scene): Promise<string> {
  const lines = await s.lines();
  if (!(await s.room.hasGroup())) {
    assert.ok(lines.some((line) => /sign out and in again here to join anew/i.test(line)), lines.join());
    return 'broken';
  }
  return (await s.marks()) > lines.filter((line) => line === JOINED).length ? 'flagged' : 'refused';
}

async function run(name: string, lie: boolean): Promise<string> {
  const s = await Scene.create(!UNJOINED.includes(name), name.startsWith('group-') ? 'group' : 'direct');
  const aloud = console.error;
  const crashes: unknown[] = [];
  console.error = (...what: unknown[]) => void crashes.push(what);
  try {
    await attacks[name]!(s, lie);
    const outcome = await seen(s);
    await (outcome === 'broken' ? s.heals() : s.goesOn());
    assert.deepEqual(crashes, []);
    return outcome;
  } finally {
    console.error = aloud;
    s.home.close();
  }
}

for (const { name, web } of list.filter((one) => one.web !== '-')) {
  test(`${name}: ${web} in the web client, and the chat goes on`, async () => {
    assert.equal(await run(name, false), 'refused', 'the control shows nothing');
    assert.equal(await run(name, true), web);
  });
}

test('the list and what is run are the same', () => {
  assert.deepEqual(list.filter((one) => one.web !== '-').map((one) => one.name).sort(), Object.keys(attacks).sort());
});
