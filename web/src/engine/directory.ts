/**
 * Whose keys are whose: verified and pinned before anything is believed.
 *
 * The account identity key is pinned at first sight; its device lists may only grow in version; every listed device
 * has a certificate. The server's signing keys are pinned as a chain. What cannot be fetched now raises `Unreachable`
 * and is asked again later; what does not verify is refused.
 */
import { equal, fromBase64, Malformed, type Bytes } from '../protocol/bytes';
import {
  decodeDeviceList, hubKeyFor, ManifestRefused, verifiedDeviceList, verifyCertificate, verifyManifest, type DeviceList, type ManifestEntry,
} from '../protocol/identity';
import { keyValue } from '../protocol/transparency';
import { accountUri, deviceUri, parseUri } from '../protocol/uris';
import type { Api, DevicesAnswer, KeysProofAnswer, RoomAnswer } from './api';
import { isLogRefusal } from './key-log';
import type { Identity } from './mls';
import type { NewIdentity, Pin, PinnedManifest, Roster, SeenName } from './records';
import type { Vault } from './vault';

/**
 * listed: certified and in the account's list. unlisted: the account is right, the device is not (or no longer) listed.
 * former: of somebody who is no longer in the group, and was listed when this device last saw her list.
 */
export type Standing = 'listed' | 'former' | 'unlisted' | 'refused';

export interface AccountKeys { account: string; aik: Bytes | null; list: DeviceList | null }

/** What the server says about somebody does not verify. */
export class DirectoryRefused extends Error {
  override readonly name = 'DirectoryRefused';
}

/** Unless the key log holds these keys, nothing of them is believed (key-log.ts). */
export interface Proving {
  asking<T>(ask: (size: number) => Promise<T>): Promise<T>;
  size(): Promise<number>;
  checkKeys(account: string, proof: KeysProofAnswer | null | undefined, value: Bytes): Promise<void>;
}

/** Accepts ids and URIs, as different answers name devices. */
const asUri = (server: string, device: string): string => (device.startsWith('mimi://') ? device : deviceUri(server, device));

/** Accounts whose devices are asked for at a time. */
const ASKED_AT_ONCE = 8;

export class Directory {
  readonly #accounts = new Map<string, AccountKeys>();
  #manifest: ManifestEntry[] | null = null;
  /** An identity key that differs from the pinned one: recorded under meta/new-identity, to be said. */
  onNewIdentity: () => void = () => undefined;

  constructor(
    private readonly api: Api,
    private readonly vault: Vault,
    private readonly server: string,
    private readonly self: { account: string; aik: () => Bytes | null },
    private readonly log: Proving,
  ) {}

  /** The keys of an account, fetched again when `fresh`. */
  async keys(account: string, fresh = false): Promise<AccountKeys> {
    const known = this.#accounts.get(account);
    if (known && !fresh) return known;
    return (await this.freshKeys([account])).get(account)!;
  }

  /**
   * The keys of these accounts, fetched again. Several are asked for at a time, each on from the head of the key log that
   * is held; an answer moves that head when the log has grown, and then what is left is asked for on from there.
   */
  async freshKeys(accounts: readonly string[]): Promise<Map<string, AccountKeys>> {
    const found = new Map<string, AccountKeys>();
    for (let left = [...accounts]; left.length > 0; left = left.filter((account) => !found.has(account))) {
      await this.log.asking(async (size) => {
        const wave = left.slice(0, ASKED_AT_ONCE);
        const answers = await Promise.all(wave.map((account) => this.api.devicesOf(account, size)));
        for (const [at, account] of wave.entries()) {
          if (at > 0 && (await this.log.size()) !== size) return;
          const keys = await this.#verified(account, answers[at]!);
          this.#accounts.set(account, keys);
          found.set(account, keys);
        }
      });
    }
    return found;
  }

  forget(account: string): void {
    this.#accounts.delete(account);
  }

  async #verified(account: string, answer: DevicesAnswer): Promise<AccountKeys> {
    if (answer.account !== account) throw new DirectoryRefused('The server answered about somebody else.');
    if (answer.aik === null || answer.device_list === null || answer.device_list_signature === null) {
      // Keys once seen do not go away: taken at its word, this device would itself remove theirs from the chat.
      if (await this.#pinned(account)) throw new DirectoryRefused('The server shows no keys for somebody whose keys are known here.');
      return { account, aik: null, list: null };
    }
    const aik = fromBase64(answer.aik);
    const bytes = fromBase64(answer.device_list);
    const list = await verifiedDeviceList(aik, bytes, fromBase64(answer.device_list_signature));
    if (list === null || list.account !== accountUri(this.server, account)) {
      throw new DirectoryRefused('A device list is not signed by its account.');
    }
    await this.#checkCertificates(aik, list, answer.devices);
    await this.log.checkKeys(account, answer.transparency, keyValue(aik, bytes, fromBase64(answer.device_list_signature)));
    await this.#pin(account, aik, list, bytes);
    return { account, aik, list };
  }

  async #checkCertificates(aik: Bytes, list: DeviceList, served: DevicesAnswer['devices']): Promise<void> {
    const byUri = new Map(served.map((device) => [asUri(this.server, device.device), device]));
    for (const entry of list.entries) {
      const device = byUri.get(entry.device);
      if (!device) continue; // signed out since the list was signed: no longer served, not a contradiction
      const certificate = { account: list.account, device: entry.device, mlsKey: fromBase64(device.mls_key), addedMs: device.added_ms };
      const sound = equal(certificate.mlsKey, entry.mlsKey) && certificate.addedMs === entry.addedMs
        && (await verifyCertificate(aik, certificate, fromBase64(device.certificate)));
      if (!sound) throw new DirectoryRefused('A device has no valid certificate of its account.');
    }
    // A device that the server has signed out is gone even before a new list is signed.
    list.entries = list.entries.filter((entry) => byUri.has(entry.device));
  }

  #pinned(account: string): Promise<Pin | null> {
    return this.vault.get<Pin>('meta', `pin/${account}`);
  }

  async #pin(account: string, aik: Bytes, list: DeviceList, bytes: Bytes): Promise<void> {
    const own = account === this.self.account ? this.self.aik() : null;
    if (own && !equal(own, aik)) throw new DirectoryRefused('The server shows another identity key for your own account.');
    const pin = await this.#pinned(account);
    const same = pin !== null && equal(pin.aik, aik);
    if (same && list.version < pin.version) throw new DirectoryRefused('The server shows an older device list than before.');
    if (same && list.version === pin.version && !equal(pin.list, bytes)) {
      throw new DirectoryRefused('The server shows two device lists of one version.');
    }
    const pinned = await this.vault.put('meta', `pin/${account}`, { aik, version: list.version, list: bytes } satisfies Pin);
    if (pin === null || same) return this.vault.write(pinned);
    // With the pin: whatever happens now, it will be said.
    const wasVerified = (await this.vault.get('meta', `verified/${account}`)) !== null;
    const said = await this.vault.put('meta', `new-identity/${account}`, { wasVerified } satisfies NewIdentity);
    await this.vault.write(pinned, said, this.vault.remove('meta', `verified/${account}`));
    this.onNewIdentity();
  }

  /** The identity key that is pinned for an account. */
  async identityOf(account: string): Promise<Bytes | null> {
    return (await this.#pinned(account))?.aik ?? null;
  }

  /** Whether this device may be a member of a room with this roster. Asks again before calling a device unlisted. */
  async standing(roster: Roster, who: Identity, key: Bytes): Promise<Standing> {
    const { server, id } = parseUri(who.account, 'u');
    if (server !== this.server) return 'refused';
    if (!roster.accounts.includes(id)) return roster.roles ? this.#afterwards(id, who, key) : 'refused';
    const now = lookUp(await this.keys(id), who, key);
    return now === 'listed' ? now : lookUp(await this.keys(id, true), who, key);
  }

  /** Somebody who left a group, or who left again before this device looked: never listed, so nothing is sent to her. */
  async #afterwards(account: string, who: Identity, key: Bytes): Promise<Standing> {
    const pin = await this.#pinned(account);
    return pin && lookUp({ account, aik: pin.aik, list: decodeDeviceList(pin.list) }, who, key) === 'listed' ? 'former' : 'unlisted';
  }

  /** Who belongs to a room, as this device knows it. */
  async roster(room: string): Promise<Roster> {
    return (await this.vault.get<Roster>('meta', `room/${room}`)) ?? this.pinRoster(await this.api.room(room));
  }

  /** What is known of a room here, with what the server says now. A chat between two never becomes anything else. */
  async pinRoster(answer: Pick<RoomAnswer, 'room' | 'kind' | 'accounts'>): Promise<Roster> {
    const { room, kind } = answer;
    const known = await this.vault.get<Roster>('meta', `room/${room}`);
    if (known && (known.roles !== undefined) !== (kind === 'group')) {
      throw new DirectoryRefused('The server calls a chat between two people a group, or a group a chat between two.');
    }
    const accounts = answer.accounts.map((one) => one.account);
    if (!known && !accounts.includes(this.self.account)) throw new DirectoryRefused('The server shows a chat without you in it.');
    return kind === 'group' ? this.#pinGroup(answer) : (known ?? this.#pinDirect(room, accounts));
  }

  async #pinDirect(room: string, accounts: string[]): Promise<Roster> {
    // Such a chat is between two: a third account would be let in by its own valid device list, and nobody would see it.
    if (accounts.length !== 2 || accounts[0] === accounts[1]) throw new DirectoryRefused('The server shows a chat of other than two people.');
    await this.vault.save('meta', `room/${room}`, { accounts } satisfies Roster);
    return { accounts };
  }

  async #pinGroup({ room, accounts }: Pick<RoomAnswer, 'room' | 'accounts'>): Promise<Roster> {
    const roster: Roster = {
      accounts: accounts.map((one) => one.account), roles: Object.fromEntries(accounts.map((one) => [one.account, one.role])),
    };
    const names = await Promise.all(accounts.map((one) =>
      this.vault.put('meta', `name/${one.account}`, { name: one.display_name } satisfies SeenName)));
    await this.vault.write(await this.vault.put('meta', `room/${room}`, roster), ...names);
    return roster;
  }

  async nameOf(account: string): Promise<string | null> {
    return (await this.vault.get<SeenName>('meta', `name/${account}`))?.name ?? null;
  }

  /** The hub's public key for a hub_key_id; fetches the manifest when the id is newer than what is pinned. */
  async hubKey(hubKeyId: number): Promise<Bytes | null> {
    this.#manifest ??= await this.#pinnedManifest();
    const newest = this.#manifest?.at(-1);
    // The newest entry serves ids without end, so a rotation shows only in a fresh manifest: verify with what is
    // pinned first, and let `freshHubKey` ask when the signature does not fit.
    if (!newest) return this.freshHubKey(hubKeyId);
    return hubKeyFor(this.#manifest!, hubKeyId);
  }

  async freshHubKey(hubKeyId: number): Promise<Bytes | null> {
    await this.refreshManifest();
    return hubKeyFor(this.#manifest!, hubKeyId);
  }

  async #pinnedManifest(): Promise<ManifestEntry[] | null> {
    const pinned = await this.vault.get<PinnedManifest>('meta', 'manifest');
    return pinned && verifyManifest(pinned.entries, []);
  }

  /** The server's signing keys, as pinned. */
  async manifest(): Promise<ManifestEntry[]> {
    this.#manifest ??= await this.#pinnedManifest();
    if (this.#manifest === null) await this.refreshManifest();
    return this.#manifest!;
  }

  async refreshManifest(): Promise<void> {
    const served = (await this.api.wellKnown()).manifest.map(({ entry, signature }) => ({
      entry: fromBase64(entry), signature: fromBase64(signature),
    }));
    const pinned = await this.vault.get<PinnedManifest>('meta', 'manifest');
    this.#manifest = await verifyManifest(served, (pinned?.entries ?? []).map((item) => item.entry));
    await this.vault.save('meta', 'manifest', { entries: served } satisfies PinnedManifest);
  }
}

function lookUp(keys: AccountKeys, who: Identity, key: Bytes): Standing {
  const entry = keys.list?.entries.find((one) => one.device === who.device);
  if (!entry) return 'unlisted';
  return equal(entry.mlsKey, key) ? 'listed' : 'refused';
}

/** Errors that mean "this does not verify", as opposed to "not now" or a bug. */
export function isRefusal(error: unknown): boolean {
  return error instanceof DirectoryRefused || error instanceof ManifestRefused || error instanceof Malformed || isLogRefusal(error);
}
