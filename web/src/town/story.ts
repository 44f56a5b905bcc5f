/**
 * What happens in town before anybody looks: neighbours meet, a seller writes to everybody, two true reports.
 * Every step is done once and remembered; a step that was cut short is begun again and finds what is there.
 */
import type { Measure } from '../engine/contract';
import { until, type Resident } from './resident';

/** Those whom the demo prints with their passwords; their first device is a visitor's browser. */
export const PRINTED = ['mira', 'noor'] as const;

export interface Step { id: string; happens: (town: Town) => Promise<void> }
export interface Town {
  /** by handle */
  resident(handle: string): Resident;
  /** Tells the house that somebody printed is expected to say yes to somebody. */
  expect(asker: string, asked: string): void;
}

interface Meeting { one: string; other: string; hello: string; answer: string }

const MEETINGS: readonly Meeting[] = [
  { one: 'tomas', other: 'ines', hello: 'Ines, have you seen my ladder?', answer: 'Define “seen”.' },
  { one: 'luca', other: 'tomas', hello: 'Rehearsal is out of pretzels. This is an emergency.', answer: 'Say no more. Forty, salted, by eight.' },
  { one: 'greta', other: 'ines', hello: 'The library would like its trowel back.', answer: 'The garden would like three more days.' },
  { one: 'lina', other: 'jonas', hello: 'Did you really call the band “Untitled Spoon”?', answer: 'It’s a working title. And a working spoon.' },
];

const NEIGHBOURS: readonly { handle: string; whom: (typeof PRINTED)[number]; hello: string }[] = [
  { handle: 'tomas', whom: 'mira', hello: 'Morning, Mira! The rye is just out of the oven. Shall I keep one for you?' },
  { handle: 'ines', whom: 'mira', hello: 'Mira, emergency: forty courgettes and no plan. Are you coming to the garden on Saturday?' },
  { handle: 'jonas', whom: 'noor', hello: 'noor!! band practice at four, we need somebody who can count to four' },
  { handle: 'lina', whom: 'noor', hello: 'Film club on Friday: the one with the goose. Are you in?' },
];

const FAMILY = { handle: 'emil', whom: 'noor', hello: 'Dear Noor, this is your grandfather. I found the send button. It is your turn at chess.' } as const;

const DECLINERS = ['tomas', 'ines', 'emil', 'otto', 'pia', 'samir', 'hedda', 'ruth', 'yara', 'luca'] as const;
const PITCH = 'Good day, dear neighbour! Garden gnomes, hand-painted, nine each. Shall I put one aside for you?';

async function meet(town: Town, { one, other, hello, answer }: Meeting): Promise<void> {
  const [asker, asked] = [town.resident(one), town.resident(other)];
  await asker.ask(other, hello);
  await asked.accept(one);
  await asked.reads(one, 1);
  await asked.write(one, answer);
}

async function greetNeighbour(town: Town, { handle, whom, hello }: (typeof NEIGHBOURS)[number]): Promise<void> {
  const resident = town.resident(handle);
  await resident.ask(whom, hello);
  town.expect(handle, whom);
  await until(`${whom} accepts ${handle}`, () => resident.chatWith(whom));
}

/** The other way round: she asks her grandfather, since adults cannot ask her. */
async function greetFamily(town: Town): Promise<void> {
  town.expect(FAMILY.whom, FAMILY.handle);
  const emil = town.resident(FAMILY.handle);
  await emil.accept(FAMILY.whom);
  await emil.write(FAMILY.whom, FAMILY.hello);
}

/** One yes, ten times no, one who has not looked yet, and one whom no adult can reach. */
async function sell(town: Town): Promise<void> {
  const bruno = town.resident('bruno');
  for (const handle of ['greta', ...DECLINERS, 'mira', 'noor']) await bruno.ask(handle, PITCH);
  await town.resident('greta').accept('bruno');
  for (const handle of DECLINERS) await town.resident(handle).decline('bruno');
}

async function limited(bruno: Resident): Promise<Measure> {
  return until('the rule limits the seller', async () => (await bruno.call('me', {})).standing.measures[0] ?? null);
}

async function notice(town: Town): Promise<void> {
  const bruno = town.resident('bruno');
  const measure = await limited(bruno);
  if (measure.appeal === null) {
    const text = 'I only wanted everybody to know about the gnomes. I will ask fewer people from now on.';
    await bruno.call('appeal', { measure: measure.id, text });
  }
}

async function reportSeller(town: Town): Promise<void> {
  const [bruno, greta] = [town.resident('bruno'), town.resident('greta')];
  await greta.reads('bruno', 1);
  await bruno.write('greta', 'Only today: three gnomes for twenty-five. Pay me before noon and I add a wheelbarrow. Shall I send my account number?');
  const chat = await greta.reads('bruno', 2);
  const note = 'He writes to the whole street and wants money in advance. He asked at the library desk as well.';
  await greta.call('report', { account: chat.account, room: chat.room, category: 'scam', minor_involved: false, note });
}

/** A benign stand-in for what child-safety staff look at: an adult asks a 16-year-old for her phone number. */
async function reportForChild(town: Town): Promise<void> {
  const [lina, vince] = [town.resident('lina'), town.resident('vince')];
  await lina.ask('vince', 'Hello, is the blue bike in your window still for sale?');
  await vince.accept('lina');
  await vince.reads('lina', 1);
  await vince.write('lina', 'It is! What is your phone number? I would rather not write here.');
  await lina.reads('vince', 1);
  await lina.write('vince', 'I would rather come by with my mother.');
  await vince.reads('lina', 2);
  await vince.write('lina', 'Just send me your number, then I tell you when the shop is empty.');
  const chat = await lina.reads('vince', 2);
  const note = 'I am 16. I only asked about a bike, and he keeps asking for my phone number.';
  await lina.call('report', { account: chat.account, room: chat.room, category: 'other', minor_involved: true, note });
}

export const STORY: readonly Step[] = [
  ...NEIGHBOURS.map((neighbour) => ({ id: `${neighbour.handle}-${neighbour.whom}`, happens: (town: Town) => greetNeighbour(town, neighbour) })),
  { id: 'emil-noor', happens: greetFamily },
  ...MEETINGS.map((meeting) => ({ id: `${meeting.one}-${meeting.other}`, happens: (town: Town) => meet(town, meeting) })),
  { id: 'luca-asks-mira', happens: (town) => town.resident('luca').ask('mira', 'Hi Mira, Tomas says you can sing. The choir needs altos, Tuesdays at eight.') },
  { id: 'bruno-sells', happens: sell },
  { id: 'bruno-is-limited', happens: notice },
  { id: 'greta-reports', happens: reportSeller },
  { id: 'lina-reports', happens: reportForChild },
];
