/** The key log's frozen bytes, written by Python: the same proofs hold here, and the same lies are refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { equal, fromHex, Malformed, toHex } from '../src/protocol/bytes';
import {
  checkExtends, commitmentOf, decodeConfiguration, distinguished, encodeConfiguration, Forged, headIsSigned, isEndorsed,
  keyValue, ladder, parseValue, proves, rootOf, searchKey, versionsAt, type Entry,
} from '../src/protocol/transparency';
import { golden } from './shared';

interface Search { key: string; root: string; search: string }
interface Served {
  size: number; root: string; label: string; since: number;
  entry: { position: number; timestamp_ms: number; prefix_root: string; path: string[]; greatest: number | null; lookups: string[] };
}
interface Extension { first: number; old: string; second: number; new: string; proof: string[] }
interface Head { size: number; root: string; signature: string }
type Named<T> = T & { name: string };
interface KeyLogFile {
  configuration: {
    key: string; max_ahead_ms: number; max_behind_ms: number; window_ms: number; bytes: string; endorser: string; endorsement: string;
  };
  bad_configurations: Named<{ bytes: string }>[];
  head: Head;
  bad_heads: Named<Head>[];
  logged: { label: string; version: number; opening: string; value: string; search_key: string; commitment: string }[];
  ladders: { greatest: number; versions: number[] }[];
  searches: (Search & { commitment: string | null })[];
  bad_searches: Named<Search>[];
  entries: (Served & { versions: Record<string, string> })[];
  bad_entries: Named<Served>[];
  extensions: Extension[];
  bad_extensions: Named<Extension>[];
  walks: Named<{ times: number[]; after: number; upto: number; positions: number[] }>[];
}
const log = golden<KeyLogFile>('key_log');
const skip = log ? false : 'the golden file is not there';

const refused = (error: unknown): boolean => error instanceof Forged || error instanceof Malformed;
const configuration = () => decodeConfiguration(fromHex(log!.configuration.bytes));

function versions({ size, root, label, since, entry }: Served): Record<string, string> {
  const served: Entry = {
    position: entry.position, timestampMs: entry.timestamp_ms, prefixRoot: fromHex(entry.prefix_root),
    path: entry.path.map(fromHex), greatest: entry.greatest, lookups: entry.lookups.map(fromHex),
  };
  if (!equal(rootOf(served, size), fromHex(root))) throw new Forged('the entry is not of this log');
  return Object.fromEntries([...versionsAt(served, fromHex(label), since)].map(([version, held]) => [String(version), toHex(held)]));
}

const extend = (one: Extension): void => checkExtends(
  one.proof.map(fromHex), { size: one.first, root: fromHex(one.old) }, { size: one.second, root: fromHex(one.new) },
);

test('the golden configuration is read, written and endorsed; broken ones are refused', { skip }, async () => {
  const frozen = log!.configuration;
  const made = configuration();
  assert.deepEqual(
    [toHex(made.signatureKey), made.maxAheadMs, made.maxBehindMs, made.windowMs],
    [frozen.key, frozen.max_ahead_ms, frozen.max_behind_ms, frozen.window_ms],
  );
  assert.equal(toHex(encodeConfiguration(made.signatureKey, made.maxAheadMs, made.maxBehindMs, made.windowMs)), frozen.bytes);
  assert.equal(await isEndorsed(fromHex(frozen.endorser), made.encoded, fromHex(frozen.endorsement)), true);
  assert.equal(await isEndorsed(fromHex(frozen.key), made.encoded, fromHex(frozen.endorsement)), false);
  for (const bad of log!.bad_configurations) assert.throws(() => decodeConfiguration(fromHex(bad.bytes)), Malformed, bad.name);
});

test('the golden head is signed, and no other is', { skip }, async () => {
  const signed = ({ size, root, signature }: Head): Promise<boolean> =>
    headIsSigned(configuration(), size, fromHex(root), fromHex(signature));
  assert.equal(await signed(log!.head), true);
  for (const bad of log!.bad_heads) assert.equal(await signed(bad), false, bad.name);
});

test('golden versions are committed to and looked up alike', { skip }, () => {
  for (const one of log!.logged) {
    const [label, value] = [fromHex(one.label), fromHex(one.value)];
    assert.equal(toHex(searchKey(label, one.version)), one.search_key);
    assert.equal(toHex(commitmentOf(fromHex(one.opening), label, one.version, value)), one.commitment);
    const parts = parseValue(value);
    assert.equal(toHex(keyValue(parts.aik, parts.list, parts.signature)), one.value);
  }
  for (const one of log!.ladders) assert.deepEqual(ladder(one.greatest), one.versions, String(one.greatest));
});

test('golden searches prove what is there and what is not; false ones are refused', { skip }, () => {
  for (const one of log!.searches) {
    const held = proves(fromHex(one.search), fromHex(one.root), fromHex(one.key));
    assert.equal(held && toHex(held), one.commitment);
  }
  for (const bad of log!.bad_searches) {
    assert.throws(() => proves(fromHex(bad.search), fromHex(bad.root), fromHex(bad.key)), refused, bad.name);
  }
});

test('golden entries prove their versions; false ones are refused', { skip }, () => {
  for (const one of log!.entries) assert.deepEqual(versions(one), one.versions);
  for (const bad of log!.bad_entries) assert.throws(() => versions(bad), refused, bad.name);
});

test('the golden log continues itself from every size, and no other log does', { skip }, () => {
  for (const one of log!.extensions) extend(one);
  for (const bad of log!.bad_extensions) assert.throws(() => extend(bad), Forged, bad.name);
});

test('everybody checks the same golden entries', { skip }, () => {
  for (const { name, times, after, upto, positions } of log!.walks) {
    const found = distinguished(times.length, configuration().windowMs, times.at(-1)!, (at) => times[at]!, after, upto);
    assert.deepEqual(found, positions, name);
  }
});
