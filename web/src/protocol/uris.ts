/** Names of accounts, devices and rooms in everything that is signed: `mimi://HOST/{u,d,r}/<uuid>`, never handles. */
import { concat, fromHex, fromUtf8, Malformed, type Reader, toHex, utf8, vector, type Bytes, whole } from './bytes';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const URI = new RegExp(`^mimi://(${LABEL}(?:\\.${LABEL})*)/([udr])/([0-9a-f-]{36})$`);
/** Longest server name in characters (RFC 1035 section 2.3.4). */
const MAX_HOST = 253;

export type Kind = 'u' | 'd' | 'r';

export function isUuid(text: string): boolean {
  return UUID.test(text);
}

function uri(server: string, kind: Kind, id: string): string {
  const text = `mimi://${server}/${kind}/${id}`;
  parseUri(text, kind);
  return text;
}

export const accountUri = (server: string, account: string): string => uri(server, 'u', account);
export const deviceUri = (server: string, device: string): string => uri(server, 'd', device);
export const roomUri = (server: string, room: string): string => uri(server, 'r', room);

/** Splits a URI of the expected kind into server and id. */
export function parseUri(text: string, kind: Kind): { server: string; id: string } {
  const match = URI.exec(text);
  if (!match || match[1]!.length > MAX_HOST || match[2] !== kind || !isUuid(match[3]!)) throw new Malformed(`not a ${kind} URI`);
  return { server: match[1]!, id: match[3]! };
}

/** The 16 bytes of a UUID: the MLS group_id of a room. */
export function uuidBytes(id: string): Bytes {
  if (!isUuid(id)) throw new Malformed('not a UUID');
  return fromHex(id.replaceAll('-', ''));
}

export function uuidFromBytes(bytes: Uint8Array): string {
  const id = toHex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  if (!isUuid(id)) throw new Malformed('not a UUID');
  return id;
}

/** Accounts, devices and rooms of one exchange are all of one server. */
export function sameServer(one: string, other: string): void {
  if (one.split('/')[2] !== other.split('/')[2]) throw new Malformed('names of different servers');
}

/** MLS credential identity = V(account URI) ‖ V(device URI), both of one server. */
export function credentialIdentity(account: string, device: string): Bytes {
  sameServer(account, device);
  return concat(vector(utf8(account)), vector(utf8(device)));
}

export function parseCredentialIdentity(identity: Uint8Array): { account: string; device: string } {
  return whole(identity, (reader) => {
    const account = uriField(reader, 'u');
    const device = uriField(reader, 'd');
    sameServer(account, device);
    return { account, device };
  });
}

/** A URI inside a `<V>` field, checked to be of the expected kind. */
export function uriField(reader: Reader, kind: Kind): string {
  const text = fromUtf8(reader.vector(512));
  parseUri(text, kind);
  return text;
}
