/** What a townsperson writes, and when. Pure. */
import { EVERYBODY, type Townsperson } from './townspeople';

/** The answer to what somebody wrote; `turn` = how many messages this person has written in the chat so far. */
export function answerTo(person: Townsperson, text: string, turn: number): string {
  const topic = [...person.topics, ...EVERYBODY].find(({ about }) => about.test(text));
  return topic?.says ?? person.otherwise[turn % person.otherwise.length]!;
}

const FIRST_MS = 1_000;
const LONGEST_MS = 3_500;
const PER_CHARACTER_MS = 35;

/** How long somebody types: 1 to 4 seconds. `chance` is between 0 and 1. */
export function typingMs(text: string, chance: number): number {
  return Math.min(LONGEST_MS, FIRST_MS + text.length * PER_CHARACTER_MS + chance * 500);
}

interface Row { mine: boolean; kind: string; text: string }

const WELCOME_BACK = 'You’re back, on something new! Our old messages stayed on the old one. Where were we?';

/** What came after a townsperson's own last message, so that nothing is answered twice, also after a restart. */
function since<R extends Row>(messages: readonly R[]): R[] {
  return messages.slice(messages.map((message) => message.mine).lastIndexOf(true) + 1);
}

/** The words she has not answered yet. */
export function unanswered(messages: readonly Row[]): string {
  return since(messages).filter((message) => message.kind === 'text').map((message) => message.text).join('\n');
}

/** Whether the other person set Kith up again since. */
export function isBack(messages: readonly Row[]): boolean {
  return since(messages).some((message) => message.kind === 'info' && message.text.includes('set up Kith again'));
}

/** What a townsperson writes next in a chat with somebody from outside; null when it is not her turn. */
export function nextWords(person: Townsperson, messages: readonly Row[]): string | null {
  const words = unanswered(messages);
  if (words !== '') return answerTo(person, words, messages.filter((message) => message.mine).length);
  return isBack(messages) ? WELCOME_BACK : null;
}
