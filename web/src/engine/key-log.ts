/**
 * What this device verified of the server's key log, and what it holds the server to.
 *
 * A head is taken only if it continues the one held; keys only if the log proves that they are an account's newest;
 * one's own entries only if one's own key made them. What speaks against the server itself is also kept as an alarm.
 */
import { equal, fromBase64, Malformed, type Bytes } from '../protocol/bytes';
import { verifiedDeviceList, type ManifestEntry } from '../protocol/identity';
import {
  checkExtends, checkRising, commitmentOf, decodeConfiguration, distinguished, Forged, gossipKey, headIsSigned, isEndorsed,
  labelOf, parseValue, readGossip, rootOf, shownFrom, versionsAt, type Configuration, type Entry,
} from '../protocol/transparency';
import { parseUri } from '../protocol/uris';
import type { Api, EntryAnswer, HeadAnswer, KeysProofAnswer, WatchAnswer, WellKnown } from './api';
import { Problem } from './errors';
import type { Home } from './home';
import type { Alarm, AlarmKind, HeardHead, LogRecord, OwnKeys, Watched } from './records';
import type { Vault } from './vault';

const LOCK = 'kith:key-log';
/** Clocks of people are wrong; an old log is noticed within a day, which is as often as everybody looks. */
const CLOCK_SLACK_MS = 86_400_000;
/** Heads of others that wait for comparison. */
const MOST_HEARD = 16;

/** What the key log proves otherwise than the server says. */
export class LogRefused extends Error {
  override readonly name = 'LogRefused';
}

const entryOf = (answer: EntryAnswer): Entry => ({
  position: answer.position, timestampMs: answer.timestamp_ms, prefixRoot: fromBase64(answer.prefix_root),
  path: answer.path.map(fromBase64), greatest: answer.greatest, lookups: answer.lookups.map(fromBase64),
});

export class KeyLog {
  /** Something to show came or went. */
  onAlarm: () => void = () => undefined;

  constructor(
    private readonly home: Home,
    private readonly api: Api,
    private readonly vault: Vault,
    private readonly self: { account: string; device: string; aik: () => Bytes | null },
    private readonly manifest: () => Promise<ManifestEntry[]>,
  ) {}

  /**
   * One question at a time, in all tabs: each answer continues the head that the question named. `ask` gets that size.
   */
  asking<T>(ask: (size: number) => Promise<T>): Promise<T> {
    return this.home.locked(LOCK, async () => {
      if ((await this.#record()) === null) await this.#learnConfiguration();
      return ask((await this.#record())!.size);
    });
  }

  /** The size of the head that is held; 0 before there is one. */
  async size(): Promise<number> {
    return (await this.#record())?.size ?? 0;
  }

  #record(): Promise<LogRecord | null> {
    return this.vault.get<LogRecord>('meta', 'log');
  }

  async #known(): Promise<{ record: LogRecord; configuration: Configuration }> {
    const record = await this.#record();
    if (record === null) throw new LogRefused('The server’s key log is not known here yet.');
    return { record, configuration: decodeConfiguration(record.configuration) };
  }

  async #learnConfiguration(): Promise<void> {
    const served: WellKnown['transparency'] = (await this.api.wellKnown()).transparency;
    if (!served) throw new LogRefused('The server shows no key log.');
    const [configuration, signature] = [fromBase64(served.configuration), fromBase64(served.signature)];
    const signers = await this.manifest();
    const endorsed = await Promise.all(signers.map((entry) => isEndorsed(entry.publicKey, configuration, signature)));
    if (!endorsed.includes(true)) throw new LogRefused('The key log is not endorsed by the server’s signing key.');
    decodeConfiguration(configuration);
    const fresh: LogRecord = { configuration, size: 0, root: new Uint8Array(), signature: new Uint8Array() };
    await this.vault.save('meta', 'log', fresh);
  }

  async #learnHead(answer: HeadAnswer, newest: Entry): Promise<void> {
    const { record, configuration } = await this.#known();
    const size = answer.tree_size;
    if (newest.position !== size - 1) throw new Forged('another entry than the newest');
    const root = rootOf(newest, size) as Bytes;
    const signature = fromBase64(answer.signature);
    if (!(await headIsSigned(configuration, size, root, signature))) throw new Forged('a head is not signed by the log’s key');
    const shown: LogRecord = { configuration: record.configuration, size, root, signature };
    if (record.size > 0) {
      try {
        checkExtends(answer.consistency.map(fromBase64), record, { size, root });
      } catch (error) {
        if (error instanceof Forged) await this.alarm('log', [record, shown]);
        throw error;
      }
    }
    await this.#checkTime(newest.timestampMs, configuration);
    if (record.size !== size || !equal(record.signature, signature)) await this.vault.save('meta', 'log', shown);
  }

  /** Told, not refused: on most devices where this happens the clock is wrong. */
  async #checkTime(newestMs: number, { maxAheadMs, maxBehindMs }: Configuration): Promise<void> {
    const now = this.home.now();
    if (newestMs - now > maxAheadMs + CLOCK_SLACK_MS || now - newestMs > maxBehindMs + CLOCK_SLACK_MS) await this.alarm('clock');
    else if ((await this.vault.get('meta', 'alarm/clock')) !== null) await this.putAway('clock');
  }

  // ---- keys of others -------------------------------------------------------------------------------------------

  /** Throws unless the log proves that these are the account's newest keys. Remembered, to look again. */
  async checkKeys(account: string, proof: KeysProofAnswer | null | undefined, value: Bytes): Promise<void> {
    if (!proof) throw new LogRefused('The server shows keys that are not in its key log.');
    const newest = entryOf(proof.newest);
    const { version } = proof.opening;
    await this.#learnHead(proof.head, newest);
    const label = labelOf(account);
    if (newest.greatest !== version) throw new Forged('older keys than the key log holds');
    const commitment = versionsAt(newest, label, version).get(version)!;
    if (!equal(commitment, commitmentOf(fromBase64(proof.opening.opening), label, version, value))) {
      throw new Forged('other keys than the key log holds');
    }
    if (account !== this.self.account) await this.#watch(account, { position: newest.position, version, commitment });
  }

  async #watch(account: string, seen: Watched): Promise<void> {
    const before = await this.vault.get<Watched>('meta', `seen-keys/${account}`);
    if (before && seen.version < before.version) throw new Forged('the key log forgot keys that it showed before');
    if (before && seen.version === before.version) {
      if (!equal(seen.commitment, before.commitment)) throw new Forged('the key log replaced keys that it showed before');
      return;
    }
    await this.vault.write(
      await this.vault.put('meta', `seen-keys/${account}`, seen), await this.vault.put('meta', `watch/${account}`, seen),
    );
  }

  /** Looks at what the log says of this account, of contacts seen lately, and at what others hold. */
  async lookAround(): Promise<void> {
    await this.asking(async () => {
      await this.#checkOwn();
      for (const { key, value } of await this.vault.range<Watched>('meta', { prefix: 'watch/' })) {
        await this.#checkWatched(key.slice('watch/'.length), value);
      }
      await this.#compareHeads();
    });
  }

  async #checkWatched(account: string, seen: Watched): Promise<void> {
    let answer: WatchAnswer;
    try {
      answer = await this.api.watch(account, { tree_size: (await this.#record())!.size, since: seen.position - 1, version: seen.version });
    } catch (error) {
      if (error instanceof Problem && error.code === 'not_found') return; // not connected any more
      throw error;
    }
    const { due, newest } = await this.#due(account, answer, seen.position - 1, seen.version);
    for (const versions of [...due, newest]) {
      const held = versions.get(seen.version);
      if (!held || !equal(held, seen.commitment)) {
        await this.alarm('log');
        throw new LogRefused('Keys that the server showed here are not in its key log any more.');
      }
    }
    if (due.length > 0) await this.vault.write(this.vault.remove('meta', `watch/${account}`));
  }

  async #due(account: string, answer: WatchAnswer, since: number, version: number): Promise<{ due: Map<number, Bytes>[]; newest: Map<number, Bytes> }> {
    const newest = entryOf(answer.newest);
    await this.#learnHead(answer.head, newest);
    const { configuration } = await this.#known();
    const size = answer.head.tree_size;
    const root = rootOf(newest, size);
    const shown = new Map(answer.checked.map((one) => [one.position, entryOf(one)]));
    for (const entry of shown.values()) if (!equal(rootOf(entry, size), root)) throw new Forged('an entry is not in the key log');
    checkRising([...shown.values(), newest]);
    const there = (position: number): Entry => {
      const entry = shown.get(position);
      if (!entry) throw new Forged('the server leaves out an entry of its key log');
      return entry;
    };
    const positions = distinguished(size, configuration.windowMs, newest.timestampMs, (at) => there(at).timestampMs, since, answer.upto);
    if (answer.upto > size - 1 || (answer.upto < size - 1 && positions.length === 0)) throw new Forged('entries are left out');
    const label = labelOf(account);
    const first = shownFrom(version, newest.greatest);
    return { due: positions.map((at) => versionsAt(there(at), label, first)), newest: versionsAt(newest, label, first) };
  }

  // ---- my own keys ----------------------------------------------------------------------------------------------

  async #checkOwn(): Promise<void> {
    const aik = this.self.aik();
    for (let more = aik !== null; more; ) {
      const size = (await this.#record())!.size;
      const known = (await this.vault.get<OwnKeys>('meta', 'own-keys'))
        ?? { position: size - 1, nextVersion: 0, commitments: [], devices: [], mine: false };
      const answer = await this.api.watch(this.self.account, { tree_size: size, since: known.position, version: known.nextVersion });
      await this.#checkOwnAnswer(aik!, known, answer);
      more = answer.upto < answer.head.tree_size - 1;
    }
  }

  async #checkOwnAnswer(aik: Bytes, known: OwnKeys, answer: WatchAnswer): Promise<void> {
    const { due, newest } = await this.#due(this.self.account, answer, known.position, known.nextVersion);
    const held = new Map(known.commitments);
    for (const versions of [newest, ...due]) {
      for (const [version, commitment] of versions) {
        const before = held.get(version);
        if (before && !equal(before, commitment)) await this.#othersKeys('The key log replaced an entry of your account.');
        held.set(version, commitment);
      }
    }
    if (Math.max(-1, ...newest.keys()) < known.nextVersion - 1) await this.#othersKeys('The key log forgot an entry of your account.');
    const opened = await this.#openOwn(aik, known, held, answer);
    if (known.commitments.length > 0) await this.#tellNew(opened.devices.filter((uri) => !known.devices.includes(uri)));
    const nextVersion = Math.max(-1, ...held.keys()) + 1;
    await this.vault.save('meta', 'own-keys', { ...opened, position: answer.upto, nextVersion, commitments: [...held] } satisfies OwnKeys);
  }

  /** Every new version must be this identity's, once one was. */
  async #openOwn(aik: Bytes, known: OwnKeys, held: Map<number, Bytes>, answer: WatchAnswer): Promise<{ devices: string[]; mine: boolean }> {
    const label = labelOf(this.self.account);
    let { devices, mine } = known;
    for (const version of [...held.keys()].sort((a, b) => a - b).filter((one) => one >= known.nextVersion)) {
      const opening = answer.openings.find((one) => one.version === version);
      if (!opening?.value) {
        if (known.commitments.length > 0) await this.#othersKeys('The key log holds an entry of your account that the server does not open.');
        continue;
      }
      const value = fromBase64(opening.value);
      if (!equal(commitmentOf(fromBase64(opening.opening), label, version, value), held.get(version)!)) throw new Forged('an entry is opened to something else');
      const { aik: key, list, signature } = parseValue(value);
      const own = equal(key, aik);
      const listed = own && list.length > 0 ? await verifiedDeviceList(aik, list, signature) : null;
      const sound = own && (list.length === 0 || listed !== null);
      if (mine && !sound) await this.#othersKeys('The key log holds other keys for your account.');
      mine ||= sound;
      if (listed) devices = listed.entries.map((entry) => entry.device);
    }
    if (!mine) await this.#othersKeys('The key log does not hold your account’s keys.');
    return { devices, mine };
  }

  async #othersKeys(what: string): Promise<never> {
    await this.alarm('own');
    throw new LogRefused(what);
  }

  async #tellNew(added: string[]): Promise<void> {
    for (const uri of added) {
      const { id } = parseUri(uri, 'd');
      if (id !== this.self.device && !(await this.vault.get('meta', `expected/${id}`))) await this.alarm(`device-${id}`);
    }
  }

  /** This device is added by its owner: its entry is no surprise. */
  expectDevice(id: string): Promise<void> {
    return this.vault.save('meta', `expected/${id}`, true);
  }

  // ---- what others hold -----------------------------------------------------------------------------------------

  /** The head held, as messages carry it. */
  async gossip(): Promise<unknown[] | null> {
    const record = await this.#record();
    return record && record.size > 0 ? [record.size, record.root, record.signature] : null;
  }

  /** A message carried its sender's head: compare it when there is time. */
  async hear(value: unknown): Promise<void> {
    const head = readGossip(value);
    const record = await this.#record();
    if (!head || !record || (record.size === head.size && equal(record.root, head.root))) return;
    const waiting = await this.home.backend.range('meta', { prefix: 'heard/' });
    if (waiting.length < MOST_HEARD) await this.vault.save('meta', gossipKey(head.size, head.root), head satisfies HeardHead);
  }

  async #compareHeads(): Promise<void> {
    for (const { key, value } of await this.vault.range<HeardHead>('meta', { prefix: 'heard/' })) {
      const { record, configuration } = await this.#known();
      // Unsigned, it is a contact's word, not the server's: nothing follows from it.
      if (record.size > 0 && (await headIsSigned(configuration, value.size, value.root, value.signature))) await this.#compare(record, value);
      await this.vault.write(this.vault.remove('meta', key));
    }
  }

  async #compare(record: LogRecord, heard: HeardHead): Promise<void> {
    const [older, newer] = heard.size < record.size ? [heard, record] : [record, heard];
    const answer = await this.api.head(newer.size, older.size);
    try {
      if (answer?.tree_size !== newer.size) throw new Forged('the server denies a head that it signed');
      checkExtends(answer.consistency.map(fromBase64), older, newer);
    } catch (error) {
      if (!(error instanceof Forged)) throw error;
      await this.alarm('log', [record, { ...heard, configuration: record.configuration }]);
      throw new LogRefused(`The server shows its key log differently to others: ${error.message}.`);
    }
  }

  // ---- alarms ---------------------------------------------------------------------------------------------------

  /** Keeps what the person must see, once, with what proves it. */
  async alarm(name: string, evidence: LogRecord[] = []): Promise<void> {
    if ((await this.vault.get('meta', `alarm/${name}`)) !== null) return;
    await this.vault.save('meta', `alarm/${name}`, { evidence } satisfies Alarm);
    this.onAlarm();
  }

  async alarms(): Promise<{ id: string; kind: AlarmKind }[]> {
    const found = await this.vault.range<Alarm>('meta', { prefix: 'alarm/' });
    return found.map(({ key }) => {
      const id = key.slice('alarm/'.length);
      return { id, kind: (id.startsWith('device-') ? 'device' : id) as AlarmKind };
    });
  }

  async putAway(id: string): Promise<void> {
    await this.vault.write(this.vault.remove('meta', `alarm/${id}`));
    this.onAlarm();
  }
}


export const isLogRefusal = (error: unknown): boolean =>
  error instanceof LogRefused || error instanceof Forged || error instanceof Malformed;
