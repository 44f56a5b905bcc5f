// ts-mls behind JSON lines: many devices in one process, driven by a test. Usage: node peer.mjs <web/node_modules>
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';

const library = (name) => import(pathToFileURL(join(process.argv[2], 'ts-mls', 'dist', 'src', name)).href);
const mls = await library('index.js');
const { unprotectPrivateMessage } = await library('messageProtection.js');
const { decodeGroupState, encodeGroupState } = await library('clientState.js');
const { makeKeyPackageRef } = await library('keyPackage.js');

const SUITE = 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519';
const suite = await mls.getCiphersuiteImpl(mls.getCiphersuiteFromName(SUITE));
const clientConfig = {
  keyRetentionConfig: { retainKeysForGenerations: 0, retainKeysForEpochs: 0, maximumForwardRatchetSteps: 2000 },
  lifetimeConfig: mls.defaultLifetimeConfig,
  keyPackageEqualityConfig: mls.defaultKeyPackageEqualityConfig,
  paddingConfig: { kind: 'padUntilLength', padUntilLength: 256 },
  authService: { validateCredential: async () => true },
};

const hex = (bytes) => Buffer.from(bytes).toString('hex');
const unhex = (text) => new Uint8Array(Buffer.from(text, 'hex'));
const devices = new Map();

function decode(text) {
  const bytes = unhex(text);
  const found = mls.decodeMlsMessage(bytes, 0);
  if (!found || found[1] !== bytes.length) throw new Error('not one MLS message');
  return found[0];
}
const message = (kind, field, value) => hex(mls.encodeMlsMessage({ version: 'mls10', wireformat: kind, [field]: value }));
const identity = (leaf) => hex(leaf.credential.identity);

async function generate(device) {
  const credential = { credentialType: 'basic', identity: device.identity };
  const capabilities = {
    versions: ['mls10'], ciphersuites: [SUITE], extensions: [], proposals: [], credentials: ['basic'],
  };
  const now = BigInt(Math.floor(Date.now() / 1000));
  const lifetime = { notBefore: now - 86400n, notAfter: now + 80n * 86400n };
  if (!device.keys) device.keys = await suite.signature.keygen();
  return mls.generateKeyPackageWithKey(credential, capabilities, lifetime, [], device.keys, suite);
}

const operations = {
  async device({ name, identity: id }) {
    devices.set(name, { identity: unhex(id), packages: new Map(), state: null, pending: null });
    return {};
  },
  async package({ name }) {
    const device = devices.get(name);
    const made = await generate(device);
    const ref = hex(await makeKeyPackageRef(made.publicPackage, suite.hash));
    device.packages.set(ref, made);
    return { message: message('mls_key_package', 'keyPackage', made.publicPackage) };
  },
  async create({ name, group }) {
    const device = devices.get(name);
    const { publicPackage, privatePackage } = await generate(device);
    device.state = await mls.createGroup(unhex(group), publicPackage, privatePackage, [], suite, clientConfig);
    return {};
  },
  async join({ name, welcome }) {
    const device = devices.get(name);
    const { welcome: parsed } = decode(welcome);
    const to = parsed.secrets.map((one) => hex(one.newMember)).find((ref) => device.packages.has(ref));
    if (!to) throw new Error('the Welcome is for nobody here');
    const { publicPackage, privatePackage } = device.packages.get(to);
    device.state = await mls.joinGroup(
      parsed, publicPackage, privatePackage, mls.emptyPskIndex, suite, undefined, undefined, clientConfig,
    );
    return {};
  },
  async commit({ name, adds, removes, aad, encrypted }) {
    const device = devices.get(name);
    const extraProposals = [
      ...removes.map((removed) => ({ proposalType: 'remove', remove: { removed } })),
      ...adds.map((one) => ({ proposalType: 'add', add: { keyPackage: decode(one).keyPackage } })),
    ];
    const made = await mls.createCommit(
      { state: device.state, cipherSuite: suite },
      { extraProposals, ratchetTreeExtension: true, wireAsPublicMessage: !encrypted, authenticatedData: unhex(aad) },
    );
    device.pending = made.newState;
    return {
      commit: hex(mls.encodeMlsMessage(made.commit)),
      welcome: made.welcome ? message('mls_welcome', 'welcome', made.welcome) : null,
    };
  },
  async propose({ name, add, removed, encrypted }) {
    const device = devices.get(name);
    const proposal = add
      ? { proposalType: 'add', add: { keyPackage: decode(add).keyPackage } }
      : { proposalType: 'remove', remove: { removed } };
    const made = await mls.createProposal(device.state, !encrypted, proposal, suite);
    device.state = made.newState;
    return { message: hex(mls.encodeMlsMessage(made.message)) };
  },
  async accept({ name }) {
    const device = devices.get(name);
    device.state = device.pending;
    device.pending = null;
    return {};
  },
  async protect({ name, text, aad }) {
    const device = devices.get(name);
    const made = await mls.createApplicationMessage(device.state, unhex(text), suite, unhex(aad));
    device.state = made.newState;
    return { message: message('mls_private_message', 'privateMessage', made.privateMessage) };
  },
  async process({ name, message: text }) {
    const device = devices.get(name);
    const { state } = device;
    const parsed = decode(text);
    if (parsed.wireformat === 'mls_private_message' && parsed.privateMessage.contentType === 'application') {
      const opened = await unprotectPrivateMessage(
        state.keySchedule.senderDataSecret, parsed.privateMessage, state.secretTree, state.ratchetTree,
        state.groupContext, clientConfig.keyRetentionConfig, suite,
      );
      const { content } = opened.content;
      device.state = { ...state, secretTree: opened.tree };
      const leaf = content.sender.leafIndex;
      return {
        kind: 'application', sender: leaf, identity: identity(state.ratchetTree[leaf * 2].leaf),
        aad: hex(content.authenticatedData), text: hex(content.applicationData),
      };
    }
    const done = await mls.processMessage(parsed, state, mls.emptyPskIndex, () => 'accept', suite);
    device.state = done.newState;
    return { kind: 'handshake', active: done.newState.groupActiveState.kind === 'active' };
  },
  async view({ name }) {
    const { state } = devices.get(name);
    const exported = await mls.mlsExporter(
      state.keySchedule.exporterSecret, 'differential', unhex('00ff'), 32, suite,
    );
    const empty = await mls.mlsExporter(state.keySchedule.exporterSecret, '', unhex(''), 16, suite);
    const roster = state.ratchetTree.flatMap((node, at) => (node?.nodeType === 'leaf' ? [[at / 2, identity(node.leaf)]] : []));
    return {
      epoch: Number(state.groupContext.epoch), authenticator: hex(state.keySchedule.epochAuthenticator),
      exporter: hex(exported) + hex(empty), tree: hex(state.groupContext.treeHash), roster,
    };
  },
  async restart({ name }) {
    const device = devices.get(name);
    const bytes = encodeGroupState(device.state);
    device.state = { ...decodeGroupState(bytes, 0)[0], clientConfig };
    return { bytes: bytes.length };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let answer;
  try {
    const from = performance.now(); // here, so that the pipe is not measured
    answer = await operations[request.op](request);
    answer.ms = performance.now() - from;
  } catch (error) {
    answer = { error: `${error.constructor.name}: ${error.message}` };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
