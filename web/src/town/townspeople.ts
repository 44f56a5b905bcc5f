/** Who lives in the demo's town. All of them are made up; so is everything they say. */

/** What somebody says about a subject: the first line whose pattern fits. */
export interface Topic { about: RegExp; says: string }

export interface Townsperson {
  handle: string;
  name: string;
  /** years at sign-up */
  age: number;
  topics: readonly Topic[];
  /** for everything else, in turn */
  otherwise: readonly string[];
  /** to a stranger whose request this person accepts */
  welcome: string;
}

/** What anybody in town knows. Looked at after a person's own topics. */
export const EVERYBODY: readonly Topic[] = [
  { about: /\b(thanks|thank you|thx)\b/i, says: 'Any time.' },
  { about: /\b(bye|good night|see you)\b/i, says: 'See you! I’ll be around.' },
  { about: /\b(real|robot|bot|human|synthetic)\b/i, says: 'I’m one of the demo’s made-up people. The encryption between us is real, though.' },
  { about: /\b(report|block)\b/i, says: 'Tap the shield at the top of any chat. Nobody is told.' },
  { about: /\bhow are you|how’s it going|how's it going|what’s up|what's up/i, says: 'Good, thank you! Quiet day in town. And you?' },
  { about: /^(hi|hello|hey|good (morning|evening)|moin|hallo)\b/i, says: 'Hello! Good to hear from you.' },
];

const QUIET = {
  topics: [],
  otherwise: ['I see!', 'Tell me more.', 'Ha, that’s so this town.'],
  welcome: 'Hello! I don’t think we’ve met. Welcome to town.',
} as const;

export const TOWNSPEOPLE: readonly Townsperson[] = [
  {
    handle: 'tomas', name: 'Tomas Weber', age: 41,
    topics: [
      { about: /\b(bread|loaf|bakery|bake|roll|pretzel)/i, says: 'Rye is out of the oven at seven. I’ll put one aside with your name on it.' },
      { about: /\b(cake|plum|pie)/i, says: 'Plum cake, Saturday. The secret is too much butter.' },
      { about: /\b(ladder)\b/i, says: 'My ladder? It’s at Ines’s. It has lived there since spring.' },
    ],
    otherwise: ['I’ll think about that while the dough rests.', 'Mhm. My cat agrees.', 'Say that again slowly, I have flour in my ears.'],
    welcome: 'Hello! Tomas from the bakery. Do you like rye?',
  },
  {
    handle: 'ines', name: 'Ines Duarte', age: 35,
    topics: [
      { about: /\b(garden|tomato|courgette|zucchini|plant)/i, says: 'The courgettes have won. Please take three. Please take seven.' },
      { about: /\b(ladder)\b/i, says: 'Which ladder? I know of no ladder.' },
      { about: /\b(weather|rain|sun)/i, says: 'Rain on Thursday, says the frog in our rain barrel.' },
    ],
    otherwise: ['Come by the garden and tell me in person.', 'That made my day. It was a short list.', 'Noted, right under “return ladder”.'],
    welcome: 'Hi there! I run the community garden. Can I interest you in a courgette?',
  },
  {
    handle: 'emil', name: 'Grandpa Emil', age: 71,
    topics: [
      { about: /\b(chess|bishop|knight|rook|queen|pawn|checkmate|[a-h][1-8])\b/i, says: 'I moved my bishop on Sunday. It is still your turn.' },
      { about: /\b(school|test|homework|math)/i, says: 'I was bad at fractions too. One day they stop asking.' },
      { about: /\b(phone|tablet|computer)\b/i, says: 'I found the letters with the little dots on top. I am unstoppable now.' },
    ],
    otherwise: ['Very good. I am typing with one finger, give me time.', 'Your grandmother says hello.', 'I had to put my glasses on for that one. Worth it.'],
    welcome: 'Good day. I am Emil. Do you play chess?',
  },
  {
    handle: 'jonas', name: 'Jonas', age: 15,
    topics: [
      { about: /\b(band|drum|practice|song)/i, says: 'Practice is at four. We still have one song and three names for the band.' },
      { about: /\b(math|homework|test|school)/i, says: 'I got x = 7. Or 19. Definitely a number.' },
    ],
    otherwise: ['lol', 'ok but imagine that with a drum solo', 'I’m telling the band'],
    welcome: 'hey! do you play an instrument? any instrument? triangle counts',
  },
  {
    handle: 'lina', name: 'Lina', age: 16,
    topics: [
      { about: /\b(bike|bicycle)\b/i, says: 'Still looking for one. Blue would be nice.' },
      { about: /\b(film|movie|cinema)/i, says: 'Friday, the one with the goose. Everybody says it’s about grief.' },
    ],
    otherwise: ['haha yes', 'wait, tell me at school', 'I can hear you saying that'],
    welcome: 'Hi! Have we met? I’m in the film club.',
  },
  {
    handle: 'bruno', name: 'Bruno’s Bargains', age: 38,
    topics: [
      { about: /\b(price|cost|much|euro)/i, says: 'Nine each, three for twenty-five. The one with the fishing rod is extra.' },
      { about: /\b(no|stop|not interested)\b/i, says: 'Understood! The gnomes will miss you.' },
    ],
    otherwise: ['A fine question. Have you considered a gnome?', 'They come hand-painted. Mostly.', 'Free delivery within the town wall!'],
    welcome: 'Welcome! Garden gnomes, hand-painted, from nine a piece.',
  },
  {
    handle: 'greta', name: 'Greta', age: 52, topics: [
      { about: /\b(gnome|bruno)/i, says: 'Don’t get me started on the gnomes.' },
    ],
    otherwise: ['Hm.', 'I’ll write that on the blackboard in the library.', 'Quite so.'],
    welcome: 'Good day, this is Greta from the library. Quiet, please, but do go on.',
  },
  {
    handle: 'vince', name: 'Vince Bikes', age: 29, topics: [
      { about: /\b(bike|bicycle)/i, says: 'The blue one is still here. Come by the shop with somebody, test rides are free.' },
    ],
    otherwise: ['Sure.', 'Shop’s open till six.', 'Ring the bell twice, I’m in the back.'],
    welcome: 'Hi, Vince from the bike shop.',
  },
  { handle: 'otto', name: 'Otto', age: 63, ...QUIET },
  { handle: 'pia', name: 'Pia', age: 24, ...QUIET },
  { handle: 'samir', name: 'Samir', age: 33, ...QUIET },
  { handle: 'hedda', name: 'Hedda', age: 47, ...QUIET },
  { handle: 'ruth', name: 'Ruth', age: 58, ...QUIET },
  { handle: 'yara', name: 'Yara', age: 31, ...QUIET },
  {
    handle: 'luca', name: 'Luca Conti', age: 27, topics: [
      { about: /\b(choir|sing|song|tenor|alto)/i, says: 'Tuesdays at eight. We need altos, and somebody who can count to four.' },
    ],
    otherwise: ['I’ll hum on it.', 'In which key?', 'Lovely. Mezzo-lovely.'],
    welcome: 'Hi! Luca, from the choir. Do you sing? Everybody says no at first.',
  },
];

export const HANDLES: ReadonlySet<string> = new Set(TOWNSPEOPLE.map((person) => person.handle));
