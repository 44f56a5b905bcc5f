/**
 * The official MLS vectors (mlswg/mls-implementations) against the library and version that this client uses, for the
 * one suite it speaks, and the suite-free ones. Library names appear here because it is the library that is tested.
 */
import {
  acceptAll, decodeMlsMessage, defaultCryptoProvider, encodeMlsMessage, getCiphersuiteFromName, joinGroup, makePskIndex,
  mlsExporter, processMessage, type CiphersuiteImpl, type ClientState,
} from 'ts-mls';
import { defaultClientConfig } from 'ts-mls/clientConfig.js';
import { decodeAuthenticatedContent } from 'ts-mls/authenticatedContent.js';
import { decodeCommit, encodeCommit } from 'ts-mls/commit.js';
import { determineLength } from 'ts-mls/codec/variableLength.js';
import { applyUpdatePathSecret } from 'ts-mls/createCommit.js';
import { refhash } from 'ts-mls/crypto/hash.js';
import { decryptWithLabel, encryptWithLabel } from 'ts-mls/crypto/hpke.js';
import { deriveSecret, deriveTreeSecret, expandWithLabel } from 'ts-mls/crypto/kdf.js';
import { signWithLabel, verifyWithLabel } from 'ts-mls/crypto/signature.js';
import { encodeGroupContext, type GroupContext } from 'ts-mls/groupContext.js';
import { verifyGroupInfoConfirmationTag, verifyGroupInfoSignature } from 'ts-mls/groupInfo.js';
import { decodeGroupSecrets, encodeGroupSecrets } from 'ts-mls/groupSecrets.js';
import { makeKeyPackageRef } from 'ts-mls/keyPackage.js';
import { initializeEpoch } from 'ts-mls/keySchedule.js';
import { verifyLeafNodeSignature, verifyLeafNodeSignatureKeyPackage } from 'ts-mls/leafNode.js';
import { protectApplicationData, unprotectPrivateMessage } from 'ts-mls/messageProtection.js';
import { unprotectPublicMessage } from 'ts-mls/messageProtectionPublic.js';
import { verifyParentHashes } from 'ts-mls/parentHash.js';
import { pathToRoot } from 'ts-mls/pathSecrets.js';
import { mergePrivateKeyPaths, toPrivateKeyPath } from 'ts-mls/privateKeyPath.js';
import {
  decodeAdd, decodeExternalInit, decodeGroupContextExtensions, decodePSK, decodeProposal, decodeReinit, decodeRemove,
  decodeUpdate, encodeAdd, encodeExternalInit, encodeGroupContextExtensions, encodePSK, encodeProposal, encodeReinit,
  encodeRemove, encodeUpdate,
} from 'ts-mls/proposal.js';
import { accumulatePskSecret } from 'ts-mls/pskIndex.js';
import { addLeafNode, decodeRatchetTree, encodeRatchetTree, removeLeafNode, resolution, updateLeafNode, type RatchetTree } from 'ts-mls/ratchetTree.js';
import { createSecretTree, ratchetToGeneration } from 'ts-mls/secretTree.js';
import { expandSenderDataKey, expandSenderDataNonce } from 'ts-mls/sender.js';
import { createConfirmedHash, createInterimHash } from 'ts-mls/transcriptHash.js';
import { treeHash, treeHashRoot } from 'ts-mls/treeHash.js';
import {
  left, leafToNodeIndex, leafWidth, nodeToLeafIndex, nodeWidth, parent, right, root, sibling, toLeafIndex, toNodeIndex, isLeaf,
} from 'ts-mls/treemath.js';
import { applyUpdatePath, decodeUpdatePath } from 'ts-mls/updatePath.js';
import { decryptGroupInfo, decryptGroupSecrets } from 'ts-mls/welcome.js';
import { suite, SUITE } from '../src/engine/suite';
import { fromHex, toBase64, toHex, utf8 } from '../src/protocol/bytes';

type Decoder<T> = (bytes: Uint8Array, offset: number) => [T, number] | undefined;
/** A vector. Its shape differs per file and is checked by comparing values, so it has no type of its own. */
export type Case = any;

class Different extends Error {}
function same(actual: unknown, expected: unknown, what: string): void {
  if (actual !== expected) throw new Different(`${what}: ${String(actual)} instead of ${String(expected)}`);
}
const hexSame = (actual: Uint8Array, expected: string, what: string): void => same(toHex(actual), expected, what);
function holds(fact: boolean, what: string): void {
  if (!fact) throw new Different(what);
}

function whole<T>(decoder: Decoder<T>, hex: string): T {
  const bytes = fromHex(hex);
  const decoded = decoder(bytes, 0);
  if (!decoded || decoded[1] !== bytes.length) throw new Different('not decodable');
  return decoded[0];
}

function mls<W extends string>(hex: string, wireformat: W): Extract<ReturnType<typeof whole<import('ts-mls').MLSMessage>>, { wireformat: W }> {
  const message = whole(decodeMlsMessage, hex);
  same(message.wireformat, wireformat, 'wire format');
  return message as never;
}

const noExtensions: GroupContext['extensions'] = [];
const contextOf = (cs: CiphersuiteImpl, v: Case, epoch: bigint, treeHashHex: string, transcriptHex: string): GroupContext => ({
  version: 'mls10', cipherSuite: cs.name, groupId: fromHex(v.group_id), epoch, treeHash: fromHex(treeHashHex),
  confirmedTranscriptHash: fromHex(transcriptHex), extensions: noExtensions,
});

async function cryptoBasics(cs: CiphersuiteImpl, v: Case): Promise<void> {
  hexSame(await refhash(v.ref_hash.label, fromHex(v.ref_hash.value), cs.hash), v.ref_hash.out, 'ref hash');
  const e = v.expand_with_label;
  hexSame(await expandWithLabel(fromHex(e.secret), e.label, fromHex(e.context), e.length, cs.kdf), e.out, 'expand');
  hexSame(await deriveSecret(fromHex(v.derive_secret.secret), v.derive_secret.label, cs.kdf), v.derive_secret.out, 'derive');
  const t = v.derive_tree_secret;
  hexSame(await deriveTreeSecret(fromHex(t.secret), t.label, t.generation, t.length, cs.kdf), t.out, 'tree secret');
  const s = v.sign_with_label;
  holds(await verifyWithLabel(fromHex(s.pub), s.label, fromHex(s.content), fromHex(s.signature), cs.signature), 'signature');
  const own = await signWithLabel(fromHex(s.priv), s.label, fromHex(s.content), cs.signature);
  holds(await verifyWithLabel(fromHex(s.pub), s.label, fromHex(s.content), own, cs.signature), 'own signature');
  const h = v.encrypt_with_label;
  const key = await cs.hpke.importPrivateKey(fromHex(h.priv));
  hexSame(await decryptWithLabel(key, h.label, fromHex(h.context), fromHex(h.kem_output), fromHex(h.ciphertext), cs.hpke), h.plaintext, 'decrypt');
  const pub = await cs.hpke.importPublicKey(fromHex(h.pub));
  const made = await encryptWithLabel(pub, h.label, fromHex(h.context), fromHex(h.plaintext), cs.hpke);
  hexSame(await decryptWithLabel(key, h.label, fromHex(h.context), made.enc, made.ct, cs.hpke), h.plaintext, 'own decrypt');
}

async function deserialization(_cs: CiphersuiteImpl, v: Case): Promise<void> {
  same(determineLength(fromHex(v.vlbytes_header)).length, v.length, 'length');
}

async function keySchedule(cs: CiphersuiteImpl, v: Case): Promise<void> {
  let init: Uint8Array = fromHex(v.initial_init_secret);
  for (const [epoch, e] of v.epochs.entries()) {
    const context = contextOf(cs, v, BigInt(epoch), e.tree_hash, e.confirmed_transcript_hash);
    hexSame(encodeGroupContext(context), e.group_context, 'group context');
    const made = await initializeEpoch(init, fromHex(e.commit_secret), context, fromHex(e.psk_secret), cs.kdf);
    hexSame(made.joinerSecret, e.joiner_secret, 'joiner');
    hexSame(made.welcomeSecret, e.welcome_secret, 'welcome');
    hexSame(made.encryptionSecret, e.encryption_secret, 'encryption');
    const k = made.keySchedule;
    const pairs: [Uint8Array, string, string][] = [
      [k.initSecret, e.init_secret, 'init'], [k.senderDataSecret, e.sender_data_secret, 'sender data'],
      [k.exporterSecret, e.exporter_secret, 'exporter'], [k.externalSecret, e.external_secret, 'external'],
      [k.confirmationKey, e.confirmation_key, 'confirmation'], [k.membershipKey, e.membership_key, 'membership'],
      [k.resumptionPsk, e.resumption_psk, 'resumption'], [k.epochAuthenticator, e.epoch_authenticator, 'authenticator'],
    ];
    for (const [actual, expected, what] of pairs) hexSame(actual, expected, what);
    const x = e.exporter;
    hexSame(await mlsExporter(k.exporterSecret, x.label, fromHex(x.context), x.length, cs), x.secret, 'exported');
    const pair = await cs.hpke.deriveKeyPair(k.externalSecret);
    hexSame(await cs.hpke.exportPublicKey(pair.publicKey), e.external_pub, 'external pub');
    init = k.initSecret;
  }
}

async function messageProtection(cs: CiphersuiteImpl, v: Case): Promise<void> {
  const context = contextOf(cs, v, BigInt(v.epoch), v.tree_hash, v.confirmed_transcript_hash);
  const fresh = (): ReturnType<typeof createSecretTree> => createSecretTree(2, fromHex(v.encryption_secret), cs.kdf);
  const [data, pub, member] = [fromHex(v.sender_data_secret), fromHex(v.signature_pub), fromHex(v.membership_key)];
  const retention = { retainKeysForGenerations: 10, retainKeysForEpochs: 4, maximumForwardRatchetSteps: 200 };
  const opened = async (hex: string): ReturnType<typeof unprotectPrivateMessage> =>
    unprotectPrivateMessage(data, mls(hex, 'mls_private_message').privateMessage, await fresh(), [], context, retention, cs, pub);
  const read = (hex: string): ReturnType<typeof unprotectPublicMessage> =>
    unprotectPublicMessage(member, context, [], mls(hex, 'mls_public_message').publicMessage, cs, pub);
  for (const content of [(await opened(v.proposal_priv)).content.content, (await read(v.proposal_pub)).content]) {
    if (content.contentType !== 'proposal') throw new Different('not a proposal');
    hexSame(encodeProposal(content.proposal), v.proposal, 'proposal');
  }
  for (const content of [(await opened(v.commit_priv)).content.content, (await read(v.commit_pub)).content]) {
    if (content.contentType !== 'commit') throw new Different('not a commit');
    hexSame(encodeCommit(content.commit), v.commit, 'commit');
  }
  const application = (await opened(v.application_priv)).content.content;
  if (application.contentType !== 'application') throw new Different('not an application message');
  hexSame(application.applicationData, v.application, 'application');
  const own = await protectApplicationData(
    fromHex(v.signature_priv), data, fromHex(v.application), utf8('aad'), context, await fresh(), 1, { kind: 'alwaysPad', paddingLength: 9 }, cs,
  );
  const back = await unprotectPrivateMessage(data, own.privateMessage, await fresh(), [], context, retention, cs, pub);
  if (back.content.content.contentType !== 'application') throw new Different('own message');
  hexSame(back.content.content.applicationData, v.application, 'own application');
}

async function messages(_cs: CiphersuiteImpl, v: Case): Promise<void> {
  const again = <T>(name: string, decoder: Decoder<T>, encoder: (value: T) => Uint8Array): void =>
    hexSame(encoder(whole(decoder, v[name])), v[name], name);
  for (const name of ['mls_welcome', 'mls_group_info', 'mls_key_package', 'public_message_application', 'public_message_proposal', 'public_message_commit', 'private_message']) {
    again(name, decodeMlsMessage, encodeMlsMessage);
  }
  again('ratchet_tree', decodeRatchetTree, encodeRatchetTree);
  again('group_secrets', decodeGroupSecrets, encodeGroupSecrets);
  again('add_proposal', decodeAdd, encodeAdd);
  again('update_proposal', decodeUpdate, encodeUpdate);
  again('remove_proposal', decodeRemove, encodeRemove);
  again('pre_shared_key_proposal', decodePSK, encodePSK);
  again('re_init_proposal', decodeReinit, encodeReinit);
  again('external_init_proposal', decodeExternalInit, encodeExternalInit);
  again('group_context_extensions_proposal', decodeGroupContextExtensions, encodeGroupContextExtensions);
  again('commit', decodeCommit, encodeCommit);
}

async function passiveClient(cs: CiphersuiteImpl, v: Case): Promise<void> {
  const psks = Object.fromEntries(v.external_psks.map((psk: Case) => [toBase64(fromHex(psk.psk_id)), fromHex(psk.psk)]));
  const tree = v.ratchet_tree === null ? undefined : whole(decodeRatchetTree, v.ratchet_tree);
  const keys = { initPrivateKey: fromHex(v.init_priv), hpkePrivateKey: fromHex(v.encryption_priv), signaturePrivateKey: fromHex(v.signature_priv) };
  let state: ClientState = await joinGroup(
    mls(v.welcome, 'mls_welcome').welcome, mls(v.key_package, 'mls_key_package').keyPackage, keys, makePskIndex(undefined, psks), cs, tree,
    undefined, defaultClientConfig,
  );
  hexSame(state.keySchedule.epochAuthenticator, v.initial_epoch_authenticator, 'initial authenticator');
  for (const epoch of v.epochs) {
    for (const hex of [...epoch.proposals, epoch.commit]) {
      const message = whole(decodeMlsMessage, hex);
      if (message.wireformat !== 'mls_public_message' && message.wireformat !== 'mls_private_message') throw new Different('not a group message');
      state = (await processMessage(message, state, makePskIndex(state, psks), acceptAll, cs)).newState;
    }
    hexSame(state.keySchedule.epochAuthenticator, epoch.epoch_authenticator, 'authenticator');
  }
}

async function pskSecret(cs: CiphersuiteImpl, v: Case): Promise<void> {
  const index = { findPsk: (id: Case) => fromHex(v.psks.find((psk: Case) => psk.psk_id === toHex(id.pskId)).psk) };
  const ids = v.psks.map((psk: Case) => ({ psktype: 'external', pskId: fromHex(psk.psk_id), pskNonce: fromHex(psk.psk_nonce) }));
  const [secret] = await accumulatePskSecret(ids, index, cs, new Uint8Array(cs.kdf.size));
  hexSame(secret, v.psk_secret, 'psk secret');
}

async function secretTree(cs: CiphersuiteImpl, v: Case): Promise<void> {
  const s = v.sender_data;
  hexSame(await expandSenderDataKey(cs, fromHex(s.sender_data_secret), fromHex(s.ciphertext)), s.key, 'sender data key');
  hexSame(await expandSenderDataNonce(cs, fromHex(s.sender_data_secret), fromHex(s.ciphertext)), s.nonce, 'sender data nonce');
  const tree = await createSecretTree(v.leaves.length, fromHex(v.encryption_secret), cs.kdf);
  const retention = { retainKeysForGenerations: 0, retainKeysForEpochs: 0, maximumForwardRatchetSteps: 2000 };
  for (const [leafIndex, generations] of v.leaves.entries()) {
    for (const g of generations) {
      for (const [contentType, keyHex, nonceHex] of [['application', g.application_key, g.application_nonce], ['commit', g.handshake_key, g.handshake_nonce]] as const) {
        const data = { leafIndex, generation: g.generation, reuseGuard: new Uint8Array(4) as never };
        const got = await ratchetToGeneration(tree, data, contentType, retention, cs);
        hexSame(got.key, keyHex, `${contentType} key`);
        hexSame(got.nonce, nonceHex, `${contentType} nonce`);
      }
    }
  }
}

async function transcriptHashes(cs: CiphersuiteImpl, v: Case): Promise<void> {
  const { wireformat, content, auth } = whole(decodeAuthenticatedContent, v.authenticated_content);
  if (content.contentType !== 'commit' || auth.contentType !== 'commit') throw new Different('not a commit');
  const confirmed = await createConfirmedHash(fromHex(v.interim_transcript_hash_before), { wireformat, content, signature: auth.signature }, cs.hash);
  hexSame(confirmed, v.confirmed_transcript_hash_after, 'confirmed');
  hexSame(await createInterimHash(confirmed, auth.confirmationTag, cs.hash), v.interim_transcript_hash_after, 'interim');
  holds(await cs.hash.verifyMac(fromHex(v.confirmation_key), auth.confirmationTag, confirmed), 'confirmation tag');
}

async function treeMath(_cs: CiphersuiteImpl, v: Case): Promise<void> {
  const width = v.n_leaves;
  same(nodeWidth(width), v.n_nodes, 'nodes');
  same(root(width), v.root, 'root');
  for (let i = 0; i < v.n_nodes; i++) {
    const node = toNodeIndex(i);
    if (v.left[i] !== null) same(left(node), v.left[i], 'left');
    else holds(isLeaf(node), 'leaf');
    if (v.right[i] !== null) same(right(node), v.right[i], 'right');
    if (v.parent[i] !== null) same(parent(node, width), v.parent[i], 'parent');
    if (v.sibling[i] !== null) same(sibling(node, width), v.sibling[i], 'sibling');
  }
}

function changed(tree: RatchetTree, v: Case): RatchetTree {
  const proposal = whole(decodeProposal, v.proposal);
  switch (proposal.proposalType) {
    case 'add': return addLeafNode(tree, proposal.add.keyPackage.leafNode)[0];
    case 'update': return updateLeafNode(tree, proposal.update.leafNode, toLeafIndex(v.proposal_sender));
    case 'remove': return removeLeafNode(tree, toLeafIndex(proposal.remove.removed));
    default: throw new Different('unexpected proposal');
  }
}

async function treeOperations(cs: CiphersuiteImpl, v: Case): Promise<void> {
  const before = whole(decodeRatchetTree, v.tree_before);
  hexSame(await treeHashRoot(before, cs.hash), v.tree_hash_before, 'hash before');
  const after = changed(before, v);
  hexSame(encodeRatchetTree(after), v.tree_after, 'tree after');
  hexSame(await treeHashRoot(after, cs.hash), v.tree_hash_after, 'hash after');
}

async function treeValidation(cs: CiphersuiteImpl, v: Case): Promise<void> {
  const tree = whole(decodeRatchetTree, v.tree);
  for (const [i, expected] of v.resolutions.entries()) same(String(resolution(tree, toNodeIndex(i))), String(expected), 'resolution');
  for (const [i, expected] of v.tree_hashes.entries()) hexSame(await treeHash(tree, toNodeIndex(i), cs.hash), expected, 'tree hash');
  holds(await verifyParentHashes(tree, cs.hash), 'parent hashes');
  for (const [i, node] of tree.entries()) {
    if (node?.nodeType !== 'leaf') continue;
    const fine = node.leaf.leafNodeSource === 'key_package'
      ? await verifyLeafNodeSignatureKeyPackage(node.leaf, cs.signature)
      : await verifyLeafNodeSignature(node.leaf, fromHex(v.group_id), nodeToLeafIndex(toNodeIndex(i)), cs.signature);
    holds(fine, 'leaf signature');
  }
}

async function treeKem(cs: CiphersuiteImpl, v: Case): Promise<void> {
  const tree = whole(decodeRatchetTree, v.ratchet_tree);
  for (const u of v.update_paths) {
    const path = whole(decodeUpdatePath, u.update_path);
    const updated = await applyUpdatePath(tree, toLeafIndex(u.sender), path, cs.hash);
    hexSame(await treeHashRoot(updated, cs.hash), u.tree_hash_after, 'hash after');
    const context = contextOf(cs, v, BigInt(v.epoch), u.tree_hash_after, v.confirmed_transcript_hash);
    for (const leaf of v.leaves_private) {
      if (leaf.index === u.sender) continue;
      const self = toLeafIndex(leaf.index);
      let keys: Parameters<typeof applyUpdatePathSecret>[1] = {
        leafIndex: self, privateKeys: { [leafToNodeIndex(self)]: fromHex(leaf.encryption_priv) },
      };
      for (const secret of leaf.path_secrets) {
        const known = await pathToRoot(tree, toNodeIndex(secret.node), fromHex(secret.path_secret), cs.kdf);
        keys = mergePrivateKeyPaths(keys, await toPrivateKeyPath(known, self, cs));
      }
      const got = await applyUpdatePathSecret(updated, keys, toLeafIndex(u.sender), context, path, [], cs);
      hexSame(got.pathSecret, u.path_secrets[leaf.index], 'path secret');
      const secrets = await pathToRoot(updated, toNodeIndex(got.nodeIndex), got.pathSecret, cs.kdf);
      hexSame(await deriveSecret(secrets[root(leafWidth(updated.length))]!, 'path', cs.kdf), u.commit_secret, 'commit secret');
    }
  }
}

async function welcome(cs: CiphersuiteImpl, v: Case): Promise<void> {
  const { keyPackage } = mls(v.key_package, 'mls_key_package');
  const message = mls(v.welcome, 'mls_welcome').welcome;
  const ref = await makeKeyPackageRef(keyPackage, cs.hash);
  const secrets = await decryptGroupSecrets(await cs.hpke.importPrivateKey(fromHex(v.init_priv)), ref, message, cs.hpke);
  if (!secrets) throw new Different('no group secrets');
  const psk = new Uint8Array(cs.kdf.size);
  const group = await decryptGroupInfo(message, secrets.joinerSecret, psk, cs);
  if (!group) throw new Different('no group info');
  holds(await verifyGroupInfoSignature(group, fromHex(v.signer_pub), cs.signature), 'group info signature');
  holds(await verifyGroupInfoConfirmationTag(group, secrets.joinerSecret, psk, cs), 'confirmation tag');
}

/** File → what to do with each of its cases. */
export const files: Record<string, (cs: CiphersuiteImpl, v: Case) => Promise<void>> = {
  'crypto-basics': cryptoBasics,
  deserialization,
  'key-schedule': keySchedule,
  'message-protection': messageProtection,
  messages,
  'passive-client-handling-commit': passiveClient,
  'passive-client-random': passiveClient,
  'passive-client-welcome': passiveClient,
  psk_secret: pskSecret,
  'secret-tree': secretTree,
  'transcript-hashes': transcriptHashes,
  'tree-math': treeMath,
  'tree-operations': treeOperations,
  'tree-validation': treeValidation,
  treekem: treeKem,
  welcome,
};

/** The suite as the engine has it; vectors sign with keys that are there as bytes, which the engine never does. */
export async function suiteOne(): Promise<CiphersuiteImpl> {
  return suite((await defaultCryptoProvider.getCiphersuiteImpl(getCiphersuiteFromName(SUITE))).signature);
}

/** The cases of a file that concern this client: suite 1, and those of no suite. */
export const relevant = (cases: Case[]): Case[] => cases.filter((v) => v.cipher_suite === undefined || v.cipher_suite === 1);
