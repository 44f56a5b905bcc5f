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

/**
 * The words a townsperson has not answered yet: those after her own last message. Empty when it is not her turn,
 * so that what was read once is never answered twice, also after a restart.
 */
export function unanswered(messages: readonly Row[]): string {
  const said = messages.filter((message) => message.kind === 'text');
  const last = said.map((message) => message.mine).lastIndexOf(true);
  return said.slice(last + 1).map((message) => message.text).join('\n');
}

/** Whether the newest thing in the chat is that the other person set Kith up again. */
export function isBack(messages: readonly Row[]): boolean {
  const last = messages.at(-1);
  return last?.kind === 'info' && /set up Kith again/.test(last.text);
}

/** What a townsperson writes next in a chat with somebody from outside; null when it is not her turn. */
export function nextWords(person: Townsperson, messages: readonly Row[]): string | null {
  const words = unanswered(messages);
  if (isBack(messages)) return WELCOME_BACK;
  if (words === '') return null;
  return answerTo(person, words, messages.filter((message) => message.mine && message.kind === 'text').length);
}
