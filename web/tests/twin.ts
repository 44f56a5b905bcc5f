/**
 * The web engine's side of the conversations in `tests/twins`: reads scenarios as JSON lines, receives each with the real
 * room, store and threads, and answers with what is shown. Only MLS is taken away: what it would have opened is given.
 */
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';
import { Files } from '../src/engine/attachments/files';
import type { Api } from '../src/engine/api';
import type { FileView, Message } from '../src/engine/contract';
import { effectOf, forwardsOf, shownOf as saidIn } from '../src/engine/effects';
import { Hushes } from '../src/engine/hushes';
import { NodeDevice, NodeHome } from '../src/engine/home-node';
import { MlsEngine, serialise, type Group, type Judge } from '../src/engine/mls';
import { newThread, type GroupRecord, type OutboxRecord, type ReadByOthers, type Roster } from '../src/engine/records';
import { Room, type RoomContext } from '../src/engine/room';
import { Threads } from '../src/engine/threads';
import { overdue } from '../src/engine/vanishing';
import { rootKey, Vault } from '../src/engine/vault';
import { Words } from '../src/engine/words';
import { shownOf, type AttachedFile } from '../src/protocol/attachments';
import { fromHex, Malformed, toHex, type Bytes } from '../src/protocol/bytes';
import { decodeContent, senderOf } from '../src/protocol/content';
import { misplaced, signalOf } from '../src/protocol/ephemeral';
import { newSeed, signerFromSeed } from '../src/protocol/sign';
import { lifeOf, timerOf } from '../src/protocol/timer';
import { accountUri, deviceUri, uuidBytes } from '../src/protocol/uris';
import { drawn } from './twin-drawing';

const SERVER = 'kith.test';
const uuid = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
const ROOM = uuid(0xf1);
const [ME, THEM, THIRD] = [uuid(1), uuid(2), uuid(3)];
const PEOPLE = [[ME, uuid(0xd3)], [THEM, uuid(0xd2)], [THIRD, uuid(0xd5)]] as const;
const anybody: Judge = async () => true;

interface Step {
  do: 'say' | 'whisper' | 'read' | 'hide' | 'look';
  now: number; who: number; aad: string; plaintext: string; pos: number; hub: [number, number, number, string, number, string]; id: string;
}
interface Scenario { name: string; kind: 'direct' | 'group'; hub_key: string; steps: Step[] }

const brief = (bytes: Uint8Array): string => `${bytes.length}:${createHash('sha256').update(bytes).digest('hex').slice(0, 12)}`;

// ---- one content ----------------------------------------------------------------------------------------------------

function opened(plaintext: Bytes): unknown {
  let content;
  try {
    content = decodeContent(plaintext);
  } catch (error) {
    if (error instanceof Malformed) return null;
    throw error;
  }
  const effect = effectOf(content);
  const signal = signalOf(content);
  const ours = PEOPLE.some(([one]) => accountUri(SERVER, one) === senderOf(content));
  const said = ours ? saidIn(content) : null;
  return {
    change: effect && { what: effect.what, target: effect.target, symbols: effect.what === 'react' ? effect.symbols : [], instead: effect.what === 'react' && effect.instead },
    timer: timerOf(content), life: lifeOf(content), misplaced: misplaced(content.part),
    signal: signal && (signal.what === 'receipts' ? signal.read.map(toHex) : 'typing'),
    forwarded: forwardsOf(content), reply: content.inReplyTo && toHex(content.inReplyTo),
    shown: said && [said.kind, said.text], files: ours ? shownOf(content).files.map(fileOf) : null,
  };
}

function fileOf({ part, contentType, inline, name, description, file, media, poster }: AttachedFile): unknown {
  return {
    part, type: contentType, inline, name, description,
    sealed: file && [file.blob, file.expires, file.size, brief(file.key)],
    media: media && [
      media.length, media.width, media.height, media.thumbhash && brief(media.thumbhash), media.durationMs, media.waveform && brief(media.waveform),
      media.chunks && media.chunks.length, media.voice,
    ],
    poster: poster && [poster.type, brief(poster.bytes)],
  };
}

// ---- a conversation -------------------------------------------------------------------------------------------------

/** Its clock says what the scenario says, and counts what is read of the store. */
class StillHome extends NodeHome {
  at = 0;
  work = 0;

  override now(): number {
    return this.at;
  }

  override after(): () => void {
    return () => undefined;
  }
}

interface Place { home: StillHome; vault: Vault; room: Room; threads: Threads; words: Words; steps: Step[] }

async function place({ kind, hub_key, steps }: Scenario): Promise<Place> {
  const home = new StillHome(new NodeDevice({ origin: 'http://kith.test' }));
  home.at = steps[0]?.now ?? 0;
  const vault = counted(home, new Vault(home, await rootKey(await home.backend.localKey(), new Uint8Array(32), ME, uuid(0xd1))));
  const { seed, publicKey } = await newSeed();
  const real = await MlsEngine.create({ account: accountUri(SERVER, ME), device: deviceUri(SERVER, uuid(0xd1)) }, await signerFromSeed(seed, publicKey), Date.now);
  const group = await real.createGroup(uuidBytes(ROOM), anybody);
  const { ratchets, tree } = serialise(group);
  const record: GroupRecord = { ratchets, counter: 0, pending: null, broken: null, rotatedMs: home.at };
  await vault.save('groups', ROOM, record);
  await vault.save('trees', ROOM, tree);
  await vault.save('meta', `thread/${ROOM}`, { ...newThread(), pos: 10 });
  // MLS that has opened everything already: a body is the number of its step.
  const process = async (of: Group, body: Bytes): Promise<unknown> => {
    const step = steps[Number(new TextDecoder().decode(body))]!;
    const [account, device] = PEOPLE[step.who]!;
    const sender = { account: accountUri(SERVER, account), device: deviceUri(SERVER, device) };
    return { kind: 'application', sender, epoch: 1, aad: fromHex(step.aad), plaintext: fromHex(step.plaintext), next: of, spent: [] };
  };
  const roles = { [ME]: 'admin', [THEM]: 'owner', [THIRD]: 'member' } as const;
  const roster: Roster = kind === 'group' ? { accounts: [ME, THEM, THIRD], roles } : { accounts: [ME, THEM] };
  const key = fromHex(hub_key);
  const directory = {
    roster: async () => roster, hubKey: async () => key, freshHubKey: async () => key, standing: async () => 'listed', nameOf: async () => null,
  };
  const files = new Files(home, {} as Api, vault, () => undefined, AbortSignal.abort());
  const hushes = new Hushes(directory.roster);
  hushes.learn([]);
  const threads = new Threads(home, vault, directory as never, ME, files, () => true, hushes);
  const context = {
    home, vault, directory, files, hushes, engine: { process }, api: {}, packages: {}, log: { hear: async () => undefined, gossip: async () => null },
    link: { ready: false, send: () => false, ack: () => undefined }, self: { server: SERVER, account: ME, device: uuid(0xd1) }, emit: () => undefined,
    controls: () => ({ requests: 'everyone', read_receipts: true, typing: true }),
  };
  const room = new Room(context as unknown as RoomContext, ROOM);
  const words = new Words({
    home, vault, threads, room: () => room, outgoing: async () => ({}) as OutboxRecord, writable: async () => new Set<string>(),
    queued: () => undefined, dropped: () => undefined, changed: () => undefined,
  });
  return { home, vault, room, threads, words, steps };
}

/** Every record that is opened counts as work. */
function counted(home: StillHome, vault: Vault): Vault {
  const { get, range } = home.backend;
  home.backend.get = (...args) => (home.work++, get.apply(home.backend, args));
  home.backend.range = async (...args) => {
    const found = await range.apply(home.backend, args);
    home.work += found.length;
    return found;
  };
  return vault;
}

async function settled({ room }: Place): Promise<void> {
  for (let n = 0; n < 2; n++) await room.run(async () => undefined);
}

async function happens(here: Place, at: number): Promise<void> {
  const { room, threads, words } = here;
  const step = here.steps[at]!;
  const body = new TextEncoder().encode(String(at));
  if (step.do === 'say') {
    const [timestamp, roomSeq, hubKeyId, serverFrank, suite, proof] = step.hub;
    const hub = { timestamp, roomSeq, hubKeyId, serverFrank: fromHex(serverFrank), suite, proof: fromHex(proof) };
    room.mail({ kind: 'mail', mailId: 1000 + at, mail: 'message', room: ROOM, roomPos: step.pos, body, hub });
  } else if (step.do === 'whisper') room.ephemeral(step.pos, body);
  else if (step.do === 'read') await room.run(() => threads.markRead(ROOM));
  else if (step.do === 'hide' && (await rows(here)).some(({ id, kind }) => id === step.id && kind !== 'info')) await words.delete({ room: ROOM, id: step.id, everyone: false });
  await settled(here);
}

async function rows({ threads }: Place): Promise<Message[]> {
  const found: Message[] = [];
  for (let before: string | undefined; ;) {
    const page = await threads.page(ROOM, { ...(before === undefined ? {} : { before }), limit: 500 });
    found.unshift(...page.messages);
    if (!page.more || page.messages.length === 0) return found;
    before = page.messages[0]!.place!;
  }
}

/** What core does every few moments. */
async function sweep({ home, vault, room }: Place): Promise<void> {
  for (let due = await overdue(vault, home.now()); due.size > 0; due = await overdue(vault, home.now())) {
    for (const of of due.values()) await room.vanish(of);
  }
}

async function look(here: Place): Promise<unknown> {
  const { vault, threads, words } = here;
  const thread = await threads.thread(ROOM);
  const all = await rows(here);
  const reads = (await vault.get<ReadByOthers>('meta', `reads/${ROOM}`)) ?? {};
  drawn(all);
  return {
    rows: await Promise.all(all.filter(({ kind }) => kind !== 'info').map(async (one) => rowOf(one, one.edited && one.kind === 'text'
      ? (await words.versions({ room: ROOM, id: one.id })).map(({ text }) => text) : []))),
    timer: thread.timer?.seconds ?? 0, head: [thread.pos, thread.seq, thread.timestampMs, thread.headSeq], reads,
    lines: all.filter(({ kind, text }) => kind === 'info' && text.includes('tried to change')).length,
  };
}

const rowOf = (one: Message, versions: string[]): unknown => ({
  id: one.id, kind: one.kind, text: one.text, sender: one.sender, mine: one.mine, at: one.at_ms, seq: one.seq, edited: one.edited,
  forwarded: one.forwarded, gap: one.gap_before, reactions: one.reactions.map(({ symbol, count, mine }) => [symbol, count, mine]),
  vanish: one.expires?.at_ms ?? null,
  quote: one.reply_to && [[...one.reply_to.text].slice(0, 60).join(''), one.reply_to.deleted, one.reply_to.place !== null, one.reply_to.mine],
  files: one.files.map(viewOf), versions,
});

const viewOf = ({ part, type, state, size, width, height, thumbhash, duration_ms, waveform, poster }: FileView): unknown => [
  part, type, state !== 'broken', size, width, height, thumbhash && brief(thumbhash), duration_ms, waveform && brief(waveform), poster && brief(poster.bytes),
];

async function run(scenario: Scenario): Promise<unknown> {
  const here = await place(scenario);
  const looks: unknown[] = [];
  const work: number[] = [];
  for (const [at, step] of scenario.steps.entries()) {
    here.home.at = step.now;
    await sweep(here);
    const before = here.home.work;
    if (step.do === 'look') looks.push(await look(here));
    else {
      await happens(here, at);
      work.push(here.home.work - before);
    }
  }
  here.room.stop();
  here.home.close();
  const plain = scenario.steps.filter(({ plaintext }) => plaintext !== undefined).map(({ plaintext }) => fromHex(plaintext));
  return { looks, opened: plain.map(opened), work };
}

/** What goes wrong in a room's turn is told here and nowhere else: a test must see it. */
const trouble: string[] = [];
console.error = (...args: unknown[]) => void trouble.push(args.map((one) => (one instanceof Error ? one.stack : String(one))).join(' '));

for await (const line of createInterface({ input: process.stdin })) {
  trouble.length = 0;
  let answer: object;
  try {
    answer = (await run(JSON.parse(line) as Scenario)) as object;
  } catch (error) {
    answer = { looks: [], opened: [], work: [], thrown: error instanceof Error ? error.stack : String(error) };
  }
  process.stdout.write(`${JSON.stringify({ ...answer, trouble })}\n`);
}
