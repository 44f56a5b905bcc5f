/**
 * The web engine's MLS behind requests in JSON: many devices in one process or page, driven from outside (the
 * measurements in benches/ do). The same operations as `tests/mls/peer.mjs` has for the library alone; `ms` in an
 * answer is what the engine needed, without the way there.
 */
import {
  members, MlsEngine, restore, serialise, wipeSpent, type Commit, type Group, type Identity, type KeyPackageSecret,
} from '../src/engine/mls';
import { fromHex, toHex } from '../src/protocol/bytes';
import { newSeed, signerFromSeed } from '../src/protocol/sign';
import { credentialIdentity, parseCredentialIdentity } from '../src/protocol/uris';

interface Device { engine: MlsEngine; secret: KeyPackageSecret | null; group: Group | null; pending: Commit | null }
interface Request {
  op: string; name: string; identity: string; group: string; welcome: string; adds: string[]; removes: number[]; text: string;
  aad: string; message: string;
}

const devices = new Map<string, Device>();
const everybody = async (): Promise<boolean> => true;

function groupOf(device: Device): Group {
  if (device.group === null) throw new Error('this device is in no group');
  return device.group;
}

const identityOf = ({ account, device }: Identity): string => toHex(credentialIdentity(account, device));

async function timed<T>(work: () => T | Promise<T>): Promise<{ ms: number; made: T }> {
  const from = performance.now();
  const made = await work();
  return { ms: performance.now() - from, made };
}

const operations: Record<string, (device: Device, request: Request) => Promise<object>> = {
  async package(device) {
    const { ms, made } = await timed(() => device.engine.newKeyPackage());
    device.secret = made.secret;
    return { ms, message: toHex(made.message) };
  },
  async create(device, { group }) {
    device.group = await device.engine.createGroup(fromHex(group), everybody);
    return {};
  },
  async join(device, request) {
    const { secret } = device;
    if (secret === null) throw new Error('no package was made');
    const welcome = fromHex(request.welcome);
    const { ms, made } = await timed(() => device.engine.join(welcome, secret, everybody));
    device.group = made;
    return { ms };
  },
  async commit(device, { adds, removes }) {
    const change = { adds: adds.map(fromHex), removes };
    const { ms, made } = await timed(() => device.engine.commit(groupOf(device), change, everybody));
    device.pending = made;
    return { ms, commit: toHex(made.commit), welcome: made.welcome && toHex(made.welcome) };
  },
  async accept(device) {
    if (device.pending === null) throw new Error('no commit waits');
    device.group = device.pending.next;
    wipeSpent(device.pending.spent);
    device.pending = null;
    return {};
  },
  async protect(device, { text, aad }) {
    const [plain, data] = [fromHex(text), fromHex(aad)];
    const { ms, made } = await timed(() => device.engine.protect(groupOf(device), plain, data));
    device.group = made.next;
    wipeSpent(made.spent);
    return { ms, message: toHex(made.message) };
  },
  async process(device, { message }) {
    const bytes = fromHex(message);
    const { ms, made } = await timed(() => device.engine.process(groupOf(device), bytes, everybody));
    device.group = made.next;
    wipeSpent(made.spent);
    if (made.kind === 'commit') return { ms, active: !made.removedMe };
    return { ms, text: toHex(made.plaintext), identity: identityOf(made.sender), aad: toHex(made.aad) };
  },
  async view(device) {
    return { roster: members(groupOf(device)).map((member) => [member.leaf, identityOf(member)]) };
  },
  async restart(device) {
    const stored = await timed(() => serialise(groupOf(device)));
    const { tree, ratchets } = stored.made;
    const loaded = await timed(() => restore(tree, ratchets));
    device.group = loaded.made;
    return { bytes: tree.length + ratchets.length, storeMs: stored.ms, loadMs: loaded.ms };
  },
};

async function newDevice({ name, identity }: Request): Promise<object> {
  const { seed, publicKey } = await newSeed();
  const self = parseCredentialIdentity(fromHex(identity));
  const engine = await MlsEngine.create(self, await signerFromSeed(seed, publicKey), Date.now);
  devices.set(name, { engine, secret: null, group: null, pending: null });
  return {};
}

/** One operation of one device. */
export async function ask(request: Request): Promise<object> {
  try {
    if (request.op === 'device') return await newDevice(request);
    const device = devices.get(request.name);
    const operation = operations[request.op];
    if (!device || !operation) throw new Error(`no device ${request.name}, or no operation ${request.op}`);
    return await operation(device, request);
  } catch (error) {
    return { error: String(error) };
  }
}
