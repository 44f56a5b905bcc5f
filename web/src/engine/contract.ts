/**
 * What the page may ask of the engine, and what the engine tells the page.
 *
 * The engine (keys, ratchets, storage, franking, the stream) runs in a worker; the page only shows.
 * There is deliberately no operation that returns a key: what is not in this file cannot be asked for.
 */

export type Ms = number;

/** How the engine stands; `locked` = device known but the share is not here (offline, or signed out remotely). */
export type Phase = 'signed-out' | 'needs-identity' | 'needs-recovery' | 'ready' | 'locked' | 'unsupported';

export interface Measure {
  id: string;
  what: 'warning' | 'daily_limit' | 'no_new_conversations' | 'suspended';
  rule: string;
  because: string;
  since_ms: Ms;
  until_ms: Ms | null;
  limit: number | null;
  appeal: null | 'open' | 'upheld' | 'overturned';
  appeal_until_ms: Ms | null;
  reversed_ms: Ms | null;
}
export interface Standing {
  can_start_conversations: boolean;
  can_send: boolean;
  measures: Measure[];
  history: Measure[];
}
export interface Protection { id: string; text: string; until_ms: Ms | null; changeable: boolean }
export interface Me {
  account_id: string;
  device_id: string;
  handle: string;
  display_name: string;
  band: '13-15' | '16-17' | '18+' | 'unknown';
  joined_ms: Ms;
  server_name: string;
  has_identity: boolean;
  device_registered: boolean;
  controls: Controls;
  protections: Protection[];
  standing: Standing;
  terms_version: string;
}
/** Who may send requests; whether others see what was read and that one is writing (off: neither is seen of others). */
export interface Controls { requests: 'everyone' | 'nobody'; read_receipts: boolean; typing: boolean }
export interface Notice { id: string; rule: string; about: string | null; text: string; since_ms: Ms }
export interface ReceivedRequest {
  request: string; account: string; handle: string; display_name: string;
  joined_ms: Ms; mutual: number; sent_ms: Ms; notice: Notice | null;
}
export interface SentRequest {
  request: string; to: string; sent_ms: Ms; state: 'sent' | 'accepted';
  account: string | null; room: string | null;
  /** the sealed first message waiting on this device, if any */
  waiting_text: string | null;
}
export interface Device { id: string; name: string; created_ms: Ms; last_seen_ms: Ms; current: boolean }

export type GroupRole = 'member' | 'admin' | 'owner';
/** Somebody who belongs to a chat. */
export interface Participant { account: string; handle: string; display_name: string; role: GroupRole }
/** What makes a chat a group. Name and description are public: the server reads them, and screens say so. */
export interface GroupFacts {
  name: string;
  description: string;
  posting: 'everyone' | 'admins';
  /** who joins by a link waits for an admin's yes */
  approval: boolean;
  role: GroupRole;            // mine
  created_ms: Ms;
  /** version of its photo, public like the name; null: it has none */
  photo: number | null;
  /** I am not in it any more; the thread stays on this device */
  left: boolean;
}
export interface GroupInvitation {
  invitation: string; room: string; name: string; description: string;
  inviter: { account: string; handle: string; display_name: string; connected: boolean };
  members: number;
  known: number;              // members that I am connected with
  created_ms: Ms; sent_ms: Ms;
  photo: number | null;
}
export interface SentGroupInvitation { invitation: string; room: string; to: string; sent_ms: Ms; state: 'sent' | 'joined' }
export interface GroupLink { link: string; by: string; made_ms: Ms; expires_ms: Ms; joined: number }
export interface GroupLinkFacts {
  name: string; description: string; members: number; known: number; approval: boolean;
  by: { account: string; handle: string; display_name: string; connected: boolean };
  photo: number | null;
}
/** A still picture as PNG, JPEG or WebP. */
export interface Picture { type: string; bytes: Uint8Array<ArrayBuffer> }
export interface GroupPerson { account: string; handle: string; display_name: string; since_ms: Ms }

/** What two people compare; `code` is what the QR code holds. */
export interface SafetyNumber { groups: string[]; code: string; verified_ms: Ms | null }
/** log: the server shows different logs. own: keys for my account that I did not make. device: one was added. */
export interface KeyAlarm { id: string; kind: 'log' | 'own' | 'clock' | 'device' }

/** Where a message stands in its chat. Places sort as texts do; one outlives its message, so it can be asked for later. */
export type Place = string;

/** A chat as the list shows it. */
export interface Chat {
  room: string;
  kind: 'direct' | 'group';
  group: GroupFacts | null;   // null: a direct chat
  people: Participant[];      // everybody in it, me included
  account: string;            // direct: the other person; group: ''
  handle: string;             // group: ''
  display_name: string;       // group: its name
  writable: boolean;          // false: one fixed sentence, whatever the cause
  ready: boolean;             // false: waiting for a device of the other side ("Messages wait here until …")
  unread: number;
  /** the place at which what is not read begins; null: all of it is read, also what does not count as unread */
  unread_from: Place | null;
  /** on this device only: on top of the list, without notice, out of sight until the next message */
  pinned: boolean; muted: boolean; archived: boolean;
  timer_s: number;            // messages disappear so many seconds after reading; 0: they stay
  draft: string;              // '' when nothing is half written
  /**
   * The newest thing to tell of it; `text` of a reaction (to a message of mine) is its symbol, '' where there are no words.
   * `files`: what the message carries besides its words.
   */
  last: { kind: LastKind; text: string; mine: boolean; at_ms: Ms; files?: FileKind[] } | null;
  answered: boolean;          // I wrote in it; until then files of the other side are not fetched by themselves
  blocked: boolean;           // by me
  /** accounts in it that I restrict; a direct chat with one of them stands with the requests */
  restricted: string[];
  deleted: boolean;           // thread deleted here; reportable copies may remain
}

export type FileKind = 'photo' | 'video' | 'voice' | 'file';
/**
 * here: on this device, whole and verified. remote: the server has it, as far as is known. gone: expired or deleted there.
 * broken: what came is not what was sent, and nothing of it is shown.
 */
export type FileState = 'here' | 'remote' | 'gone' | 'broken';
/** What the sender says of a file, checked for form only: a size may be a lie until the bytes are here. */
export interface FileView {
  mark: string;               // another one when an edit brings another file in its place
  part: number;               // with the message's id: which file
  kind: FileKind;
  name: string;               // safe to show and to save under; '' when it has none
  type: string;               // media type, lower case, without parameters
  size: number;               // bytes of the file itself
  alt: string;                // what it shows, in words
  width: number | null;
  height: number | null;
  thumbhash: Uint8Array | null;
  duration_ms: Ms | null;
  waveform: Uint8Array | null; // one byte for each bar
  poster: Picture | null;     // the still picture of a video
  state: FileState;
}
/** A file to be sent, as it leaves this device: whatever must not go with it was taken out before. */
export interface Outgoing {
  bytes: Blob;
  kind: FileKind;
  name: string;
  type: string;
  alt: string;
  width: number | null;
  height: number | null;
  thumbhash: Uint8Array | null; // at most 32 bytes
  duration_ms: Ms | null;
  waveform: Uint8Array | null; // at most 64 bytes
  poster: Picture | null;     // at most 12 KiB
}
/** Files that one message carries at most. */
export const MOST_FILES = 10;

export type LastKind = 'text' | 'unsupported' | 'deleted' | 'reaction';
/** `read`: by somebody of the chat, who tells it; in a group `read_by` says by how many. */
export type DeliveryState = 'waiting' | 'sent' | 'delivered' | 'read' | 'failed';
/** The reactions that are offered. */
export const REACTIONS = ['👍', '❤️', '😂', '😮', '😢', '🙏'] as const;
/** Chats to which one message is passed on at once; what was passed on `MANY_FORWARDS` times goes to one at a time. */
export const MOST_CHATS = 5;
export const MANY_FORWARDS = 5;
/** A symbol under a message: how many chose it, whether I did, and the names of the others, '' where unknown. */
export interface Reaction { symbol: string; count: number; mine: boolean; names: string[] }
/** A change of mine, to an earlier message or to the chat’s timer, that the server has not accepted yet; `retry` and `delete_message` take its id. */
export interface Change { id: string; what: 'edit' | 'delete' | 'react' | 'timer'; failed: boolean }
/** An earlier wording of an edited message, oldest first. */
export interface Version { text: string; at_ms: Ms }
/** A message as the thread shows it. `kind` other than text never carries content. */
export interface Message {
  id: string;                 // message id (hex); for unsent ones the outbox key
  room: string;
  at_ms: Ms;                  // hub's accepted time; local time while waiting
  seq: number | null;         // room_seq
  place: Place | null;        // null while it is not accepted yet
  mine: boolean;
  sender: string;             // account id
  sender_name: string;        // as far as it is known here; '' for own messages and lines of the engine
  kind: 'text' | 'unsupported' | 'tombstone' | 'info' | 'deleted';
  text: string;               // '' for tombstones and deleted messages; the caption when there are files
  files: FileView[];
  /** `id` and `place` of the answered message as the thread holds it; place null: it is not here. */
  reply_to: { id: string; text: string; mine: boolean; name: string; files?: FileKind[]; place: Place | null; deleted: boolean } | null;
  edited: boolean;
  reactions: Reaction[];
  /** How often it was passed on, as its sender's device says; 0: written here. */
  forwarded: number;
  /** What I may still do to it for everybody in the chat; by the time it is done, the engine decides. */
  may: { edit: boolean; delete: boolean };
  change: Change | null;
  delivery: DeliveryState | null;
  /** it disappears so long after reading; `at_ms`: when, once that is counted */
  expires: { after_s: number; at_ms: Ms | null } | null;
  read_by: number;            // others who have read it, as far as they tell; 0 for what is not mine
  failure?: string;           // why it failed, when there is a sentence for it
  gap_before: number;         // messages the server should have delivered just before this one and did not
}

/** A message with the words that were looked for; `start` and `end`: where in this excerpt the first of them stands. */
export interface Found {
  room: string; id: string; place: Place; at_ms: Ms; mine: boolean; sender: string; sender_name: string;
  text: string; start: number; end: number;
}

/**
 * `begins`, `ends`: places of the oldest and the newest row that were read for it. Where somebody changed very much there may be
 * nothing to show between them, and still be more.
 */
export interface Stretch { messages: Message[]; more: boolean; newer: boolean; begins: Place | null; ends: Place | null }

/** One row of "here is exactly what we'll send". */
export interface ReportRow {
  seq: number; mine: boolean; at_ms: Ms; text: string; verified: boolean; gap_before: number;
  /** what it does: says something, changes or takes back an earlier message, or reacts to one */
  what: 'message' | 'edit' | 'deletion' | 'reaction';
  files: Pick<FileView, 'kind' | 'name' | 'size'>[];
}
export interface ReportPreview { room: string | null; account: string; rows: ReportRow[]; omitted_tail: number }
export type ReportCategory = 'sexual' | 'impersonation' | 'scam' | 'bullying' | 'drugs_weapons' | 'other';
export interface SentReport {
  report: string; sent_ms: Ms; category: ReportCategory; account: string; handle: string | null;
  status: 'received' | 'reviewing' | 'closed'; outcome: null | 'action' | 'no_action';
  /** Attachments that the server has not, or has lost. */
  missing?: { message_id: string; part: number }[];
}

/** A browser's PushSubscription, as it writes it. */
export interface PushKeys { endpoint: string; p256dh: string; auth: string }

/** Operations: name → [arguments, result]. */
export interface Ops {
  start: [Record<string, never>, { phase: Phase; me: Me | null; reason?: string }];
  age: [{ year: number; month: number }, { ticket: string; band: string }];
  /** Makes the account, the identity key and the recovery code; returns the code to show ONCE. */
  sign_up: [
    { ticket: string; handle: string; display_name: string; password: string; terms_version: string; device_name: string },
    { me: Me; recovery_code: string },
  ];
  /** 'ready' if this device could be certified; 'needs-identity' (first device ever) → call make_identity; 'needs-recovery'. */
  sign_in: [{ handle: string; password: string; device_name: string }, { phase: Phase; me: Me }];
  make_identity: [Record<string, never>, { me: Me; recovery_code: string }];
  unlock_identity: [{ recovery_code: string }, { me: Me }];
  /** Without the recovery code: a new identity key, which contacts are told of. */
  reset_identity: [Record<string, never>, { me: Me; recovery_code: string }];
  recover: [{ handle: string; recovery_code: string; new_password: string; device_name: string }, { me: Me }];
  sign_out: [Record<string, never>, null];
  me: [Record<string, never>, Me];
  set_display_name: [{ display_name: string }, Me];
  /** What is left out stays as it is. */
  set_controls: [Partial<Controls>, Me];
  change_password: [{ current: string; new: string; sign_out_others: boolean }, null];
  devices: [Record<string, never>, Device[]];
  remove_device: [{ id: string }, Device[]];
  /** A new device waits for approval: the code to show. `link_check` says what became of it. */
  link_start: [Record<string, never>, { code: string; link: string; until_ms: Ms }];
  link_check: [Record<string, never>, { state: 'waiting' | 'over' } | { state: 'done'; me: Me }];
  /** Looks for the own device that shows this code, without letting it in. */
  link_find: [{ code: string }, { name: string }];
  link_approve: [{ code: string }, Device[]];
  safety_number: [{ account: string }, SafetyNumber];
  set_verified: [{ account: string; verified: boolean }, SafetyNumber];
  alarms: [Record<string, never>, KeyAlarm[]];
  put_away_alarm: [{ id: string }, null];
  /** How this device is woken while Kith is closed. `public_key` null: this server wakes nobody. */
  push: [Record<string, never>, { public_key: string | null; on: boolean }];
  set_push: [PushKeys, null];
  end_push: [Record<string, never>, null];
  terms: [Record<string, never>, { version: string; terms: { title: string; text: string }[]; standards: { id: string; title: string; text: string }[] }];
  export_data: [Record<string, never>, unknown];

  /** `text` waits sealed on this device until the request is accepted. */
  request: [{ handle?: string; invite?: string; text: string }, { request: string }];
  requests: [Record<string, never>, { received: ReceivedRequest[]; sent: SentRequest[] }];
  accept: [{ request: string }, { room: string }];
  decline: [{ request: string }, null];
  cancel: [{ request: string }, null];
  invite: [Record<string, never>, { link: string; expires_ms: Ms }];
  block: [{ account: string }, null];
  unblock: [{ account: string }, null];
  blocks: [Record<string, never>, { account: string; handle: string; display_name: string; since_ms: Ms }[]];
  /** For me alone: they learn nothing of it, and nothing they write is told aloud. Own answers still reach them. */
  restrict: [{ account: string }, null];
  unrestrict: [{ account: string }, null];
  restricted: [Record<string, never>, { account: string; handle: string; display_name: string; since_ms: Ms }[]];
  notices: [Record<string, never>, Notice[]];
  dismiss_notice: [{ id: string }, null];
  appeal: [{ measure: string; text: string }, Standing];

  create_group: [{ name: string; description: string }, { room: string }];
  edit_group: [{ room: string; name?: string; description?: string; posting?: 'everyone' | 'admins'; approval?: boolean }, null];
  /** What is not pixels is taken out before it leaves this device. null removes the photo. */
  set_group_photo: [{ room: string; picture: Picture | null }, null];
  group_photo: [{ room: string; version: number }, Picture];
  group_link_photo: [{ token: string }, Picture];
  /** The answer never tells whether the invitation reached anybody. */
  invite_to_group: [{ room: string; handle?: string; account?: string }, null];
  group_invitations: [Record<string, never>, { received: GroupInvitation[]; sent: SentGroupInvitation[] }];
  accept_group: [{ invitation: string }, { room: string }];
  decline_group: [{ invitation: string }, null];
  take_back_group_invitation: [{ invitation: string }, null];
  leave_group: [{ room: string }, null];
  set_role: [{ room: string; account: string; role: GroupRole }, null];
  remove_member: [{ room: string; account: string }, null];
  ban_member: [{ room: string; account: string }, null];
  unban_member: [{ room: string; account: string }, null];
  group_bans: [{ room: string }, GroupPerson[]];
  /** Who asked to join by a link and waits for a yes (`set_role` to member) or a no (`remove_member`). */
  group_joiners: [{ room: string }, GroupPerson[]];
  group_links: [{ room: string }, GroupLink[]];
  make_group_link: [{ room: string; life_ms?: number }, { link: string; expires_ms: Ms }];
  revoke_group_link: [{ room: string; link: string }, null];
  look_at_group_link: [{ token: string }, GroupLinkFacts];
  join_by_group_link: [{ token: string }, { room: string; state: 'joined' | 'asked' }];

  chats: [Record<string, never>, Chat[]];
  /**
   * A stretch of a chat, oldest first: the newest, what is before a place, or what begins at one. `more`: there are older
   * ones. `newer`: there are newer ones; without them what was not accepted yet comes last.
   */
  thread: [{ room: string; before?: Place; from?: Place; limit?: number }, Stretch];
  /** With files the words may be empty. What is sent is kept sealed on this device until it is up, also through a reload. */
  send: [{ room: string; text: string; reply_to?: string; files?: Outgoing[] }, Message];
  /** Takes back a message that still waits, or failed: its files are uploaded no further and forgotten. */
  cancel_message: [{ room: string; id: string }, null];
  /**
   * One file, whole and verified, fetched if it is not here. The blob's type is that of a picture, film or sound that is
   * safe to show, found out from its bytes; anything else is `application/octet-stream`, to be saved only.
   */
  file: [{ room: string; id: string; part: number }, { blob: Blob }];
  /** Where to play from while it is still being fetched (see media.ts); null where that cannot be done. */
  play: [{ room: string; id: string; part: number }, { url: string } | null];
  /** `why`: it stopped by itself, for this. */
  stop_playing: [{ url: string }, { why: EngineError | null }];
  retry: [{ room: string; id: string }, null];
  /** New words for an own message; one that has not left yet just leaves with the new ones. */
  edit: [{ room: string; id: string; text: string }, null];
  /** `everyone`: also for the others, who may have seen it. Otherwise here only; an unsent message or change is dropped. */
  delete_message: [{ room: string; id: string; everyone: boolean }, null];
  /** My one reaction to a message; null takes it back. */
  react: [{ room: string; id: string; symbol: string | null }, null];
  /** To at most 5 chats; what was passed on 5 times, to one at a time. */
  forward: [{ room: string; id: string; rooms: string[] }, null];
  /** What an edited message said before, oldest first; the present words are not among them. */
  versions: [{ room: string; id: string }, Version[]];
  mark_read: [{ room: string }, null];
  /** 0, 300, 3600, 86400, 604800 or 2419200 seconds after reading; in a group only its admins set it. */
  set_timer: [{ room: string; seconds: number }, null];
  /** This person writes: told at most every few seconds, and only if both sides want that. */
  typing: [{ room: string }, null];
  /** Looks for words on this device, newest first, for a moment; `before` is where to go on, null when all was looked at. */
  search: [{ room: string; text: string; before?: Place }, { found: Found[]; looked: number; before: Place | null }];
  /** On this device only. At most five are pinned. */
  keep_chat: [{ room: string; pinned?: boolean; muted?: boolean; archived?: boolean }, null];
  set_draft: [{ room: string; text: string }, null];
  delete_thread: [{ room: string }, null];

  report_preview: [{ account: string; room: string | null; message?: string }, ReportPreview];
  report: [
    { account: string; room: string | null; message?: string; category: ReportCategory; minor_involved: boolean; note: string },
    { report: string; first: boolean; class: 'FULL' | 'PARTIAL' | 'NONE' },
  ];
  reports: [Record<string, never>, SentReport[]];
}
export type Op = keyof Ops;
export type Args<K extends Op> = Ops[K][0];
export type Result<K extends Op> = Ops[K][1];

/** Engine → page. Ids and states only, apart from the message itself going to the open thread. */
export type Happening =
  | { type: 'phase'; phase: Phase; reason?: string }
  | { type: 'connection'; state: 'online' | 'offline' | 'connecting' }
  | { type: 'chats' }
  | { type: 'thread'; room: string }
  | { type: 'requests' }
  | { type: 'standing' }
  | { type: 'notices' }
  | { type: 'reports' }
  | { type: 'alarms' }
  /** Somebody writes now; told again every few seconds while they do. */
  | { type: 'typing'; room: string; account: string; name: string }
  /** Bytes of a file that went up or came down; told at most a few times a second, and at the end. */
  | { type: 'transfer'; room: string; id: string; part: number; done: number; total: number };

/** An error a person can read. `code` is the API's, or one of the engine's own. */
export interface EngineError { code: string; message: string; retry_after_ms?: number; decision?: string }

export interface Engine {
  call<K extends Op>(op: K, args: Args<K>): Promise<Result<K>>;
  on(listener: (happening: Happening) => void): () => void;
}
