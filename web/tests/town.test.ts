/** The town's manners: who answers what, once, in time, and without a word that the wording rules ban. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answerTo, nextWords, typingMs, unanswered } from '../src/town/answers';
import { HANDLES, TOWNSPEOPLE, EVERYBODY } from '../src/town/townspeople';

const tomas = TOWNSPEOPLE.find((person) => person.handle === 'tomas')!;
const theirs = (text: string) => ({ mine: false, kind: 'text', text });
const mine = (text: string) => ({ mine: true, kind: 'text', text });
const info = (text: string) => ({ mine: false, kind: 'info', text });

test('a townsperson answers what she was told, and a topic of her own comes first', () => {
  assert.match(answerTo(tomas, 'Hello! Is there any bread?', 0), /Rye/);
  assert.match(answerTo(tomas, 'hello', 0), /Hello/);
});

test('nothing is answered twice, and after an answer it is not her turn', () => {
  assert.equal(nextWords(tomas, [theirs('hi'), mine('Hello!')]), null);
  assert.equal(nextWords(tomas, []), null);
  assert.equal(unanswered([theirs('a'), mine('b'), theirs('c'), theirs('d')]), 'c\nd');
});

test('somebody who set Kith up again is welcomed back once, whatever else the chat says', () => {
  const back = [mine('Morning!'), info('Mira set up Kith again, with new keys.'), info('They joined on another device.')];
  const words = nextWords(tomas, back);
  assert.match(words ?? '', /back/);
  assert.equal(nextWords(tomas, [...back, mine(words!)]), null);
});

test('other lines that the chat says need no answer', () => {
  assert.equal(nextWords(tomas, [mine('Morning!'), info('They joined this chat on another device.')]), null);
});

test('answers take between one and four seconds', () => {
  for (const chance of [0, 0.5, 1]) {
    for (const text of ['', 'a'.repeat(20), 'a'.repeat(500)]) {
      assert.ok(typingMs(text, chance) >= 1000 && typingMs(text, chance) <= 4000);
    }
  }
});

test('what is said otherwise goes round', () => {
  const said = [0, 1, 2, 3].map((turn) => answerTo(tomas, 'xyzzy', turn));
  assert.equal(new Set(said.slice(0, 3)).size, 3);
  assert.equal(said[3], said[0]);
});

test('everybody in town has a handle of their own, something to say, and an age that may sign up', () => {
  assert.equal(HANDLES.size, TOWNSPEOPLE.length);
  for (const person of TOWNSPEOPLE) {
    assert.match(person.handle, /^[a-z]{3,30}$/);
    assert.ok(person.age >= 15 && person.otherwise.length > 0 && person.welcome !== '');
  }
});

test('no line of the town is longer than a person would type', () => {
  const lines = TOWNSPEOPLE.flatMap((person) => [...person.otherwise, person.welcome, ...person.topics.map((topic) => topic.says)]);
  for (const line of [...lines, ...EVERYBODY.map((topic) => topic.says)]) assert.ok(line.length <= 140, line);
});
