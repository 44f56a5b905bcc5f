/** Key packages: what others need to add this device to a room while it is away. */
import { toBase64, toHex, type Bytes } from '../protocol/bytes';
import type { Api } from './api';
import type { Home } from './home';
import type { MlsEngine } from './mls';
import type { PackageRecord } from './records';
import type { Vault } from './vault';

export interface PackageLimits {
  /** uploaded at once with a new device */
  first: number;
  /** filled up when fewer are left */
  refillBelow: number;
  full: number;
  /** made and uploaded in one go when idle */
  batch: number;
}
export const packageLimits: PackageLimits = { first: 10, refillBelow: 20, full: 100, batch: 10 };

const secretKey = (ref: Uint8Array): string => `kp/${toHex(ref)}`;

export class KeyPackages {
  constructor(
    private readonly home: Home,
    private readonly api: Api,
    private readonly vault: Vault,
    private readonly engine: MlsEngine,
    private readonly limits: PackageLimits,
  ) {}

  /** Makes, stores and uploads; the secret halves are on disk before anybody can use the public ones. */
  async upload(count: number, withLastResort: boolean): Promise<number> {
    const made = await Promise.all(Array.from({ length: count + (withLastResort ? 1 : 0) }, () => this.engine.newKeyPackage()));
    const writes = made.map(({ secret }, i) =>
      this.vault.put('keys', secretKey(secret.ref), { ...secret, lastResort: i === count } satisfies PackageRecord));
    await this.vault.write(...(await Promise.all(writes)));
    const messages = made.map(({ message }) => toBase64(message));
    const last = messages[count];
    const body = { packages: messages.slice(0, count), ...(last === undefined ? {} : { last_resort: last }) };
    return (await this.api.putKeyPackages(body)).available;
  }

  async uploadFirst(): Promise<void> {
    await this.upload(this.limits.first, true);
  }

  /** Fills up in small batches, so that the device stays responsive. */
  async refill(): Promise<void> {
    const { available, last_resort } = await this.api.keyPackages();
    if (!last_resort) await this.upload(0, true);
    if (available >= this.limits.refillBelow) return;
    for (let have = available; have < this.limits.full;) {
      const now = await this.upload(Math.min(this.limits.batch, this.limits.full - have), false);
      if (now <= have) return; // the server keeps fewer than we would give it
      have = now;
    }
  }

  async secret(refs: readonly Bytes[]): Promise<PackageRecord | null> {
    for (const ref of refs) {
      const found = await this.vault.get<PackageRecord>('keys', secretKey(ref));
      if (found) return found;
    }
    return null;
  }

  /** A used package's secret goes with the Welcome that used it; a last resort may serve again. */
  used(record: PackageRecord): ReturnType<Vault['remove']>[] {
    return record.lastResort ? [] : [this.vault.remove('keys', secretKey(record.ref))];
  }

  async dropExpired(): Promise<void> {
    const records = await this.vault.range<PackageRecord>('keys', { prefix: 'kp/' });
    const gone = records.filter(({ value }) => value.notAfterMs < this.home.now());
    await this.vault.write(...gone.map(({ key }) => this.vault.remove('keys', key)));
  }
}
