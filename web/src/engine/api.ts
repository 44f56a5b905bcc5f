/** The HTTP half of docs/api.md, with its answers typed and its errors as `Problem`. */
import type {
  Controls, GroupFacts, GroupInvitation, GroupLink, GroupLinkFacts, GroupPerson, GroupRole, Me, Notice, Participant, Picture, PushKeys,
  ReceivedRequest, ReportCategory, SentGroupInvitation, Standing,
} from './contract';
import type { Bytes } from '../protocol/bytes';
import type { Missing } from './attachments/hand-in';
import { offline, Problem } from './errors';
import { Unreachable, type Home } from './home';

export interface SessionAnswer { account_id: string; device_id: string; share: string; token?: string; me: Me }
export interface DevicesAnswer {
  account: string; aik: string | null; device_list: string | null; device_list_signature: string | null;
  devices: { device: string; mls_key: string; added_ms: number; certificate: string; name?: string }[];
  transparency?: KeysProofAnswer | null;
}
export interface HeadAnswer { tree_size: number; root: string; signature: string; consistency: string[] }
export interface EntryAnswer {
  position: number; timestamp_ms: number; prefix_root: string; path: string[]; greatest: number | null; lookups: string[];
}
export interface KeysProofAnswer { head: HeadAnswer; newest: EntryAnswer; opening: { version: number; opening: string } }
export interface WatchAnswer {
  head: HeadAnswer; newest: EntryAnswer; upto: number; checked: EntryAnswer[];
  openings: { version: number; opening: string; value: string | null }[];
}
export interface WaitingDevice { device: string; name: string; public_key: string; tag: string; until_ms: number }
export interface OwnDevice { id: string; name: string; created_ms: number; last_seen_ms: number; current: boolean }
export interface RoomAnswer {
  room: string; kind: 'direct' | 'group'; accounts: Participant[];
  epoch: number | null; room_pos: number; room_seq: number; writable: boolean; group_info: string | null;
  /** of a room of two: how far a device of the other person has everything */
  delivered_pos?: number | null;
  group: Omit<GroupFacts, 'left'> | null;
}
export interface SentRequestAnswer {
  request: string; to: string; sent_ms: number; state: 'sent' | 'accepted'; account: string | null; room: string | null;
}
export interface PackagesAnswer {
  packages: { device: string; account: string; ref: string; key_package: string }[]; missing: string[];
}
export interface ReportBody {
  account: string; room: string | null; category: ReportCategory; minor_involved: boolean; note: string; items: string[];
  id: string;
}
export interface WellKnown {
  server_name: string; origin: string; api: number; stream: string; manifest: { entry: string; signature: string }[];
  transparency?: { configuration: string; signature: string };
}
export interface ConnectionAnswer {
  account: string; handle: string; display_name: string; room: string; since_ms: number; state: 'connected' | 'restricted';
}
export interface Blocked { account: string; handle: string; display_name: string; since_ms: number }

const BASE = '/api/v1';

interface ErrorBody { error?: { code?: unknown; message?: unknown; retry_after_ms?: unknown; decision?: unknown } }

function problemOf(status: number, body: unknown): Problem {
  const error = (body as ErrorBody | null)?.error ?? {};
  const more: { retry_after_ms?: number; decision?: string } = {};
  if (typeof error.retry_after_ms === 'number') more.retry_after_ms = error.retry_after_ms;
  if (typeof error.decision === 'string') more.decision = error.decision;
  const message = typeof error.message === 'string' ? error.message : 'The server could not do that. Try again later.';
  return new Problem(typeof error.code === 'string' ? error.code : codeFor(status), message, more);
}

function codeFor(status: number): string {
  const codes: Record<number, string> = { 401: 'unauthenticated', 403: 'forbidden', 404: 'not_found', 409: 'conflict', 429: 'limited' };
  return codes[status] ?? (status >= 500 ? 'server' : 'invalid');
}

export class Api {
  /** Called once when the server says that this session is over. */
  onSignedOut: () => void = () => undefined;

  constructor(private readonly home: Home) {}

  /** One call. 401 outside of signing in means that this session ended elsewhere. */
  async call<T>(method: string, path: string, body?: unknown, signingIn = false): Promise<T> {
    let answer;
    try {
      answer = await this.home.request(method, path.startsWith('/.') ? path : BASE + path, body);
    } catch (error) {
      if (error instanceof Unreachable) throw offline();
      throw error;
    }
    if (answer.status >= 200 && answer.status < 300) return answer.body as T;
    if (answer.status === 401 && !signingIn) this.onSignedOut();
    throw problemOf(answer.status, answer.body);
  }

  /** One exchange of octets. A conflict and an unsatisfiable range are answers: their headers say how to go on. */
  async octets(method: string, path: string, headers: Record<string, string>, body: readonly Bytes[] | null, signal: AbortSignal): Promise<Response> {
    let answer;
    try {
      answer = await this.home.octets(method, BASE + path, headers, body, signal);
    } catch (error) {
      if (error instanceof Unreachable) throw offline();
      throw error;
    }
    if (answer.ok || answer.status === 409 || answer.status === 416) return answer;
    if (answer.status === 401) this.onSignedOut();
    throw problemOf(answer.status, await answer.json().catch(() => null));
  }

  #signIn<T>(path: string, body: object): Promise<T> {
    return this.call('POST', path, this.home.bearer ? { ...body, bearer: true } : body, true);
  }

  age = (year: number, month: number): Promise<{ ticket: string; band: string }> =>
    this.call('POST', '/age', { year, month }, true);
  createAccount = (body: {
    ticket: string; handle: string; display_name: string; password: string; terms_version: string; device_name: string;
  }): Promise<SessionAnswer> => this.#signIn('/accounts', body);
  signIn = (body: { handle: string; password: string; device_name: string }): Promise<SessionAnswer> =>
    this.#signIn('/sessions', body);
  recover = (body: { handle: string; recovery_auth: string; new_password: string; device_name: string }): Promise<SessionAnswer> =>
    this.#signIn('/recovery', body);
  signOut = (): Promise<null> => this.call('DELETE', '/sessions/current', undefined, true);

  me = (): Promise<Me> => this.call('GET', '/me');
  share = (): Promise<{ share: string }> => this.call('GET', '/me/share');
  putIdentity = (body: { aik: string; sealed_aik: string; recovery_auth: string; reset?: boolean }): Promise<null> =>
    this.call('PUT', '/me/identity', body);
  identity = (): Promise<{ aik: string | null; sealed_aik: string | null }> => this.call('GET', '/me/identity');
  putDevice = (body: {
    mls_key: string; added_ms: number; certificate: string; device_list: string; device_list_signature: string;
  }): Promise<null> => this.call('PUT', '/me/device', body);
  ownDevices = (): Promise<{ devices: OwnDevice[]; list_version: number }> => this.call('GET', '/me/devices');
  removeDevice = (id: string): Promise<null> => this.call('DELETE', `/me/devices/${id}`);
  putDeviceList = (body: { device_list: string; device_list_signature: string }): Promise<null> =>
    this.call('PUT', '/me/device-list', body);
  push = (): Promise<{ public_key: string | null; on: boolean }> => this.call('GET', '/me/push');
  setPush = (keys: PushKeys): Promise<null> => this.call('PUT', '/me/push', keys);
  quiet = (rooms: string[]): Promise<null> => this.call('PUT', '/me/push/quiet', { rooms });
  endPush = (): Promise<null> => this.call('DELETE', '/me/push');
  password = (body: { current: string; new: string; sign_out_others: boolean }): Promise<null> => this.call('POST', '/me/password', body);
  controls = (chosen: Partial<Controls>): Promise<null> => this.call('PUT', '/me/controls', chosen);
  profile = (display_name: string): Promise<null> => this.call('PUT', '/me/profile', { display_name });
  standing = (): Promise<Standing> => this.call('GET', '/me/standing');
  appeal = (measure: string, text: string): Promise<unknown> =>
    this.call('POST', `/me/standing/${encodeURIComponent(measure)}/appeal`, { text });
  exportData = (): Promise<unknown> => this.call('GET', '/me/export');
  terms = (): Promise<{ version: string; terms: { title: string; text: string }[]; standards: { id: string; title: string; text: string }[] }> =>
    this.call('GET', '/terms', undefined, true);

  request = (body: { handle: string } | { invite: string }): Promise<{ status: string; request: string }> =>
    this.call('POST', '/requests', body);
  requests = (): Promise<{ received: ReceivedRequest[]; sent: SentRequestAnswer[] }> => this.call('GET', '/requests');
  accept = (id: string): Promise<{ account: string; room: string }> => this.call('POST', `/requests/${encodeURIComponent(id)}/accept`);
  decline = (id: string): Promise<null> => this.call('POST', `/requests/${encodeURIComponent(id)}/decline`);
  cancel = (id: string): Promise<null> => this.call('DELETE', `/requests/${encodeURIComponent(id)}`);
  invite = (): Promise<{ token: string; expires_ms: number }> => this.call('POST', '/invites');
  connections = (): Promise<ConnectionAnswer[]> => this.call('GET', '/connections');
  block = (account: string): Promise<null> => this.call('PUT', `/blocks/${encodeURIComponent(account)}`);
  unblock = (account: string): Promise<null> => this.call('DELETE', `/blocks/${encodeURIComponent(account)}`);
  restrict = (account: string): Promise<null> => this.call('PUT', `/hushes/${encodeURIComponent(account)}`);
  unrestrict = (account: string): Promise<null> => this.call('DELETE', `/hushes/${encodeURIComponent(account)}`);
  restricted = (): Promise<Blocked[]> => this.call('GET', '/hushes');
  blocks = (): Promise<Blocked[]> => this.call('GET', '/blocks');
  notices = (): Promise<Notice[]> => this.call('GET', '/notices');
  dismiss = (id: string): Promise<null> => this.call('POST', `/notices/${encodeURIComponent(id)}/dismiss`);

  rooms = (): Promise<RoomAnswer[]> => this.call('GET', '/rooms');
  room = (id: string): Promise<RoomAnswer> => this.call('GET', `/rooms/${id}`);
  groups = (): Promise<RoomAnswer[]> => this.call('GET', '/groups');
  createGroup = (body: { name: string; description: string }): Promise<RoomAnswer> => this.call('POST', '/groups', body);
  editGroup = (room: string, body: object): Promise<null> => this.call('PUT', `/groups/${room}`, body);
  setGroupPhoto = (room: string, picture: Picture): Promise<null> => this.call('PUT', `/groups/${room}/photo`, picture);
  removeGroupPhoto = (room: string): Promise<null> => this.call('DELETE', `/groups/${room}/photo`);
  groupPhoto = (room: string, version: number): Promise<Picture> => this.call('GET', `/groups/${room}/photo?v=${version}`);
  groupLinkPhoto = (token: string): Promise<Picture> => this.call('POST', '/group-links/photo', { token });
  inviteToGroup = (room: string, body: { handle: string } | { account: string }): Promise<unknown> =>
    this.call('POST', `/groups/${room}/invitations`, body);
  groupInvitations = (): Promise<{ received: GroupInvitation[]; sent: SentGroupInvitation[] }> => this.call('GET', '/group-invitations');
  takeBackGroupInvitation = (id: string): Promise<null> => this.call('DELETE', `/group-invitations/${encodeURIComponent(id)}`);
  acceptGroup = (id: string): Promise<{ room: string }> => this.call('POST', `/group-invitations/${encodeURIComponent(id)}/accept`);
  declineGroup = (id: string): Promise<null> => this.call('POST', `/group-invitations/${encodeURIComponent(id)}/decline`);
  leaveGroup = (room: string): Promise<null> => this.call('POST', `/groups/${room}/leave`);
  setRole = (room: string, account: string, role: GroupRole): Promise<null> =>
    this.call('PUT', `/groups/${room}/members/${encodeURIComponent(account)}`, { role });
  removeMember = (room: string, account: string): Promise<null> =>
    this.call('DELETE', `/groups/${room}/members/${encodeURIComponent(account)}`);
  ban = (room: string, account: string): Promise<null> => this.call('PUT', `/groups/${room}/bans/${encodeURIComponent(account)}`);
  unban = (room: string, account: string): Promise<null> => this.call('DELETE', `/groups/${room}/bans/${encodeURIComponent(account)}`);
  bans = (room: string): Promise<GroupPerson[]> => this.call('GET', `/groups/${room}/bans`);
  joiners = (room: string): Promise<GroupPerson[]> => this.call('GET', `/groups/${room}/joiners`);
  groupLinks = (room: string): Promise<GroupLink[]> => this.call('GET', `/groups/${room}/links`);
  makeGroupLink = (room: string, body: { life_ms?: number }): Promise<{ link: string; token: string; expires_ms: number }> =>
    this.call('POST', `/groups/${room}/links`, body);
  revokeGroupLink = (room: string, link: string): Promise<null> =>
    this.call('DELETE', `/groups/${room}/links/${encodeURIComponent(link)}`);
  lookAtGroupLink = (token: string): Promise<GroupLinkFacts> => this.call('POST', '/group-links/look', { token });
  joinByGroupLink = (token: string): Promise<{ room: string; state: 'joined' | 'asked' }> =>
    this.call('POST', '/group-links/join', { token });
  devicesOf = (account: string, treeSize = 0): Promise<DevicesAnswer> =>
    this.call('GET', `/accounts/${account}/devices?tree_size=${treeSize}`);
  watch = (account: string, from: { tree_size: number; since: number; version: number }): Promise<WatchAnswer> =>
    this.call('GET', `/accounts/${account}/transparency?tree_size=${from.tree_size}&since=${from.since}&version=${from.version}`);
  /** The key log's head of that size, with proof from a smaller one; null when the server has none. */
  head = async (size: number, first: number): Promise<HeadAnswer | null> => {
    try {
      return await this.call<HeadAnswer>('GET', `/transparency/head?size=${size}&first=${first}`);
    } catch (error) {
      if (error instanceof Problem && error.code === 'not_found') return null;
      throw error;
    }
  };
  offerLink = (body: { public_key: string; tag: string }): Promise<{ until_ms: number }> => this.call('PUT', '/me/link', body);
  link = (): Promise<{ until_ms: number; sealed: string | null }> => this.call('GET', '/me/link');
  endLink = (): Promise<null> => this.call('DELETE', '/me/link');
  links = (): Promise<{ waiting: WaitingDevice[] }> => this.call('GET', '/me/links');
  approveLink = (device: string, body: { public_key: string; sealed: string }): Promise<null> =>
    this.call('PUT', `/me/links/${device}`, body);
  putKeyPackages = (body: { packages: string[]; last_resort?: string }): Promise<{ available: number }> =>
    this.call('POST', '/me/key-packages', body);
  keyPackages = (): Promise<{ available: number; last_resort: boolean }> => this.call('GET', '/me/key-packages');
  claimKeyPackages = (room: string, devices: string[]): Promise<PackagesAnswer> =>
    this.call('POST', `/rooms/${room}/key-packages`, { devices });
  beginBlob = (size: number): Promise<{ blob: string; offset: number; piece: number; expires_ms: number }> =>
    this.call('POST', '/blobs', { size });
  dropBlob = (blob: string): Promise<null> => this.call('DELETE', `/blobs/${blob}`);
  /** `missing`: attachments of the reported messages that the server no longer has. */
  report = (body: ReportBody): Promise<{ report: string; class: 'FULL' | 'PARTIAL' | 'NONE'; first: boolean; missing?: Missing[] }> =>
    this.call('POST', '/reports', body);
  handIn = (report: string, body: Missing & { blob: string }): Promise<null> =>
    this.call('POST', `/reports/${encodeURIComponent(report)}/attachments`, body);
  reports = <T>(): Promise<T[]> => this.call('GET', '/reports');
  wellKnown = (): Promise<WellKnown> => this.call('GET', '/.well-known/kith.json', undefined, true);
}
