/**
 * Synthetic people for programs in other languages: one JSON command per line in, answers and happenings out.
 *
 * In:  {"id": 1, "person": "anna", "op": "open", "args": {"origin": "http://…", "folder": "…"}}
 *      {"id": 2, "person": "anna", "op": "sign_up_person", "args": {"handle": …, "display_name": …, "password": …, "year": 1990, "month": 4}}
 *      {"id": 3, "person": "anna", "op": <any operation of engine/contract.ts>, "args": {…}}
 *      also: "start", "sign_in_person" {handle, password, recovery_code?}, "accept_from" {handle}, "hear" {room, text, wait_ms?}, "sees" {room, id, wanted: fields of a message, wait_ms?}, "close",
 *      "send_file" {room, path, text?, about?: kind, name, type, alt, width, height, duration_ms}, "save_file" {room, message, part, path}
 * Out: {"id": 1, "result": …} or {"id": 1, "error": {"code", "message"}}
 *      {"person": "anna", "happening": {…}} and {"person": "anna", "message": {…}} as they come
 */
import { createInterface } from 'node:readline';
import type { Args, Message, Op, Outgoing } from '../engine/contract';
import { Problem } from '../engine/errors';
import { errorOf } from '../engine/rpc';
import { Person, type NewPerson, type PersonOptions } from './person';

interface Command { id: number; person: string; op: string; args?: Record<string, unknown> }

const people = new Map<string, Person>();
const say = (line: unknown): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

function open(name: string, options: PersonOptions): null {
  people.get(name)?.stop();
  const person = new Person(options);
  people.set(name, person);
  person.on((happening) => say({ person: name, happening }));
  person.onMessage((message) => say({ person: name, message }));
  return null;
}

function need(name: string): Person {
  const person = people.get(name);
  if (!person) throw new Problem('not_found', `Open ${name} first.`);
  return person;
}

async function run({ person: name, op, args = {} }: Command): Promise<unknown> {
  if (op === 'open') return open(name, args as unknown as PersonOptions);
  const person = need(name);
  switch (op) {
    case 'sign_up_person': return { recovery_code: await person.signUp(args as unknown as NewPerson), me: person.me };
    case 'sign_in_person': {
      const { handle, password, recovery_code } = args as { handle: string; password: string; recovery_code?: string };
      return { phase: await person.signIn(handle, password, recovery_code), me: person.me };
    }
    case 'accept_from': return { room: await person.accept(args as { handle: string }) };
    case 'hear': {
      const { room, text, wait_ms } = args as { room: string; text: string; wait_ms?: number };
      return person.hear(room, text, wait_ms);
    }
    case 'send_file': {
      const { room, path, text, about } = args as { room: string; path: string; text?: string; about?: Partial<Outgoing> };
      return person.sendFile(room, path, about, text);
    }
    case 'save_file': {
      const { room, message, part, path } = args as { room: string; message: string; part: number; path: string };
      return person.saveFile(room, message, part, path);
    }
    case 'sees': {
      const { room, id, wanted, wait_ms } = args as { room: string; id: string; wanted: Partial<Message>; wait_ms?: number };
      return person.sees(room, id, wanted, wait_ms);
    }
    case 'close':
      person.stop();
      people.delete(name);
      return null;
    default: return person.call(op as Op, args as Args<Op>);
  }
}

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  if (line.trim() === '') return;
  let command: Command;
  try {
    command = JSON.parse(line) as Command;
  } catch {
    say({ id: null, error: { code: 'invalid', message: 'That line is not JSON.' } });
    return;
  }
  run(command).then(
    (result) => say({ id: command.id, result: result ?? null }),
    (error: unknown) => say({ id: command.id, error: error instanceof Problem ? errorOf(error) : { code: 'bug', message: String(error) } }),
  );
});
lines.on('close', () => {
  people.forEach((person) => person.stop());
});
