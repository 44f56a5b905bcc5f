/** What the device keeps, record by record. Everything here is stored sealed (vault.ts). */
import type { Bytes } from '../protocol/bytes';
import type { OutboxFile } from './attachments/outgoing';
import type { FileKind, GroupRole } from './contract';
import type { KeyPackageSecret } from './mls';

/** keys/device: this device's MLS signature key. */
export interface DeviceKey { seed: Bytes; publicKey: Bytes; addedMs: number; registered: boolean }
/** keys/aik: the account identity key, on devices that have it. */
export interface IdentityKey { seed: Bytes; publicKey: Bytes }
/** keys/kp/<ref>: the secret half of an uploaded key package. */
export interface PackageRecord extends KeyPackageSecret { lastResort: boolean }

/** meta/self */
export interface Self { server: string; account: string; device: string }
/** meta/manifest: entries pinned so far, as served. */
export interface PinnedManifest { entries: { entry: Bytes; signature: Bytes }[] }
/** meta/pin/<account>: what was seen of somebody's identity; a later list may not be older. */
export interface Pin { aik: Bytes; version: number; list: Bytes }
/**
 * meta/room/<room>: who belongs to a room. A direct room's as first seen, for it never changes; a group's as the server
 * announced it last, with everybody's role.
 */
export interface Roster { accounts: string[]; roles?: Record<string, GroupRole> }
/** meta/name/<account>: the name under which somebody was last seen in a group, for messages that outlast her stay. */
export interface SeenName { name: string }
/** meta/due/<room>: a group's roster changed and its leaves are not in line with it yet. */
/** meta/stale/<account>: its devices changed and rooms are not reconciled yet. */
export interface Stale { sinceMs: number }
/** meta/log: the key log's configuration, and the last head that was verified (size 0: none yet). */
export interface LogRecord { configuration: Bytes; size: number; root: Bytes; signature: Bytes }
/** meta/seen-keys/<account>: the newest version of somebody's keys shown here; meta/watch/<account>: until checked. */
export interface Watched { position: number; version: number; commitment: Bytes }
/** meta/own-keys: what was verified of this account's own entries of the key log. */
export interface OwnKeys { position: number; nextVersion: number; commitments: [number, Bytes][]; devices: string[]; mine: boolean }
/** meta/heard/<size>-<root>: a head of the key log that a message carried. */
export interface HeardHead { size: number; root: Bytes; signature: Bytes }
/** meta/alarm/<id>: what the person must see; signed heads that contradict each other, if there are. */
export interface Alarm { evidence: LogRecord[] }
export type AlarmKind = 'log' | 'own' | 'clock' | 'device';
/** meta/verified/<account>: the identity key whose safety number was compared, and when. */
export interface VerifiedPerson { aik: Bytes; atMs: number }
/** meta/new-identity/<account>: to be said in the chats, durably; whether a check ended with it. */
export interface NewIdentity { wasVerified: boolean }
/** meta/first/<request>: the first message, waiting for the request to be accepted. */
export interface FirstMessage { text: string; to: string; createdMs: number }

/** groups/<room>; the tree is in trees/<room>. */
export interface GroupRecord {
  /** null while the group is only being created */
  ratchets: Bytes | null;
  /** How many states were stored. Says nothing about a store that was put back as a whole: nothing here detects that. */
  counter: number;
  pending: PendingCommit | null;
  /** Why this device cannot follow the group any more; a new Welcome heals it. */
  broken: string | null;
  rotatedMs: number;
}
/** A commit that was sent or is about to be: sent again byte for byte until it is answered. */
export interface PendingCommit {
  key: Bytes; commit: Bytes; welcome: Bytes | null; groupInfo: Bytes; nextTree: Bytes; nextRatchets: Bytes;
}

/** What proves a message: kept with it, repeated in reports. */
export interface FrankRecord {
  acceptedTimestamp: number; epoch: number; roomSeq: number; hubKeyId: number; serverFrank: Bytes; suite: number; proof: Bytes;
  senderUri: string; roomUri: string; senderDevice: string;
}

/** A reaction: `id` and number (`since`) of the message that began it, the newest word about it (`seq`), and no symbols once it is taken back. */
export interface ReactionRecord { id: string; sender: string; symbols: string[]; seq: number; since?: number }
/** What an effect was found to do: `base` is the message that it changes, `first` the reaction that it gives or changes. none: nothing more can be done to it. */
export type EffectRecord = { what: 'edit'; base: string } | { what: 'react'; base: string; first: string } | { what: 'none' };

/** messages/<room>/<seq>/<pos>: one row of a thread. */
export interface MessageRecord {
  kind: 'text' | 'unsupported' | 'tombstone' | 'info' | 'deleted' | 'effect';
  id: string;
  pos: number;
  seq: number | null;
  atMs: number;
  mine: boolean;
  sender: string;
  text: string;
  replyTo: string | null;
  /** M exactly as sent or received; null for rows without content. */
  content: Bytes | null;
  frank: FrankRecord | null;
  edited?: boolean;
  /** kinds of its files; what they are is in `content` */
  files?: FileKind[];
  /** the edits that count, oldest first; what they say is in their own rows */
  edits?: { id: string; seq: number }[];
  reactions?: ReactionRecord[];
  forwarded?: number;
  /** of somebody whom this person restricted when it came: it counts as unread nowhere */
  quiet?: true;
  /** it disappears so many seconds after reading; and when, once that is counted */
  expiresS?: number;
  expiresMs?: number;
  /** of kind 'effect' only; missing while its target is not here, and on a row that was deleted on this device */
  effect?: EffectRecord;
}
/** meta/held/<room>/<id>/<seq>: an effect whose target `id` is not here; it waits that long, `key` is its row. */
export interface HeldEffect { key: string; untilMs: number }
/** meta/holds/<room>/<sender>/<seq>: the same effect among those of its sender; `at` is the key of the record above. */
export interface Hold { at: string; untilMs: number }
/** meta/foreign/<room>/<account>: until when the thread does not say again that this one tried to change what is not theirs. */
export interface SaidOnce { untilMs: number }

/** The line of the chat list. Of a reaction: the message it is `about`, who gave it, and the line `under` it. */
export interface LastRecord {
  text: string; mine: boolean; atMs: number; kind: MessageRecord['kind'] | 'reaction';
  files?: FileKind[]; id?: string; about?: string; by?: string; under?: LastRecord | null;
}

/** meta/kept/<room>: how this device keeps a chat. `archivedAtMs`: time of its newest message when it was put away. */
export interface Kept { pinnedMs: number | null; muted: boolean; archivedAtMs: number | null }
/** meta/draft/<room> */
export interface Draft { text: string }

/** meta/thread/<room> */
export interface Thread {
  /** room_pos up to which everything was processed */
  pos: number;
  /** room_seq and time of the last message accepted from the stream */
  seq: number;
  timestampMs: number;
  /** its time was ahead of this device's clock, and the thread says so */
  ahead?: boolean;
  /** room_seq from which gaps are meaningful: 0 until the first message, moved by deleting the thread */
  baseSeq: number;
  /** highest room_seq of any own or received message */
  headSeq: number;
  /** this person wrote in it */
  answered?: boolean;
  deliveredPos: number;
  readSeq: number;
  unread: number;
  /** so many of the unread are of people whom this person restricts: they count nowhere */
  quiet?: number;
  /** when somebody else wrote last, while the newest line is of such a person: what brings an archived chat back */
  loudMs?: number;
  last: LastRecord | null;
  lastId: Bytes | null;
  /** newest message of somebody else, and the newest of them that was read here */
  theirs?: { id: Bytes; seq: number };
  seen?: { id: Bytes; seq: number };
  /** of disappearing messages, and which message set it */
  timer?: { seconds: number; seq: number };
  deleted: boolean;
}
/** meta/told/<room>: the newest read status that was told, and whether it is told once more. */
export interface Told { seq: number; again: boolean }
/** meta/reads/<room>: up to which room_seq others said that they have read. */
export type ReadByOthers = Record<string, number>;

export const newThread = (): Thread => ({
  pos: 0, seq: 0, timestampMs: 0, baseSeq: 0, headSeq: 0, deliveredPos: 0, readSeq: 0, unread: 0, last: null, lastId: null,
  deleted: false,
});

/** outbox/<room>/<time>-<id>: what was written here and is not accepted yet, in order. */
export interface OutboxRecord {
  id: string;
  room: string;
  createdMs: number;
  text: string;
  replyTo: string | null;
  /** uploading: its files are not all up yet. plain: not encrypted yet. sealed: bytes exist and are sent, and sent again, unchanged. */
  stage: 'uploading' | 'plain' | 'sealed' | 'failed';
  sealed: { key: Bytes; wire: Bytes; content: Bytes; epoch: number } | null;
  failure: string | null;
  /** why it failed, when the server said it in words */
  sentence?: string;
  files?: OutboxFile[];
  /** Not a message of its own: what it does to an earlier one, named by its id or, while that one waits here, by its outbox id. */
  change?: WantedChange;
  /** What it sets the timer of disappearing messages to; no message of its own. */
  timer?: number;
  /** Passed on: the message that it repeats, and how often that had been passed on when this goes out. */
  passedOn?: { content: Bytes; times: number };
}
/** A reaction is a goal: it stays in the outbox until the message has exactly this one of mine, or with null none. */
export type WantedChange =
  | { what: 'edit'; target: string } | { what: 'delete'; target: string } | { what: 'react'; target: string; symbol: string | null };

/** reports/<room>/<seq>: a franked message of a deleted thread, reportable for a while and shown nowhere else. */
export interface KeptMessage { message: MessageRecord; untilMs: number }

/** Numbers in keys, padded so that they sort. */
export const padded = (value: number): string => value.toString().padStart(16, '0');
export const messageKey = (room: string, seq: number, pos: number): string => `${room}/${padded(seq)}/${padded(pos)}`;
export const outboxKey = (record: Pick<OutboxRecord, 'room' | 'createdMs' | 'id'>): string =>
  `${record.room}/${padded(record.createdMs)}-${record.id}`;
