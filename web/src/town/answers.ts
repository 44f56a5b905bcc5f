/** What a townsperson writes, and when. Pure. */
import { EVERYBODY, type Townsperson } from './townspeople';

/** The answer to what somebody wrote; `turn` = how many messages this person has written in the chat so far. */
export function answerTo(person: Townsperson, text: string, turn: number): string {
  const topic = [...person.topics, ...EVERYBODY].find(({ about }) => about.test(text));
  return topic?.says ?? person.otherwise[turn % person.otherwise.length]!;
}

const FIRST_MS = 1_000;
const LONGEST_MS = 4_000;
const PER_CHARACTER_MS = 35;

/** How long somebody types: 1 to 4 seconds. `chance` is between 0 and 1. */
export function typingMs(text: string, chance: number): number {
  return Math.min(LONGEST_MS, FIRST_MS + text.length * PER_CHARACTER_MS + chance * 500);
}

interface Row { mine: boolean; kind: string; text: string }

/**
 * The words a townsperson has not answered yet: those after her own last message. Empty when it is not her turn,
 * so that what was read once is never answered twice, also after a restart.
 */
export function unanswered(messages: readonly Row[]): string {
  const said = messages.filter((message) => message.kind === 'text');
  const last = said.map((message) => message.mine).lastIndexOf(true);
  return said.slice(last + 1).map((message) => message.text).join('\n');
}
