/**
 * MLS (RFC 9420, suite 1) behind one small interface; nothing outside this file knows ts-mls.
 *
 * ts-mls 1.6.4 is used with its known weaknesses covered here: no key of a skipped generation or a past epoch is kept,
 * sender and AAD of every message are returned, every credential is judged by the caller's directory, the signature
 * key is a handle, sizes are capped before decoding and only the one canonical encoding is accepted, padding goes to
 * buckets, update paths with repeated keys are refused, and every failure is an `MlsError`.
 */
import {
  createApplicationMessage, createCommit, createGroup, decodeMlsMessage, emptyPskIndex, encodeMlsMessage,
  generateKeyPackageWithKey, joinGroup, mlsExporter, processMessage,
  type CiphersuiteImpl, type ClientConfig, type ClientState, type KeyPackage, type MLSMessage, type PrivateKeyPackage,
  type Proposal, defaultKeyPackageEqualityConfig, defaultLifetimeConfig,
} from 'ts-mls';
import {
  decodeGroupStateWithoutTree, encodeGroupStateWithoutTree, getOwnLeafNode,
} from 'ts-mls/clientState.js';
import { createGroupInfoWithRatchetTree } from 'ts-mls/createCommit.js';
import { decodeKeyPackage, encodeKeyPackage, makeKeyPackageRef } from 'ts-mls/keyPackage.js';
import { unprotectPrivateMessage } from 'ts-mls/messageProtection.js';
import { CodecError, CryptoError, CryptoVerificationError, MlsError as LibraryError } from 'ts-mls/mlsError.js';
import { decryptSenderData } from 'ts-mls/privateMessage.js';
import { decodeRatchetTree, encodeRatchetTree, type RatchetTree } from 'ts-mls/ratchetTree.js';
import { allSecretTreeValues } from 'ts-mls/secretTree.js';
import { equal, Malformed, toHex, utf8, wipe, type Bytes } from '../protocol/bytes';
import type { Signer } from '../protocol/sign';
import { credentialIdentity, parseCredentialIdentity } from '../protocol/uris';
import { suite, SUITE } from './suite';

/** Padding buckets, in bytes of the encoded content. Larger ones go unpadded: nothing larger fits a frame. */
export const BUCKETS = [256, 512, 1024, 2048, 4096, 16384, 65536] as const;
const SIGNATURE_FIELD = 2 + 64;

/** Leaves in a group: the library expands the whole secret tree at every epoch. */
export const MAX_LEAVES = 256;
const MAX_MESSAGE = 80 * 1024;
const MAX_HANDSHAKE = 1024 * 1024;
const MAX_LIFETIME_S = 90 * 24 * 3600;
/** How far back a package starts, so that a slow clock elsewhere does not refuse it. */
const BACKDATE_S = 3600;
/** A package lives 84 days: below the 90 that anybody accepts, with room for wrong clocks. */
const LIFETIME_S = 84 * 24 * 3600;

export type MlsFault =
  | 'WrongEpoch' | 'TooOld' | 'Replay' | 'BadSignature' | 'BadTag' | 'Malformed' | 'Unsupported' | 'PolicyRefused';

export class MlsError extends Error {
  override readonly name = 'MlsError';
  constructor(readonly fault: MlsFault, message: string) {
    super(message);
  }
}

export interface Identity { account: string; device: string }
export interface Member extends Identity { leaf: number; key: Bytes }

/**
 * Judges a leaf: may this device of this account, with this key, be in the group? Throwing anything but an
 * `MlsError` (for instance "not reachable now") is passed on unchanged, so that the caller can try again later.
 */
export type Judge = (who: Identity, key: Bytes) => Promise<boolean>;

/** A group at one point of its history. Operations return the next one and leave this one as it was. */
export interface Group { readonly state: ClientState }

/** What must be wiped once `next` is stored: until then the old state may still be needed. */
type Spent = readonly Uint8Array[];

export interface Commit { commit: Bytes; welcome: Bytes | null; groupInfo: Bytes; next: Group; spent: Spent }
export interface Protected { message: Bytes; next: Group; spent: Spent }
export type Processed =
  | { kind: 'application'; sender: Member; epoch: number; aad: Bytes; plaintext: Bytes; next: Group; spent: Spent }
  | { kind: 'commit'; sender: Member; added: Member[]; removed: Member[]; epoch: number; removedMe: boolean; next: Group; spent: Spent };

/** The secret half of a key package, and the public half it belongs to. Always sealed before it is stored. */
export interface KeyPackageSecret { ref: Bytes; notAfterMs: number; publicPart: Bytes; init: Bytes; hpke: Bytes }
export interface NewKeyPackage { message: Bytes; secret: KeyPackageSecret }

export type Envelope =
  | { kind: 'application' | 'commit'; group: Bytes; epoch: number }
  | { kind: 'welcome'; refs: Bytes[] }
  | { kind: 'key_package' | 'group_info' | 'other' };

/** The signature key's place in library structures: a name, never a key. */
const KEY_HANDLE = utf8('kith: device signature key');

const keyRetentionConfig = {
  // The library would keep the ratchet secret of a skipped generation, from which read messages can be derived again.
  retainKeysForGenerations: 0,
  retainKeysForEpochs: 0,
  maximumForwardRatchetSteps: 2000,
};

/** What a judge threw: not ours to translate. */
class JudgeFailed {
  constructor(readonly error: unknown) {}
}

/** The judge, with what it throws marked as its own. */
const marked = (judge: Judge): Judge => async (who, key) => {
  try {
    return await judge(who, key);
  } catch (error) {
    throw new JudgeFailed(error);
  }
};

/** One seam for all failures: what the judge threw passes unchanged, everything else becomes an `MlsError`. */
async function seam<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof JudgeFailed ? error.error : translated(error);
  }
}

/** Bytes from strangers can make the library fail in any way; none of them may look like anything but a refusal. */
function translated(error: unknown): MlsError {
  if (error instanceof MlsError) return error;
  if (error instanceof Malformed || error instanceof CodecError) return new MlsError('Malformed', error.message);
  if (error instanceof CryptoError) return new MlsError('BadTag', 'could not be decrypted');
  if (error instanceof CryptoVerificationError) return new MlsError('BadSignature', error.message);
  if (error instanceof LibraryError) return new MlsError(faultOf(error.message), error.message);
  // WebCrypto's OperationError, or the HPKE library's own: an opening that failed.
  const text = error instanceof Error ? `${error.name} ${error.message}` : 'unknown failure';
  if (error instanceof DOMException || /open|decrypt|decap/i.test(text)) return new MlsError('BadTag', 'could not be decrypted');
  return new MlsError('Malformed', text);
}

function faultOf(message: string): MlsFault {
  if (/gen in the past/.test(message)) return 'Replay';
  if (/epoch too old/.test(message)) return 'TooOld';
  if (/epoch/i.test(message)) return 'WrongEpoch';
  return 'Malformed';
}

/** Decodes one MLSMessage: size cap first, nothing after it, and exactly the canonical bytes. */
function decodeStrict(bytes: Uint8Array, cap: number): MLSMessage {
  if (bytes.length > cap) throw new MlsError('Malformed', 'the message is too large');
  let decoded: [MLSMessage, number] | undefined;
  try {
    decoded = decodeMlsMessage(bytes, 0);
  } catch (error) {
    throw new MlsError('Malformed', error instanceof Error ? error.message : 'unreadable');
  }
  if (decoded === undefined || decoded[1] !== bytes.length) throw new MlsError('Malformed', 'not one MLS message');
  if (!equal(encodeMlsMessage(decoded[0]), bytes)) throw new MlsError('Malformed', 'not canonically encoded');
  return decoded[0];
}

/** What a message is, without any key. */
export function inspect(bytes: Uint8Array): Envelope {
  const message = decodeStrict(bytes, MAX_HANDSHAKE);
  switch (message.wireformat) {
    case 'mls_private_message': {
      const { groupId, epoch, contentType } = message.privateMessage;
      return contentType === 'application' ? { kind: 'application', group: copy(groupId), epoch: Number(epoch) } : { kind: 'other' };
    }
    case 'mls_public_message': {
      const { groupId, epoch, contentType } = message.publicMessage.content;
      return contentType === 'commit' ? { kind: 'commit', group: copy(groupId), epoch: Number(epoch) } : { kind: 'other' };
    }
    case 'mls_welcome':
      return { kind: 'welcome', refs: message.welcome.secrets.map((secret) => copy(secret.newMember)) };
    case 'mls_key_package':
      return { kind: 'key_package' };
    case 'mls_group_info':
      return { kind: 'group_info' };
    default:
      return message satisfies never;
  }
}

const copy = (bytes: Uint8Array): Bytes => bytes.slice() as Bytes;

function paddingFor(length: number): number {
  const encoded = varintSize(length) + length + SIGNATURE_FIELD;
  const bucket = BUCKETS.find((size) => size >= encoded);
  return bucket === undefined ? 0 : bucket - encoded;
}

function varintSize(length: number): number {
  return length < 0x40 ? 1 : length < 0x4000 ? 2 : 4;
}

function readIdentity(credential: { credentialType: string; identity?: Uint8Array }): Identity {
  if (credential.credentialType !== 'basic' || !credential.identity) {
    throw new MlsError('Unsupported', 'only basic credentials are used');
  }
  return parseCredentialIdentity(credential.identity);
}

function memberAt(tree: RatchetTree, leaf: number): Member | null {
  const node = tree[leaf * 2];
  if (node?.nodeType !== 'leaf') return null;
  return { leaf, ...readIdentity(node.leaf.credential), key: copy(node.leaf.signaturePublicKey) };
}

export function members(group: Group): Member[] {
  const tree = group.state.ratchetTree;
  return tree.flatMap((_, at) => (at % 2 === 0 ? (memberAt(tree, at / 2) ?? []) : []));
}

export const epochOf = (group: Group): number => Number(group.state.groupContext.epoch);
export const groupIdOf = (group: Group): Bytes => copy(group.state.groupContext.groupId);
export const ownLeaf = (group: Group): number => group.state.privatePath.leafIndex;
export const isActive = (group: Group): boolean => group.state.groupActiveState.kind === 'active';
export const epochAuthenticator = (group: Group): Bytes => copy(group.state.keySchedule.epochAuthenticator);
/** Messages this device has sent in the current epoch; a leaf is rotated at 1,000. */
export const ownGeneration = (group: Group): number => group.state.secretTree[ownLeaf(group) * 2]?.application.generation ?? 0;

/** Wipes what an operation made superfluous. Call only after its `next` is stored. */
export function wipeSpent(spent: Spent): void {
  wipe(...spent);
}

/** All secrets of a past epoch. */
function epochSecrets(state: ClientState): Uint8Array[] {
  // The library's list starts with holes.
  const ratchets = allSecretTreeValues(state.secretTree).filter((secret) => secret !== undefined);
  return [...ratchets, ...Object.values(state.keySchedule as unknown as Record<string, Uint8Array>)];
}

export class MlsEngine {
  private constructor(
    private readonly cs: CiphersuiteImpl,
    readonly self: Identity,
    private readonly signer: Signer,
    private readonly now: () => number,
  ) {}

  /** `signer` holds the device's signature key; `now` is in milliseconds. */
  static async create(self: Identity, signer: Signer, now: () => number): Promise<MlsEngine> {
    const cs = await suite({
      async sign(handle, message) {
        if (!equal(handle, KEY_HANDLE)) throw new MlsError('Unsupported', 'no such signature key');
        return signer.sign(message);
      },
      async keygen() {
        throw new MlsError('Unsupported', 'the device key is made elsewhere');
      },
    });
    return new MlsEngine(cs, self, signer, now);
  }

  #config(judge: Judge, padding = 0): ClientConfig {
    return {
      keyRetentionConfig,
      lifetimeConfig: defaultLifetimeConfig,
      keyPackageEqualityConfig: defaultKeyPackageEqualityConfig,
      paddingConfig: { kind: 'alwaysPad', paddingLength: padding },
      authService: {
        validateCredential: async (credential, key) =>
          credential.credentialType === 'basic' && marked(judge)(readIdentity(credential), copy(key)),
      },
    };
  }

  /** The state with our configuration. A decoded state has none, and the library's default accepts everybody. */
  #with(group: Group, judge: Judge, padding = 0): ClientState {
    return { ...group.state, clientConfig: this.#config(judge, padding) };
  }

  /** A past epoch leaves nothing behind. */
  #forgetPast(state: ClientState): Group {
    return { state: { ...state, historicalReceiverData: new Map() } };
  }

  async newKeyPackage(): Promise<NewKeyPackage> {
    return seam(async () => {
      const nowS = Math.floor(this.now() / 1000);
      const lifetime = { notBefore: BigInt(nowS - BACKDATE_S), notAfter: BigInt(nowS + LIFETIME_S) };
      const made = await generateKeyPackageWithKey(
        { credentialType: 'basic', identity: credentialIdentity(this.self.account, this.self.device) },
        { versions: ['mls10'], ciphersuites: [SUITE], extensions: [], proposals: [], credentials: ['basic'] },
        lifetime, [], { signKey: KEY_HANDLE, publicKey: this.signer.publicKey }, this.cs,
      );
      const message = copy(encodeMlsMessage({ version: 'mls10', wireformat: 'mls_key_package', keyPackage: made.publicPackage }));
      const secret = {
        ref: copy(await makeKeyPackageRef(made.publicPackage, this.cs.hash)),
        notAfterMs: Number(lifetime.notAfter) * 1000,
        publicPart: copy(encodeKeyPackage(made.publicPackage)),
        init: copy(made.privatePackage.initPrivateKey),
        hpke: copy(made.privatePackage.hpkePrivateKey),
      };
      return { message, secret };
    });
  }

  #keyPackage(bytes: Uint8Array): KeyPackage {
    const message = decodeStrict(bytes, MAX_MESSAGE);
    if (message.wireformat !== 'mls_key_package') throw new MlsError('Malformed', 'not a key package');
    const { leafNode } = message.keyPackage;
    if (leafNode.leafNodeSource !== 'key_package') throw new MlsError('Malformed', 'not a key package');
    const span = leafNode.lifetime.notAfter - leafNode.lifetime.notBefore;
    if (span < 0n || span > BigInt(MAX_LIFETIME_S)) throw new MlsError('PolicyRefused', 'a key package lives at most 90 days');
    return message.keyPackage;
  }

  /** Account, device and key of somebody's key package, for checking it against the directory before it is used. */
  identityOf(keyPackage: Uint8Array): Identity & { key: Bytes } {
    try {
      const { leafNode } = this.#keyPackage(keyPackage);
      return { ...readIdentity(leafNode.credential), key: copy(leafNode.signaturePublicKey) };
    } catch (error) {
      throw translated(error);
    }
  }

  async createGroup(groupId: Bytes, judge: Judge): Promise<Group> {
    return seam(async () => {
      const { secret } = await this.newKeyPackage();
      const { publicPackage, privatePackage } = decodeSecret(secret);
      const state = await createGroup(groupId, publicPackage, privatePackage, [], this.cs, this.#config(judge));
      return { state };
    });
  }

  /** One commit with inline Adds and Removes, or an empty one to rotate our leaf. Adopt `next` only once accepted. */
  async commit(group: Group, change: { adds: Uint8Array[]; removes: number[] }, judge: Judge): Promise<Commit> {
    return seam(async () => {
      if (members(group).length + change.adds.length - change.removes.length > MAX_LEAVES) {
        throw new MlsError('PolicyRefused', 'a group has at most 256 devices');
      }
      const removes = change.removes.map((removed): Proposal => ({ proposalType: 'remove', remove: { removed } }));
      const adds = change.adds.map((bytes): Proposal => ({ proposalType: 'add', add: { keyPackage: this.#keyPackage(bytes) } }));
      const state = this.#with(group, judge);
      const made = await createCommit(
        { state, cipherSuite: this.cs, pskIndex: emptyPskIndex },
        { extraProposals: [...removes, ...adds], ratchetTreeExtension: true, wireAsPublicMessage: true },
      );
      const next = made.newState;
      const groupInfo = await createGroupInfoWithRatchetTree(
        next.groupContext, next.confirmationTag, next, next.ratchetTree, [], this.cs,
      );
      return {
        commit: copy(encodeMlsMessage(made.commit)),
        welcome: made.welcome
          ? copy(encodeMlsMessage({ version: 'mls10', wireformat: 'mls_welcome', welcome: made.welcome })) : null,
        groupInfo: copy(encodeMlsMessage({ version: 'mls10', wireformat: 'mls_group_info', groupInfo })),
        next: this.#forgetPast(next),
        spent: [...made.consumed, ...epochSecrets(group.state)],
      };
    });
  }

  /** Joins by a Welcome for the package whose secret is given. Every leaf of the group is judged. */
  async join(welcome: Uint8Array, secret: KeyPackageSecret, judge: Judge): Promise<Group> {
    return seam(async () => {
      const message = decodeStrict(welcome, MAX_HANDSHAKE);
      if (message.wireformat !== 'mls_welcome') throw new MlsError('Malformed', 'not a Welcome');
      const { publicPackage, privatePackage } = decodeSecret(secret);
      const state = await joinGroup(
        message.welcome, publicPackage, privatePackage, emptyPskIndex, this.cs, undefined, undefined, this.#config(judge),
      );
      if (state.groupContext.extensions.length > 0) throw new MlsError('Unsupported', 'group extensions are not used');
      const group = { state };
      if (members(group).length > MAX_LEAVES) throw new MlsError('PolicyRefused', 'a group has at most 256 devices');
      uniqueMembers(members(group));
      return group;
    });
  }

  /** Encrypts for the group, padded to a bucket. Store `next` before the message leaves. */
  async protect(group: Group, plaintext: Uint8Array, aad: Uint8Array): Promise<Protected> {
    return seam(async () => {
      const state = this.#with(group, refuseAll, paddingFor(plaintext.length));
      const made = await createApplicationMessage(state, plaintext, this.cs, aad);
      const message = encodeMlsMessage({
        version: 'mls10', wireformat: 'mls_private_message', privateMessage: made.privateMessage,
      });
      return { message: copy(message), next: { state: made.newState }, spent: made.consumed };
    });
  }

  /** Processes what the group's stream brings. On any error the group is unchanged and the message may come again. */
  async process(group: Group, bytes: Uint8Array, judge: Judge): Promise<Processed> {
    return seam(async () => {
      const message = decodeStrict(bytes, MAX_HANDSHAKE);
      const { wireformat } = message;
      if (wireformat === 'mls_private_message') return this.#application(group, message, judge);
      if (wireformat === 'mls_public_message') return this.#commit(group, message, judge);
      throw new MlsError('Unsupported', 'not a message to a group');
    });
  }

  #checkPlace(group: Group, groupId: Uint8Array, epoch: bigint): void {
    const context = group.state.groupContext;
    if (!equal(groupId, context.groupId)) throw new MlsError('PolicyRefused', 'a message of another group');
    if (epoch < context.epoch) throw new MlsError('TooOld', 'a message of a past epoch');
    if (epoch > context.epoch) throw new MlsError('WrongEpoch', 'a message of an epoch that is not here yet');
    if (!isActive(group)) throw new MlsError('PolicyRefused', 'this device is no longer in the group');
  }

  async #application(
    group: Group, message: Extract<MLSMessage, { wireformat: 'mls_private_message' }>, judge: Judge,
  ): Promise<Processed> {
    const pm = message.privateMessage;
    if (pm.contentType !== 'application') throw new MlsError('Unsupported', 'handshakes are public messages');
    this.#checkPlace(group, pm.groupId, pm.epoch);
    const { state } = group;
    // The library looks at the sender's leaf but goes on when it is blank, so look before it does.
    const claimed = await decryptSenderData(pm, state.keySchedule.senderDataSecret, this.cs);
    const sender = claimed && memberAt(state.ratchetTree, claimed.leafIndex);
    if (!sender) throw new MlsError('Malformed', 'the sender is not in the group');
    if (sender.leaf === ownLeaf(group)) throw new MlsError('PolicyRefused', 'a message of our own came back');
    const opened = await unprotectPrivateMessage(
      state.keySchedule.senderDataSecret, pm, state.secretTree, state.ratchetTree, state.groupContext,
      keyRetentionConfig, this.cs,
    );
    const { content } = opened.content;
    if (content.contentType !== 'application' || content.sender.senderType !== 'member' || content.sender.leafIndex !== sender.leaf) {
      throw new MlsError('Malformed', 'the message is not what it said it is');
    }
    if (!(await marked(judge)(sender, sender.key))) throw new MlsError('PolicyRefused', 'this device may not be in the group');
    return {
      kind: 'application', sender, epoch: Number(pm.epoch), aad: copy(content.authenticatedData),
      plaintext: copy(content.applicationData), next: { state: { ...state, secretTree: opened.tree } },
      spent: opened.consumed,
    };
  }

  async #commit(
    group: Group, message: Extract<MLSMessage, { wireformat: 'mls_public_message' }>, judge: Judge,
  ): Promise<Processed> {
    const { content } = message.publicMessage;
    if (content.contentType !== 'commit') throw new MlsError('Unsupported', 'proposals travel inside commits');
    if (content.sender.senderType !== 'member') throw new MlsError('Unsupported', 'only members commit');
    this.#checkPlace(group, content.groupId, content.epoch);
    const sender = memberAt(group.state.ratchetTree, content.sender.leafIndex);
    if (!sender) throw new MlsError('Malformed', 'the committer is not in the group');
    if (sender.leaf === ownLeaf(group)) throw new MlsError('PolicyRefused', 'a commit of our own came back');
    const allowed = content.commit.proposals.every(
      (item) => item.proposalOrRefType === 'proposal' && (item.proposal.proposalType === 'add' || item.proposal.proposalType === 'remove'),
    );
    if (!allowed) throw new MlsError('Unsupported', 'a commit holds inline Adds and Removes only');
    uniquePathKeys(group.state.ratchetTree, sender.leaf, content.commit.path);
    const before = members(group);
    const state = this.#with(group, judge);
    const done = await processMessage(message, state, emptyPskIndex, () => 'accept', this.cs);
    if (done.kind !== 'newState') throw new MlsError('Malformed', 'not a commit');
    const next = this.#forgetPast(done.newState);
    const after = members(next);
    uniqueMembers(after);
    if (after.length > MAX_LEAVES) throw new MlsError('PolicyRefused', 'a group has at most 256 devices');
    return {
      kind: 'commit', sender, epoch: epochOf(next), removedMe: !isActive(next), next,
      added: after.filter((member) => !before.some((old) => sameMember(old, member))),
      removed: before.filter((member) => !after.some((now) => sameMember(now, member))),
      spent: [...done.consumed, ...epochSecrets(group.state)],
    };
  }

  async exporter(group: Group, label: string, context: Uint8Array, length: number): Promise<Bytes> {
    return seam(async () => copy(await mlsExporter(group.state.keySchedule.exporterSecret, label, context, length, this.cs)));
  }
}

const refuseAll: Judge = async () => false;

const sameMember = (a: Member, b: Member): boolean =>
  a.leaf === b.leaf && a.device === b.device && equal(a.key, b.key);

function uniqueMembers(list: readonly Member[]): void {
  if (new Set(list.map((member) => member.device)).size !== list.length) {
    throw new MlsError('PolicyRefused', 'a device is in the group twice');
  }
}

/** RFC 9420 section 12.4.2: keys of an update path are new and differ from each other. The library does not look. */
function uniquePathKeys(
  tree: RatchetTree, committer: number, path: { leafNode: { hpkePublicKey: Uint8Array }; nodes: { hpkePublicKey: Uint8Array }[] } | undefined,
): void {
  if (!path) return;
  const fresh = [path.leafNode.hpkePublicKey, ...path.nodes.map((node) => node.hpkePublicKey)].map(toHex);
  const present = new Set(tree.flatMap((node) => {
    if (!node) return [];
    return toHex(node.nodeType === 'leaf' ? node.leaf.hpkePublicKey : node.parent.hpkePublicKey);
  }));
  if (new Set(fresh).size !== fresh.length || fresh.some((key) => present.has(key))) {
    throw new MlsError('PolicyRefused', `a key in the update path of leaf ${committer} is not new`);
  }
}

function decodeSecret(secret: KeyPackageSecret): { publicPackage: KeyPackage; privatePackage: PrivateKeyPackage } {
  const decoded = decodeKeyPackage(secret.publicPart, 0);
  if (!decoded) throw new MlsError('Malformed', 'the stored key package is unreadable');
  return {
    publicPackage: decoded[0],
    privatePackage: { initPrivateKey: secret.init, hpkePrivateKey: secret.hpke, signaturePrivateKey: KEY_HANDLE },
  };
}

/** The ratchet tree changes with commits only, the ratchets with every message: two records. Both hold secrets or names. */
export function serialise(group: Group): { tree: Bytes; ratchets: Bytes } {
  return {
    tree: copy(encodeRatchetTree(group.state.ratchetTree)),
    ratchets: copy(encodeGroupStateWithoutTree(group.state)),
  };
}

/** The group as it was stored. It gets its configuration back in every operation. */
export function restore(tree: Uint8Array, ratchets: Uint8Array): Group {
  try {
    const decodedTree = decodeRatchetTree(tree, 0);
    if (!decodedTree || decodedTree[1] !== tree.length) throw new MlsError('Malformed', 'the stored tree is unreadable');
    const decoded = decodeGroupStateWithoutTree(decodedTree[0])(ratchets, 0);
    if (!decoded || decoded[1] !== ratchets.length) throw new MlsError('Malformed', 'the stored group is unreadable');
    const group = { state: decoded[0] as unknown as ClientState };
    getOwnLeafNode(group.state);
    return group;
  } catch (error) {
    throw translated(error);
  }
}

