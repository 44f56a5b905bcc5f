import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Person } from '../src/person/person';
import { serverProgram, TestServer } from './server';

const program = serverProgram();
const skip = program === null ? 'there is no kith program here (set KITH_BIN)' : false;
let server: TestServer;
const people: Person[] = [];
let count = 0;

async function person(name: string): Promise<Person> {
  const one = new Person({ origin: server.origin, packages: { first: 10, refillBelow: 3, full: 10 } });
  people.push(one);
  const handle = `${name}.g${++count}`;
  await one.signUp({ handle, display_name: name, password: `correct horse ${name} battery`, year: 1990, month: 5 });
  return one;
}

before(async () => {
  if (program !== null) server = await TestServer.create(program);
});
after(async () => {
  people.forEach((one) => one.stop());
  await server?.remove();
});

/** Waits until `look` gives something; what it throws on the way is "not yet". */
async function eventually<T>(look: () => Promise<T | null | undefined | false>, what: string): Promise<T> {
  for (let n = 0; n < 200; n++) {
    const found = await look();
    if (found) return found;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error(`waited for ${what}`);
}

const chatOf = async (who: Person, room: string) => (await who.call('chats', {})).find((chat) => chat.room === room);
const ready = (who: Person, room: string) => eventually(async () => (await chatOf(who, room))?.ready, 'the group to be ready');
const account = (who: Person): string => who.me!.account_id;

async function invited(room: string, by: Person, whom: Person): Promise<void> {
  await by.call('invite_to_group', { room, handle: whom.me!.handle });
  const invitation = await eventually(
    async () => (await whom.call('group_invitations', {})).received.find((one) => one.room === room), 'the invitation',
  );
  assert.equal(invitation.inviter.handle, by.me!.handle);
  assert.deepEqual(await whom.call('accept_group', { invitation: invitation.invitation }), { room });
  await ready(whom, room);
}

const rows = async (who: Person, room: string): Promise<string[]> =>
  (await who.messages(room)).map((row) => (row.kind === 'info' ? `(${row.text})` : `${row.sender_name}: ${row.text}`));

test('three people make a group, each says something, and everybody reads it under the right name', { skip }, async () => {
  const [ann, ben, cem] = [await person('Ann'), await person('Ben'), await person('Cem')];
  const { room } = await ann.call('create_group', { name: 'Choir', description: 'Thursdays' });
  await ready(ann, room);
  await invited(room, ann, ben);
  await invited(room, ann, cem);
  await ann.send(room, 'from Ann');
  for (const who of [ben, cem]) await who.hear(room, 'from Ann');
  await ben.send(room, 'from Ben');
  for (const who of [ann, cem]) await who.hear(room, 'from Ben');
  await cem.send(room, 'from Cem');
  for (const who of [ann, ben]) await who.hear(room, 'from Cem');
  assert.deepEqual(await rows(ann, room), ['(Ben joined.)', '(Cem joined.)', ': from Ann', 'Ben: from Ben', 'Cem: from Cem']);
  assert.deepEqual(await rows(cem, room), ['Ann: from Ann', 'Ben: from Ben', ': from Cem']);
  const chat = (await chatOf(cem, room))!;
  assert.deepEqual([chat.kind, chat.group!.name, chat.group!.role, chat.people.length], ['group', 'Choir', 'member', 3]);
});

test('who leaves or is removed hears nothing more, and the others go on', { skip }, async () => {
  const [ann, ben, cem] = [await person('Ann'), await person('Ben'), await person('Cem')];
  const { room } = await ann.call('create_group', { name: 'Hall', description: '' });
  for (const who of [ben, cem]) await invited(room, ann, who);
  await ben.call('leave_group', { room });
  await eventually(async () => (await rows(cem, room)).includes('(Ben is no longer in this group.)'), 'the note about Ben');
  await ann.send(room, 'Ben is gone');
  await cem.hear(room, 'Ben is gone');
  assert.equal((await chatOf(ben, room))!.group!.left, true);
  await ann.call('remove_member', { room, account: account(cem) });
  await eventually(async () => (await chatOf(cem, room))?.group?.left, 'Cem to know');
  await eventually(async () => (await rows(ann, room)).includes('(Cem is no longer in this group.)'), 'the note about Cem');
  await ann.send(room, 'alone');
  await eventually(async () => (await ann.messages(room)).at(-1)?.delivery === 'sent', 'the message to be sent');
  for (const who of [ben, cem]) assert.ok(!(await rows(who, room)).some((row) => row.includes('alone')));
  await invited(room, ann, cem); // removed is not banned
  await ann.send(room, 'welcome back');
  await cem.hear(room, 'welcome back');
  assert.ok(!(await rows(cem, room)).some((row) => row.includes('alone')));
});

test('a link leads to facts, then to an admin who lets in; a banned person finds no door', { skip }, async () => {
  const [ann, dan] = [await person('Ann'), await person('Dan')];
  const { room } = await ann.call('create_group', { name: 'Reading', description: 'Short books' });
  await ann.call('edit_group', { room, approval: true });
  const { link } = await ann.call('make_group_link', { room });
  const token = link.split('#/g/')[1]!;
  const facts = await dan.call('look_at_group_link', { token });
  assert.deepEqual([facts.name, facts.members, facts.known, facts.approval], ['Reading', 1, 0, true]);
  assert.equal((await dan.call('join_by_group_link', { token })).state, 'asked');
  assert.equal(await chatOf(dan, room), undefined);
  const [joiner] = await ann.call('group_joiners', { room });
  assert.equal(joiner!.account, account(dan));
  await ann.call('set_role', { room, account: account(dan), role: 'member' });
  await ready(dan, room);
  await dan.send(room, 'hello readers');
  await ann.hear(room, 'hello readers');
  await ann.call('ban_member', { room, account: account(dan) });
  await eventually(async () => (await chatOf(dan, room))?.group?.left, 'Dan to know');
  await assert.rejects(dan.call('look_at_group_link', { token }), { code: 'not_found' });
  await assert.rejects(dan.call('join_by_group_link', { token }), { code: 'not_found' });
});

test('a second device of a member is added by whoever is there, and reads what follows', { skip }, async () => {
  const [ann, ben] = [await person('Ann'), await person('Ben')];
  const { room } = await ann.call('create_group', { name: 'Garden', description: '' });
  await invited(room, ann, ben);
  const second = new Person({ origin: server.origin });
  people.push(second);
  const { handle, display_name } = ben.me!;
  const code = (await ben.call('reset_identity', {})).recovery_code;
  assert.equal(await second.signIn(handle, `correct horse ${display_name} battery`, code), 'ready');
  await ready(second, room);
  await ready(ben, room);
  await eventually(async () => {
    await ann.send(room, 'for both devices');
    return (await rows(second, room)).includes('Ann: for both devices');
  }, 'the second device to read');
  await ben.hear(room, 'for both devices');
});

test('a report from a group carries the words of the reported person and one\'s own, proven', { skip }, async () => {
  const [ann, ben, cem] = [await person('Ann'), await person('Ben'), await person('Cem')];
  const { room } = await ann.call('create_group', { name: 'Team', description: '' });
  for (const who of [ben, cem]) await invited(room, ann, who);
  await ben.send(room, 'buy this now');
  await cem.hear(room, 'buy this now');
  await ann.hear(room, 'buy this now');
  await cem.send(room, 'no thanks');
  await ann.send(room, 'somebody else');
  await cem.hear(room, 'somebody else');
  const preview = await cem.call('report_preview', { account: account(ben), room });
  assert.deepEqual(preview.rows.map((row) => [row.text, row.verified]), [['buy this now', true], ['no thanks', true]]);
  const report = await cem.call('report', { account: account(ben), room, category: 'scam', minor_involved: false, note: '' });
  assert.equal(report.class, 'FULL');
});

test('who is restricted counts as unread nowhere, on every device of mine, and nobody of that group is told what I read', { skip }, async () => {
  const [ann, ben, cem] = [await person('Ann'), await person('Ben'), await person('Cem')];
  const { room } = await ann.call('create_group', { name: 'Orchestra', description: '' });
  for (const who of [ben, cem]) await invited(room, ann, who);
  const second = new Person({ origin: server.origin });
  people.push(second);
  const { handle, display_name } = ben.me!;
  const code = (await ben.call('reset_identity', {})).recovery_code;
  assert.equal(await second.signIn(handle, `correct horse ${display_name} battery`, code), 'ready');
  await ready(second, room);
  await ben.call('restrict', { account: account(cem) });
  await eventually(async () => (await chatOf(second, room))?.restricted.includes(account(cem)), 'the other device to know');
  await eventually(async () => {
    await cem.send(room, 'loud');
    return (await rows(second, room)).includes('Cem: loud');
  }, 'the other device to read');
  await ben.hear(room, 'loud');
  for (const device of [ben, second]) {
    const chat = (await chatOf(device, room))!;
    assert.deepEqual([chat.unread, chat.unread_from !== null], [0, true]);
  }
  await ann.send(room, 'soft');
  await ben.hear(room, 'soft');
  assert.equal((await chatOf(ben, room))!.unread, 1);
  await ben.call('mark_read', { room });
  await ben.call('typing', { room });
  await ben.send(room, 'an answer');
  await ann.hear(room, 'an answer'); // behind all that he could have told
  await cem.hear(room, 'an answer');
  assert.deepEqual((await ann.messages(room)).filter(({ read_by }) => read_by > 0), []);
  assert.deepEqual((await cem.messages(room)).filter(({ read_by }) => read_by > 0), []);
  await cem.call('mark_read', { room });
  await ann.sees(room, (await ann.hear(room, 'soft')).id, { read_by: 1 }); // the control: others tell as ever
  await second.call('unrestrict', { account: account(cem) });
  await eventually(async () => (await chatOf(ben, room))?.restricted.length === 0, 'it to be lifted');
  await cem.send(room, 'after');
  await ben.hear(room, 'after');
  await ben.call('mark_read', { room });
  await cem.sees(room, (await cem.hear(room, 'after')).id, { read_by: 1 });
});
