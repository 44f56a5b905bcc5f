/**
 * The account's own keys on this device: the identity key, this device's key and certificate, the device list, the
 * recovery code. Seeds are sealed at rest and wiped from memory; signing goes through handles that cannot be exported.
 */
import { equal, fromBase64, toBase64, wipe, type Bytes } from '../protocol/bytes';
import { signCertificate, signDeviceList, verifiedDeviceList, encodeDeviceList, type DeviceEntry } from '../protocol/identity';
import {
  formatLinkCode, isTagged, LINK_CODE_BYTES, linkTag, oneTimeKey, openForDevice, parseLinkCode, sealForDevice,
} from '../protocol/linking';
import { CODE_BYTES, formatCode, openAik, parseCode, recoveryAuth, sealAik } from '../protocol/recovery';
import { newSeed, publicKeyOf, signerFromSeed, type Signer } from '../protocol/sign';
import { accountUri, deviceUri } from '../protocol/uris';
import type { Api, WaitingDevice } from './api';
import { Problem } from './errors';
import type { Home } from './home';
import type { DeviceKey, IdentityKey, Self } from './records';
import type { Vault } from './vault';

const IV_SIZE = 12;
/** How often a device list is signed again when another device was faster. */
const LIST_ATTEMPTS = 4;

export class Account {
  #aik: Signer | null = null;
  #device: Signer | null = null;
  /** The code on this device's screen and its one-time key; a reload makes new ones. */
  #waiting: { code: Bytes; privateKey: CryptoKey; publicKey: Bytes } | null = null;

  constructor(
    private readonly home: Home,
    private readonly api: Api,
    private readonly vault: Vault,
    private readonly self: Self,
  ) {}

  get uri(): string {
    return accountUri(this.self.server, this.self.account);
  }

  get deviceUri(): string {
    return deviceUri(this.self.server, this.self.device);
  }

  get aikPublic(): Bytes | null {
    return this.#aik?.publicKey ?? null;
  }

  get device(): Signer {
    if (!this.#device) throw new Problem('needs_identity', 'This device is not set up yet.');
    return this.#device;
  }

  /** Reads the keys that are here; makes the device key at first. */
  async open(): Promise<void> {
    const aik = await this.vault.get<IdentityKey>('keys', 'aik');
    this.#aik = aik && (await signerFromSeed(aik.seed, aik.publicKey));
    const device = (await this.vault.get<DeviceKey>('keys', 'device')) ?? (await this.#newDeviceKey());
    this.#device = await signerFromSeed(device.seed, device.publicKey);
    wipe(device.seed, ...(aik ? [aik.seed] : []));
  }

  async #newDeviceKey(): Promise<DeviceKey> {
    const record: DeviceKey = { ...(await newSeed()), addedMs: this.home.now(), registered: false };
    await this.vault.save('keys', 'device', record);
    return record;
  }

  async isRegistered(): Promise<boolean> {
    return (await this.vault.get<DeviceKey>('keys', 'device'))?.registered ?? false;
  }

  /** A new identity key and its recovery code, which is returned once and kept nowhere. */
  async makeIdentity(reset: boolean): Promise<string> {
    const { seed, publicKey } = await newSeed();
    const code = this.home.random(CODE_BYTES);
    const sealed = await sealAik(code, seed, this.uri, this.home.random(IV_SIZE));
    // Stored before it is published: a key that the server knows and this device lost could never sign anything.
    await this.vault.save('keys', 'aik-new', { seed, publicKey } satisfies IdentityKey);
    await this.api.putIdentity({
      aik: toBase64(publicKey), sealed_aik: toBase64(sealed), recovery_auth: toBase64(recoveryAuth(code)),
      ...(reset ? { reset: true } : {}),
    });
    const key = await this.vault.put('keys', 'aik', { seed, publicKey } satisfies IdentityKey);
    await this.vault.write(key, this.vault.remove('keys', 'aik-new'));
    await this.#useIdentity(seed, publicKey);
    const shown = formatCode(code);
    wipe(code);
    return shown;
  }

  async #useIdentity(seed: Bytes, publicKey: Bytes): Promise<void> {
    this.#aik = await signerFromSeed(seed, publicKey);
    wipe(seed);
  }

  /** Opens the sealed identity key with the recovery code and keeps it, sealed, on this device. */
  async unlockIdentity(typed: string): Promise<void> {
    const code = readCode(typed);
    const { aik, sealed_aik } = await this.api.identity();
    const seed = sealed_aik === null ? null : await openAik(code, fromBase64(sealed_aik), this.uri);
    wipe(code);
    if (seed === null || aik === null) throw new Problem('wrong_code', 'That recovery code does not belong to this account.');
    const publicKey = await publicKeyOf(seed);
    if (!equal(publicKey, fromBase64(aik))) {
      throw new Problem('wrong_identity', 'The server shows another identity key than your recovery code opens. Nothing was changed.');
    }
    await this.vault.save('keys', 'aik', { seed, publicKey } satisfies IdentityKey);
    await this.#useIdentity(seed, publicKey);
  }

  /** Begins to wait for approval by another own device: the code to show, and until when it holds. */
  async offerLink(): Promise<{ code: string; until_ms: number }> {
    const code = this.home.random(LINK_CODE_BYTES);
    const key = await oneTimeKey();
    const tag = linkTag(code, { account: this.uri, device: this.deviceUri }, key.publicKey);
    const { until_ms } = await this.api.offerLink({ public_key: toBase64(key.publicKey), tag: toBase64(tag) });
    this.#waiting = { code, ...key };
    return { code: formatLinkCode(code), until_ms };
  }

  /** Whether this device was approved; then the identity key is here. */
  async linkState(): Promise<'waiting' | 'over' | 'done'> {
    const waiting = this.#waiting;
    if (waiting === null) return 'over';
    let answer;
    try {
      answer = await this.api.link();
    } catch (error) {
      if (error instanceof Problem && error.code === 'not_found') return 'over';
      throw error;
    }
    if (answer.sealed === null) return 'waiting';
    const seed = await openForDevice(waiting.code, { account: this.uri, device: this.deviceUri }, waiting, fromBase64(answer.sealed));
    const { aik } = await this.api.identity();
    const publicKey = seed && (await publicKeyOf(seed));
    this.#waiting = null;
    if (!seed || !publicKey || aik === null || !equal(publicKey, fromBase64(aik))) {
      throw new Problem('wrong_identity', 'What arrived does not come from a device that knows this code. Nothing of it is used.');
    }
    await this.vault.save('keys', 'aik', { seed, publicKey } satisfies IdentityKey);
    await this.#useIdentity(seed, publicKey);
    await this.api.endLink();
    return 'done';
  }

  /** The waiting own device that shows this code. */
  async waitingWith(typed: string): Promise<{ code: Bytes; device: WaitingDevice }> {
    const code = readTyped(() => parseLinkCode(typed));
    for (const device of (await this.api.links()).waiting) {
      const parties = { account: this.uri, device: deviceUri(this.self.server, device.device) };
      if (isTagged(code, parties, fromBase64(device.public_key), fromBase64(device.tag))) return { code, device };
    }
    throw new Problem('wrong_code', 'No device of yours is waiting with that code. Check it on the new device’s screen.');
  }

  /** Passes the identity key on, sealed to that device under its code. */
  async approve(code: Bytes, device: WaitingDevice): Promise<void> {
    const identity = await this.vault.get<IdentityKey>('keys', 'aik');
    if (!identity) throw new Problem('needs_identity', 'This device is not set up yet.');
    const parties = { account: this.uri, device: deviceUri(this.self.server, device.device) };
    const sealed = await sealForDevice(code, parties, fromBase64(device.public_key), identity.seed, this.home.random(IV_SIZE));
    wipe(identity.seed, code);
    await this.api.approveLink(device.device, { public_key: device.public_key, sealed: toBase64(sealed) });
  }

  /** Certifies this device and puts it on the device list. */
  async register(): Promise<void> {
    const record = await this.vault.get<DeviceKey>('keys', 'device');
    if (!record || !this.#aik) throw new Problem('needs_identity', 'This device is not set up yet.');
    const certificate = { account: this.uri, device: this.deviceUri, mlsKey: record.publicKey, addedMs: record.addedMs };
    const signature = toBase64(await signCertificate(this.#aik, certificate));
    const entry: DeviceEntry = { device: this.deviceUri, mlsKey: record.publicKey, addedMs: record.addedMs };
    await this.#withList(entry, (list) => this.api.putDevice({
      mls_key: toBase64(record.publicKey), added_ms: record.addedMs, certificate: signature, ...list,
    }));
    await this.vault.save('keys', 'device', { ...record, registered: true } satisfies DeviceKey);
    wipe(record.seed);
  }

  /** Signs a list of exactly the live devices, when the current one says something else. True if a list was uploaded. */
  async refreshList(): Promise<boolean> {
    if (!this.#aik || !(await this.isRegistered())) return false;
    const { stale } = await this.#liveEntries();
    if (!stale) return false;
    await this.#withList(null, (list) => this.api.putDeviceList(list));
    return true;
  }

  async #withList(
    own: DeviceEntry | null, put: (list: { device_list: string; device_list_signature: string }) => Promise<unknown>,
  ): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const { entries, version } = await this.#liveEntries();
      const all = own ? [...entries.filter((entry) => entry.device !== own.device), own] : entries;
      const list = { account: this.uri, version: version + 1, signedMs: this.home.now(), entries: all };
      try {
        await put({ device_list: toBase64(encodeDeviceList(list)), device_list_signature: toBase64(await signDeviceList(this.#aik!, list)) });
        return;
      } catch (error) {
        // Another device signed a list at the same moment: look again.
        if (!(error instanceof Problem) || error.code !== 'conflict' || attempt === LIST_ATTEMPTS) throw error;
      }
    }
  }

  /** What is on the signed list and still alive, as this account itself signed it. */
  async #liveEntries(): Promise<{ entries: DeviceEntry[]; version: number; stale: boolean }> {
    const [answer, { devices, list_version }] = await Promise.all([this.api.devicesOf(this.self.account), this.api.ownDevices()]);
    const aik = this.#aik!.publicKey;
    const current = answer.aik !== null && equal(fromBase64(answer.aik), aik);
    if (!current || answer.device_list === null || answer.device_list_signature === null) {
      return { entries: [], version: list_version, stale: true };
    }
    const list = await verifiedDeviceList(aik, fromBase64(answer.device_list), fromBase64(answer.device_list_signature));
    // After a reset the old list is signed by the old key: none of its devices carries over.
    if (list === null || list.account !== this.uri) return { entries: [], version: list_version, stale: true };
    const live = new Set(devices.map((device) => deviceUri(this.self.server, device.id)));
    const entries = list.entries.filter((entry) => live.has(entry.device));
    return { entries, version: list_version, stale: entries.length < list.entries.length };
  }
}

/** A typed code, with the reason it cannot be one. */
export const readCode = (typed: string): Bytes => readTyped(() => parseCode(typed));

function readTyped(parse: () => Bytes): Bytes {
  try {
    return parse();
  } catch (error) {
    throw new Problem('invalid', error instanceof Error ? error.message : 'That is not such a code.');
  }
}
