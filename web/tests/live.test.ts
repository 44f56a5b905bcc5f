import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Person, type NewPerson } from '../src/town/person';
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
