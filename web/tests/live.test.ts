import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { NodeDevice, Person, type NewPerson } from '../src/person/person';
import { serverProgram, TestServer } from './server';

const program = serverProgram();
const skip = program === null ? 'there is no kith program here (set KITH_BIN)' : false;
let server: TestServer;
const people: Person[] = [];
let count = 0;

async function person(name: string): Promise<Person> {
  const one = new Person({ origin: server.origin, packages: { first: 10, refillBelow: 3, full: 10 } });
  people.push(one);
  await one.signUp(newPerson(name));
  return one;
}

function newPerson(name: string): NewPerson & { handle: string } {
  count++;
  return { handle: `${name}${count}`, display_name: name, password: `correct horse ${name} battery`, year: 1990, month: 5 };
}

before(async () => {
  if (program !== null) server = await TestServer.create(program);
});
after(async () => {
  people.forEach((one) => one.stop());
  await server?.remove();
});

test('two people meet, write, and each sees what the other wrote', { skip }, async () => {
  const [anna, ben] = [await person('anna'), await person('ben')];
  await anna.request(ben.me!.handle, 'Hello Ben, this is Anna from the choir.');
  const room = await ben.accept({ handle: anna.me!.handle });
  const first = await ben.hear(room, 'Hello Ben, this is Anna from the choir.');
  assert.equal(first.sender, anna.me!.account_id);
  assert.equal(first.seq, 1);
  await ben.send(room, 'Hello Anna!');
  const answer = await anna.hear(room, 'Hello Anna!');
  assert.equal(answer.mine, false);
  assert.equal(answer.gap_before, 0);
});

test('a person who restarts reads on, and what was written meanwhile arrives', { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kith-person-'));
  const options = { origin: server.origin, folder, packages: { first: 10, refillBelow: 3, full: 10 } };
  const carla = new Person(options);
  people.push(carla);
  await carla.signUp(newPerson('carla'));
  const dave = await person('dave');
  await dave.request(carla.me!.handle, 'Hi Carla');
  const room = await carla.accept({ handle: dave.me!.handle });
  await carla.hear(room, 'Hi Carla');
  carla.stop();
  await dave.send(room, 'while you were away');
  await dave.send(room, 'and one more');
  const again = new Person(options);
  people.push(again);
  assert.equal(await again.start(), 'ready');
  await again.hear(room, 'and one more');
  const rows = await again.messages(room);
  assert.deepEqual(rows.map((row) => row.text), ['Hi Carla', 'while you were away', 'and one more']);
  assert.deepEqual(rows.map((row) => row.gap_before), [0, 0, 0]);
  await again.send(room, 'I am back');
  await dave.hear(room, 'I am back');
  rmSync(folder, { recursive: true, force: true });
});

test('a second device joins by the recovery code, reads new messages, and can be signed out from the first', { skip }, async () => {
  const erin = new Person({ origin: server.origin });
  people.push(erin);
  const who = newPerson('erin');
  const code = await erin.signUp(who);
  const finn = await person('finn');
  await erin.request(finn.me!.handle, 'Hi Finn');
  const room = await finn.accept({ handle: who.handle });
  await finn.hear(room, 'Hi Finn');
  const laptop = new Person({ origin: server.origin });
  people.push(laptop);
  assert.equal(await laptop.signIn(who.handle, who.password), 'needs-recovery');
  await assert.rejects(laptop.call('unlock_identity', { recovery_code: code.replace(/^./, (letter) => (letter === 'A' ? 'B' : 'A')) }));
  await laptop.call('unlock_identity', { recovery_code: code });
  await laptop.eventually(async () => ((await laptop.call('chats', {})).some((chat) => chat.ready && chat.room === room) ? true : null), 'to be in the room');
  await finn.eventually(async () => ((await finn.messages(room)).some((row) => row.kind === 'info') ? true : null), 'the note of a new device');
  await finn.send(room, 'for both devices');
  await Promise.all([erin.hear(room, 'for both devices'), laptop.hear(room, 'for both devices')]);
  await laptop.send(room, 'from the laptop');
  await Promise.all([erin.hear(room, 'from the laptop'), finn.hear(room, 'from the laptop')]);
  const mine = (await erin.messages(room)).find((row) => row.text === 'from the laptop')!;
  assert.equal(mine.mine, true);
  const devices = await erin.call('devices', {});
  const other = devices.find((device) => !device.current)!;
  const began = Date.now();
  const locked = new Promise<void>((resolve) => laptop.on((happening) => {
    if (happening.type === 'phase' && happening.phase === 'signed-out') resolve();
  }));
  await erin.call('remove_device', { id: other.id });
  await locked;
  assert.ok(Date.now() - began < 5000);
  await assert.rejects(laptop.call('chats', {}));
  await finn.send(room, 'after the laptop left');
  await erin.hear(room, 'after the laptop left');
});

test('without the password but with the recovery code a person comes back', { skip }, async () => {
  const gina = new Person({ origin: server.origin });
  people.push(gina);
  const who = newPerson('gina');
  const code = await gina.signUp(who);
  const phone = new Person({ origin: server.origin });
  people.push(phone);
  const { me } = await phone.call('recover', { handle: who.handle, recovery_code: code.toLowerCase(), new_password: 'another long password', device_name: 'Phone' });
  assert.equal(me.account_id, gina.me!.account_id);
  assert.equal(me.device_registered, true);
});

test('a report carries proven messages, of both sides, and deleting the thread does not defeat it', { skip }, async () => {
  const [hana, ivan] = [await person('hana'), await person('ivan')];
  await hana.request(ivan.me!.handle, 'message 1');
  const room = await ivan.accept({ handle: hana.me!.handle });
  await ivan.hear(room, 'message 1');
  for (const n of [2, 3]) await hana.send(room, `message ${n}`);
  await ivan.send(room, 'an answer');
  await ivan.hear(room, 'message 3');
  await ivan.hear(room, 'an answer');
  const rows = await ivan.messages(room);
  const reported = rows.find((row) => row.text === 'message 3')!;
  const preview = await ivan.call('report_preview', { account: hana.me!.account_id, room, message: reported.id });
  assert.ok(preview.rows.every((row) => row.verified));
  assert.equal(preview.rows.at(-1)!.text, 'message 3');
  assert.equal(preview.rows.reduce((sum, row) => sum + row.gap_before, 0), 0);
  const before = await ivan.report(hana.me!.account_id, room, 'other', 'a synthetic report', reported.id);
  assert.equal(before.class, 'FULL');
  await ivan.call('delete_thread', { room });
  assert.deepEqual(await ivan.messages(room), []);
  assert.equal((await ivan.call('chats', {}))[0]!.deleted, true);
  const later = await ivan.call('report_preview', { account: hana.me!.account_id, room });
  assert.equal(later.rows.length, 4);
  assert.equal((await ivan.report(hana.me!.account_id, room, 'other')).class, 'FULL');
  assert.ok((await ivan.call('reports', {})).length >= 1);
  await hana.send(room, 'a new one');
  const fresh = await ivan.hear(room, 'a new one');
  assert.equal(fresh.gap_before, 0);
  assert.equal((await ivan.call('chats', {}))[0]!.deleted, false);
});

test('after a block nothing arrives, and the blocked person is told nothing', { skip }, async () => {
  const [jana, kai] = [await person('jana'), await person('kai')];
  await jana.request(kai.me!.handle, 'Hello');
  const room = await kai.accept({ handle: jana.me!.handle });
  await kai.hear(room, 'Hello');
  await kai.call('block', { account: jana.me!.account_id });
  assert.equal((await kai.call('blocks', {})).length, 1);
  const sent = await jana.send(room, 'are you there');
  await jana.eventually(async () => {
    const row = (await jana.messages(room)).find((one) => one.id === sent.id);
    return row?.delivery === 'failed' ? true : null;
  }, 'the message to fail');
  assert.ok(!(await kai.messages(room)).some((row) => row.text === 'are you there'));
});

test('messages written while the server is down wait and arrive once, in order', { skip }, async () => {
  const [lena, mo] = [await person('lena'), await person('mo')];
  await lena.request(mo.me!.handle, 'Hello');
  const room = await mo.accept({ handle: lena.me!.handle });
  await mo.hear(room, 'Hello');
  await server.stop('SIGKILL');
  const written = [1, 2, 3, 4, 5, 6].map((n) => `offline ${n}`);
  const clock = Date.now;
  const moment = clock();
  Date.now = () => moment; // all in one millisecond, and still in the order in which they were written
  try {
    for (const text of written) await lena.send(room, text);
  } finally {
    Date.now = clock;
  }
  assert.equal((await lena.messages(room)).at(-1)!.delivery, 'waiting');
  await server.start();
  await mo.hear(room, written.at(-1)!, 60_000);
  assert.deepEqual((await mo.messages(room)).map((row) => row.text), ['Hello', ...written]);
  await lena.eventually(async () => ((await lena.messages(room)).every((row) => row.delivery !== 'waiting') ? true : null), 'everything to be sent');
});

test('two people who write first at the same moment end up in one group, and both messages arrive', { skip }, async () => {
  const [nora, otto] = [await person('nora'), await person('otto')];
  await nora.request(otto.me!.handle, '');
  const room = await otto.accept({ handle: nora.me!.handle });
  await nora.chatWith(otto.me!.handle);
  await Promise.all([nora.send(room, 'from nora'), otto.send(room, 'from otto')]);
  await Promise.all([nora.hear(room, 'from otto', 40_000), otto.hear(room, 'from nora', 40_000)]);
});

test('several devices that appear at once all join, and everybody reads everything after', { skip }, async () => {
  const [pia, quin] = [new Person({ origin: server.origin }), new Person({ origin: server.origin })];
  people.push(pia, quin);
  const [piaWho, quinWho] = [newPerson('pia'), newPerson('quin')];
  const [piaCode, quinCode] = [await pia.signUp(piaWho), await quin.signUp(quinWho)];
  await pia.request(quinWho.handle, 'Hello');
  const room = await quin.accept({ handle: piaWho.handle });
  await quin.hear(room, 'Hello');
  const others = [new Person({ origin: server.origin }), new Person({ origin: server.origin }), new Person({ origin: server.origin })];
  people.push(...others);
  await Promise.all([
    others[0]!.signIn(piaWho.handle, piaWho.password, piaCode), others[1]!.signIn(quinWho.handle, quinWho.password, quinCode),
    others[2]!.signIn(piaWho.handle, piaWho.password, piaCode),
  ]);
  await Promise.all(others.map((one) => one.eventually(
    async () => ((await one.call('chats', {})).some((chat) => chat.room === room && chat.ready) ? true : null), 'to join', 60_000)));
  await others[2]!.send(room, 'from the third device');
  await Promise.all([pia, quin, ...others].map((one) => one.hear(room, 'from the third device', 60_000)));
});

test('two tabs of one browser share one connection, both write, and one takes over when the other closes', { skip }, async () => {
  const device = new NodeDevice({ origin: server.origin });
  const [one, two] = [new Person({ origin: server.origin }, device), new Person({ origin: server.origin }, device)];
  people.push(one, two);
  const who = newPerson('rosa');
  await one.signUp(who);
  const sam = await person('sam');
  await one.request(sam.me!.handle, 'Hello');
  const room = await sam.accept({ handle: who.handle });
  await sam.hear(room, 'Hello');
  assert.equal(await two.start(), 'ready');
  await Promise.all([one.send(room, 'from one'), two.send(room, 'from two')]);
  await Promise.all([sam.hear(room, 'from one'), sam.hear(room, 'from two')]);
  await sam.send(room, 'to both');
  await Promise.all([one.hear(room, 'to both'), two.hear(room, 'to both')]);
  one.stop();
  await two.send(room, 'alone now');
  await sam.hear(room, 'alone now');
  await sam.send(room, 'still here');
  await two.hear(room, 'still here');
  assert.deepEqual((await two.messages(room)).map((row) => row.gap_before).filter((gap) => gap > 0), []);
});

test('what arrived while its writer was away is marked delivered when she is back', { skip }, async () => {
  const folders = [0, 1].map(() => mkdtempSync(join(tmpdir(), 'kith-person-')));
  const opened = (n: number): Person => {
    const made = new Person({ origin: server.origin, folder: folders[n]!, packages: { first: 10, refillBelow: 3, full: 10 } });
    people.push(made);
    return made;
  };
  const [vera, walt] = [opened(0), opened(1)];
  await vera.signUp(newPerson('vera'));
  await walt.signUp(newPerson('walt'));
  await vera.request(walt.me!.handle, 'Hello');
  const room = await walt.accept({ handle: vera.me!.handle });
  await walt.hear(room, 'Hello');
  walt.stop();
  await vera.send(room, 'when you are back');
  const state = async (who: Person): Promise<string | null> => (await who.messages(room)).at(-1)!.delivery;
  await vera.eventually(async () => ((await state(vera)) === 'sent' ? true : null), 'sent');
  vera.stop();
  const [back, here] = [opened(1), opened(0)];
  assert.equal(await back.start(), 'ready');
  await back.hear(room, 'when you are back');
  await back.send(room, 'I am'); // behind its own acknowledgement
  await back.eventually(async () => ((await state(back)) === 'sent' ? true : null), 'sent');
  assert.equal(await here.start(), 'ready');
  const marked = async (): Promise<true | null> =>
    ((await here.messages(room)).find((row) => row.text === 'when you are back')!.delivery === 'delivered' ? true : null);
  await here.eventually(marked, 'delivered');
  folders.forEach((folder) => rmSync(folder, { recursive: true, force: true }));
});

test('a message is marked delivered when a device of the other side has it, and reading clears the count', { skip }, async () => {
  const [tara, udo] = [await person('tara'), await person('udo')];
  await tara.request(udo.me!.handle, 'Hello');
  const room = await udo.accept({ handle: tara.me!.handle });
  await udo.hear(room, 'Hello');
  await tara.eventually(async () => ((await tara.messages(room)).some((row) => row.delivery === 'delivered') ? true : null), 'delivered');
  assert.equal((await udo.call('chats', {}))[0]!.unread, 1);
  await udo.call('mark_read', { room });
  assert.equal((await udo.call('chats', {}))[0]!.unread, 0);
  const hello = (await udo.messages(room))[0]!;
  await udo.send(room, 'an answer to that', hello.id);
  const answer = await tara.hear(room, 'an answer to that');
  assert.equal(answer.reply_to?.text, 'Hello');
  assert.equal(answer.reply_to?.mine, true);
});
