import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Directory, DirectoryRefused, type Proving } from '../src/engine/directory';
import { NodeDevice, NodeHome } from '../src/engine/home-node';
import { rootKey, Vault } from '../src/engine/vault';
import type { GroupRole } from '../src/engine/contract';
import { encodeDeviceList } from '../src/protocol/identity';
import { accountUri, deviceUri } from '../src/protocol/uris';
import { account } from './shared';

const [me, them, ghost, room] = [account(1), account(2), account(3), account(0xf1)];

/** A log that proves whatever it is asked. */
const unlogged: Proving = { asking: (ask) => ask(0), size: async () => 0, checkKeys: async () => undefined };

/** What a server says about the room. */
function shownAs(kind: 'direct' | 'group', accounts: string[], role: GroupRole = 'member') {
  return { room, kind, accounts: accounts.map((one) => ({ account: one, handle: '', display_name: `name of ${one}`, role })) };
}

/** A directory whose server says that a chat is of these accounts. */
async function directory(...accounts: string[]): Promise<{ directory: Directory; home: NodeHome }> {
  const home = new NodeHome(new NodeDevice({ origin: 'http://h.example' }));
  const vault = new Vault(home, await rootKey(await home.backend.localKey(), new Uint8Array(32), me, account(11)));
  const api = { room: async () => shownAs('direct', accounts) };
  return { directory: new Directory(api as never, vault, 'h.example', { account: me, aik: () => null }, unlogged), home };
}

test('a chat is of two people: what a server adds at first sight is refused, not pinned', async () => {
  for (const shown of [[me, them, ghost], [ghost, me, them], [me], [me, me], [them, ghost]]) {
    const { directory: asked, home } = await directory(...shown);
    await assert.rejects(asked.roster(room), DirectoryRefused);
    await assert.rejects(asked.pinRoster(shownAs('direct', shown)), DirectoryRefused);
    assert.deepEqual((await asked.pinRoster(shownAs('direct', [them, me]))).accounts, [them, me]);
    assert.deepEqual((await asked.roster(room)).accounts, [them, me]);
    home.close();
  }
});

test('a chat of two never becomes a group, nor a group a chat of two, whatever the server says', async () => {
  const { directory: asked, home } = await directory(me, them);
  await asked.roster(room);
  await assert.rejects(asked.pinRoster(shownAs('group', [me, them, ghost])), DirectoryRefused);
  assert.deepEqual((await asked.pinRoster(shownAs('direct', [me, them, ghost]))).accounts, [me, them]);
  home.close();
  const { directory: other, home: second } = await directory(me, them);
  await other.pinRoster(shownAs('group', [me, them, ghost], 'owner'));
  await assert.rejects(other.pinRoster(shownAs('direct', [me, them])), DirectoryRefused);
  assert.deepEqual((await other.pinRoster(shownAs('group', [me, ghost]))).roles, { [me]: 'member', [ghost]: 'member' });
  assert.equal(await other.nameOf(them), `name of ${them}`);
  second.close();
});

test('who is not in the group is never listed; who was, is known by the keys seen then; in a chat of two, refused', async () => {
  const { directory: asked, home } = await directory(me, them);
  const key = new Uint8Array(32).fill(7);
  const [who, device] = [accountUri('h.example', ghost), deviceUri('h.example', account(31))];
  const group = { accounts: [me, them], roles: { [me]: 'member', [them]: 'owner' } as const };
  assert.equal(await asked.standing(group, { account: who, device }, key), 'unlisted');
  assert.equal(await asked.standing({ accounts: [me, them] }, { account: who, device }, key), 'refused');
  const list = encodeDeviceList({ account: who, version: 1, signedMs: 1, entries: [{ device, mlsKey: key, addedMs: 1 }] });
  await asked['vault'].save('meta', `pin/${ghost}`, { aik: key, version: 1, list });
  assert.equal(await asked.standing(group, { account: who, device }, key), 'former');
  assert.equal(await asked.standing(group, { account: who, device }, new Uint8Array(32)), 'unlisted');
  home.close();
});

test('keys that were seen do not go away: a server that shows none is refused, not believed', async () => {
  const home = new NodeHome(new NodeDevice({ origin: 'http://h.example' }));
  const vault = new Vault(home, await rootKey(await home.backend.localKey(), new Uint8Array(32), me, account(11)));
  const api = {
    devicesOf: async (who: string) => ({ account: who, aik: null, device_list: null, device_list_signature: null, devices: [] }),
  };
  const asked = new Directory(api as never, vault, 'h.example', { account: me, aik: () => null }, unlogged);
  assert.equal((await asked.keys(them)).list, null);
  await vault.save('meta', `pin/${them}`, { aik: new Uint8Array(32), version: 1, list: new Uint8Array(1) });
  await assert.rejects(asked.keys(them, true), DirectoryRefused);
  home.close();
});

test('the keys of many are asked for eight at a time; when the key log grew meanwhile, what is left is asked for anew', async () => {
  const home = new NodeHome(new NodeDevice({ origin: 'http://h.example' }));
  const vault = new Vault(home, await rootKey(await home.backend.localKey(), new Uint8Array(32), me, account(11)));
  const [people, asked] = [Array.from({ length: 20 }, (_, n) => account(100 + n)), [] as string[]];
  let [running, most, held] = [0, 0, 7];
  const api = {
    devicesOf: async (who: string, size: number) => {
      most = Math.max(most, ++running);
      asked.push(`${who} ${size}`);
      await new Promise((done) => setTimeout(done, 1));
      if (who === people[3] && size === 7) held = 8;
      running--;
      return { account: who, aik: null, device_list: null, device_list_signature: null, devices: [] };
    },
  };
  const log: Proving = { ...unlogged, asking: (ask) => ask(held), size: async () => held };
  const found = await new Directory(api as never, vault, 'h.example', { account: me, aik: () => null }, log).freshKeys([...people, people[0]!]);
  assert.deepEqual([...found.keys()], people);
  assert.equal(most, 8);
  const [anew, again] = [people.slice(1).map((who) => `${who} 8`), people.slice(0, 8).map((who) => `${who} 7`)];
  assert.deepEqual(asked, [...again, ...anew]);
  home.close();
});
