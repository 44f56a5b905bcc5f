import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Directory, DirectoryRefused } from '../src/engine/directory';
import { NodeDevice, NodeHome } from '../src/engine/home-node';
import { rootKey, Vault } from '../src/engine/vault';
import { account } from './shared';

const [me, them, ghost, room] = [account(1), account(2), account(3), account(0xf1)];

/** A directory whose server says that a chat is of these accounts. */
async function directory(...accounts: string[]): Promise<{ directory: Directory; home: NodeHome }> {
  const home = new NodeHome(new NodeDevice({ origin: 'http://h.example' }));
  const vault = new Vault(home, await rootKey(await home.backend.localKey(), new Uint8Array(32), me, account(11)));
  const api = { room: async () => ({ room, accounts: accounts.map((one) => ({ account: one })) }) };
  return { directory: new Directory(api as never, vault, 'h.example', { account: me, aik: () => null }), home };
}

test('a chat is of two people: what a server adds at first sight is refused, not pinned', async () => {
  for (const shown of [[me, them, ghost], [ghost, me, them], [me], [me, me], [them, ghost]]) {
    const { directory: asked, home } = await directory(...shown);
    await assert.rejects(asked.roster(room), DirectoryRefused);
    await assert.rejects(asked.pinRoster(room, shown), DirectoryRefused);
    assert.deepEqual(await asked.pinRoster(room, [them, me]), [them, me]);
    assert.deepEqual(await asked.roster(room), [them, me]);
    home.close();
  }
});

test('keys that were seen do not go away: a server that shows none is refused, not believed', async () => {
  const home = new NodeHome(new NodeDevice({ origin: 'http://h.example' }));
  const vault = new Vault(home, await rootKey(await home.backend.localKey(), new Uint8Array(32), me, account(11)));
  const api = {
    devicesOf: async (who: string) => ({ account: who, aik: null, device_list: null, device_list_signature: null, devices: [] }),
  };
  const asked = new Directory(api as never, vault, 'h.example', { account: me, aik: () => null });
  assert.equal((await asked.keys(them)).list, null);
  await vault.save('meta', `pin/${them}`, { aik: new Uint8Array(32), version: 1, list: new Uint8Array(1) });
  await assert.rejects(asked.keys(them, true), DirectoryRefused);
  home.close();
});
