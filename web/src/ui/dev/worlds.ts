/** The synthetic people and states that the scripted engine can play. Nobody here is real; every word is benign. */
import type {
  Chat, FileView, GroupInvitation, GroupRole, Me, Measure, Message, Notice, ReceivedRequest, SentReport, SentRequest,
} from '../../engine/contract';

export const WORLDS = [
  'signed-out', 'adult', 'teen', 'empty', 'restricted', 'suspended', 'offline', 'locked', 'removed', 'unsupported',
  'insecure', 'needs-identity', 'needs-recovery', 'failing', 'slow', 'starting', 'long', 'alarmed',
] as const;
export type WorldName = (typeof WORLDS)[number];
export const isWorld = (name: string): name is WorldName => WORLDS.some((world) => world === name);

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

const uuid = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
export const MY_ACCOUNT = uuid(1);
export const RECOVERY_CODE = 'K7QF-2M9X-TD4W-8HRZ-PA3N-V6EB-51YC-GJ0S-7P';

const OPEN = { can_start_conversations: true, can_send: true, measures: [], history: [] };

export function limitedBy(now: number): Measure {
  return {
    id: uuid(900), what: 'no_new_conversations', rule: 'first-contacts-unanswered',
    because: 'Your account sent 40 requests in one day, and 37 were declined or blocked.',
    since_ms: now - 2 * DAY, until_ms: now + 5 * DAY, limit: null, appeal: null, appeal_until_ms: now + 18 * DAY, reversed_ms: null,
  };
}

export function suspendedBy(now: number): Measure {
  return {
    ...limitedBy(now), id: uuid(901), what: 'suspended', rule: 'respect',
    because: 'A reviewer looked at messages that were reported to us and decided that they break this standard.',
    since_ms: now - DAY, until_ms: now + 6 * DAY, appeal: 'open',
  };
}

function earlier(now: number): Measure {
  return {
    ...limitedBy(now), id: uuid(902), what: 'daily_limit', limit: 5, since_ms: now - 60 * DAY, until_ms: now - 53 * DAY,
    appeal: 'overturned', reversed_ms: now - 55 * DAY,
  };
}

export function me(world: WorldName, now: number): Me {
  const teen = world === 'teen';
  const person: Me = {
    account_id: MY_ACCOUNT, device_id: uuid(2), handle: teen ? 'noa.s' : 'robin', display_name: teen ? 'Noa' : 'Robin Field',
    band: teen ? '13-15' : '18+', joined_ms: now - 90 * DAY, server_name: 'kith.localhost', has_identity: true,
    device_registered: true, controls: { requests: 'everyone', read_receipts: !teen, typing: !teen }, terms_version: '1', standing: OPEN,
    protections: teen ? protections(now) : [],
  };
  if (world === 'restricted') {
    return { ...person, standing: { ...OPEN, can_start_conversations: false, measures: [limitedBy(now)], history: [earlier(now)] } };
  }
  if (world === 'suspended') {
    return { ...person, standing: { can_start_conversations: false, can_send: false, measures: [suspendedBy(now)], history: [] } };
  }
  return person;
}

const protections = (now: number) => {
  const until_ms = now + 900 * DAY;
  return [
    { id: 'strangers', text: "Adults you aren't connected to can't ask to chat with you.", until_ms, changeable: false },
    { id: 'found', text: 'You show up in no list and no search. People need your exact handle.', until_ms: null, changeable: false },
    { id: 'profile', text: 'Your profile is seen by your contacts only.', until_ms, changeable: false },
    { id: 'requests', text: 'You decide who can send you requests.', until_ms: null, changeable: true },
  ];
};

/** A chat in which nothing is new and nothing was set. */
export const QUIET = { blocked: false, restricted: [] as string[], unread: 0, unread_from: null, answered: true, pinned: false, muted: false, archived: false, timer_s: 0, draft: '' };

interface Extra { handle: string; name: string; unread?: number; at: number; last: string; mine?: boolean; over?: Partial<Chat> }

export function chats(now: number): Chat[] {
  const people: Extra[] = [
    { handle: 'maya', name: 'Maya Lindqvist', unread: 2, at: 3 * MINUTE, last: 'Are you coming to practice later?' },
    { handle: 'dana', name: 'דנה לוי!', at: 2 * HOUR, last: 'נתראה ביום שלישי?', over: { pinned: true } },
    { handle: 'bookclub.ines', name: 'Inês 📚🌻', at: 26 * HOUR, last: 'I finished chapter twelve', mine: true, over: { draft: 'Shall we meet on' } },
    {
      handle: 'long', name: 'Maximiliana Konstantinopolitanskaya-Featherstonehaugh', at: 3 * DAY,
      last: 'A very long message that goes on and on so that we can see where it is cut off in the list of chats',
    },
    { handle: 'omar', name: 'عمر', at: 5 * DAY, last: 'شكرا!', over: { ready: false, muted: true } },
    { handle: 'lee', name: 'Lee', at: 9 * DAY, last: 'See you', mine: true, over: { writable: false } },
    { handle: 'kai', name: 'Kai', at: 12 * DAY, last: 'hello?', over: { blocked: true, writable: false } },
    { handle: 'old.chat', name: 'Jo Park', at: 20 * DAY, last: 'bye', over: { deleted: true, writable: false } },
    { handle: NEWCOMER, name: 'Sunny Reed', at: 25 * DAY, last: 'Look what I have: https://files.example.com/free', over: { answered: false } },
    { handle: ASIDE, name: 'Rae Moreno', unread: 2, at: HOUR, last: 'why are you not answering', over: { restricted: [uuid(209)] } },
  ];
  return people.map(({ handle, name, unread = 0, at, last, mine = false, over = {} }, n) => ({
    room: uuid(100 + n), kind: 'direct' as const, group: null, people: [], account: uuid(200 + n), handle, display_name: name, writable: true, ready: true, ...QUIET, unread,
    unread_from: unread > 0 ? placed(SCRIPT.length + 1 - unread) : null,
    last: { kind: 'text' as const, text: last, mine, at_ms: now - at }, deleted: false, ...over,
  }));
}

const NAMES = ['Maya Lindqvist', 'דנה לוי!', 'Maximiliana Konstantinopolitanskaya-Featherstonehaugh', 'عمر', 'Lee'];

/** Groups: one of mine, one in which only admins write, one that I left. */
export function groups(now: number): Chat[] {
  const group = (n: number, name: string, role: GroupRole, over: Partial<Chat>, left = false): Chat => ({
    room: uuid(150 + n), kind: 'group', account: '', handle: '', display_name: name, ...QUIET, deleted: false,
    group: {
      name, description: n === 0 ? 'Who opens the hall, who brings what, and who stays to tidy up' : '', posting: n === 1 ? 'admins' : 'everyone',
      approval: n === 0, role, created_ms: now - 80 * DAY, photo: n === 0 ? 1 : null, left,
    },
    people: [
      { account: MY_ACCOUNT, handle: 'robin', display_name: 'Robin Field', role },
      ...NAMES.map((display_name, at) => ({
        account: uuid(200 + at), handle: `person${at}`, display_name, role: (['owner', 'admin', 'member'] as const)[Math.min(at, 2)]!,
      })),
    ],
    writable: true, ready: true, last: { kind: 'text', text: 'See you at nine', mine: false, at_ms: now - 4 * HOUR }, ...over,
  });
  return [
    group(0, 'Saturday hall 🏸', 'owner', { unread: 3, unread_from: placed(SCRIPT.length - 2) }),
    group(1, 'School notices with a very long name that goes on and on', 'member', { writable: false }),
    group(2, 'Old choir', 'member', { writable: false }, true),
  ];
}

export function invitations(now: number): GroupInvitation[] {
  return [{
    invitation: uuid(700), room: uuid(160), name: 'Reading on Thursdays', description: 'Short books, long talks. Bring a biscuit.',
    inviter: { account: uuid(201), handle: 'dana', display_name: 'דנה לוי!', connected: true }, members: 14, known: 2,
    created_ms: now - 300 * DAY, sent_ms: now - 3 * HOUR, photo: 1,
  }, {
    invitation: uuid(701), room: uuid(161), name: 'Big prizes', description: '',
    inviter: { account: uuid(310), handle: 'prizes4u', display_name: 'Prizes', connected: false }, members: 90, known: 0,
    created_ms: now - DAY, sent_ms: now - 5 * HOUR, photo: 1,
  }];
}

/** Somebody who was accepted and not yet answered. */
export const NEWCOMER = 'sunny';
/** Somebody whom I restrict. */
export const ASIDE = 'rae.m';

interface Line { text: string; mine?: boolean; at: number; over?: Partial<Message> }

const file = (part: number, over: Partial<FileView>): FileView => ({
  part, kind: 'photo', name: 'hills.png', type: 'image/png', size: 48_000, alt: 'Hills in the evening', width: 128, height: 128,
  mark: '', thumbhash: null, duration_ms: null, waveform: null, poster: null, state: 'here', ...over,
});
const bars = Uint8Array.from({ length: 48 }, (_, n) => 40 + Math.round(180 * Math.abs(Math.sin(n / 3))));

const SCRIPT: Line[] = [
  { text: 'Hi Robin, is the hall open on Saturday?', at: 3 * DAY + 2 * HOUR },
  { text: 'I can bring the nets', at: 3 * DAY + 2 * HOUR - MINUTE },
  { text: 'Yes, from nine. I have the key to the shed too', mine: true, at: 3 * DAY + HOUR, over: { edited: true, reactions: [{ symbol: '👍', count: 2, mine: false, names: ['Maya Lindqvist', 'عمر'] }] } },
  { text: '', at: 3 * DAY, over: { kind: 'info', text: 'Maya added a device.' } },
  { text: 'Here is the plan for the day: https://parks.example.co.uk/halls/saturday?from=9 — tell me what you think.', at: 25 * HOUR, over: { forwarded: 2, reactions: [{ symbol: '❤️', count: 1, mine: true, names: [] }, { symbol: '😂', count: 1, mine: false, names: [''] }] } },
  { text: 'Someone sent me https://xn--pple-43d.com/login and http://аpple.com, odd, isn’t it', at: 25 * HOUR - MINUTE },
  { text: '', at: 24 * HOUR, over: { kind: 'tombstone' } },
  { text: '', at: 23 * HOUR, over: { kind: 'unsupported' } },
  { text: '', at: 22 * HOUR, over: { kind: 'deleted' } },
  { text: 'Pass this on to everybody you know', at: 21 * HOUR, over: { forwarded: 7 } },
  { text: 'From the weekend', at: 22 * HOUR, over: { files: [0, 1, 2, 3].map((n) => file(n, { state: n === 2 ? 'remote' : 'here', size: 48_000 * (n + 1) })) } },
  { text: '', at: 21 * HOUR, mine: true, over: { files: [file(0, { kind: 'voice', name: '', type: 'audio/webm', alt: '', duration_ms: 14_200, waveform: bars, width: null, height: null })] } },
  { text: '', at: 20 * HOUR, over: { files: [file(0, { kind: 'video', name: 'lake.webm', type: 'video/webm', alt: 'The lake', duration_ms: 31_000, width: 1280, height: 720, size: 7_400_000, state: 'remote' })] } },
  {
    text: '', at: 19 * HOUR,
    over: { files: [file(0, { kind: 'file', name: 'Timetable, second draft.pdf', type: 'application/pdf', alt: '', size: 212_000, width: null, height: null, state: 'remote' })] },
  },
  { text: '', at: 18 * HOUR, over: { files: [file(0, { state: 'gone' }), file(1, { state: 'broken' })] } },
  { text: 'Looks good. Shall I ask the others?', mine: true, at: 5 * HOUR, over: { delivery: 'delivered' } },
  {
    text: 'Please do 🙏🏽', at: 4 * HOUR,
    over: { gap_before: 2, reply_to: { id: 'x', text: 'Looks good. Shall I ask the others?', mine: true, name: '', place: null, deleted: false } },
  },
  { text: 'الملعب مفتوح يوم السبت!', at: 3 * HOUR },
  { text: `A longer thought. ${'It keeps going because we want to see how a long message folds. '.repeat(40)}`, at: 2 * HOUR },
  {
    text: 'Great, thank you', mine: true, at: 30 * MINUTE,
    over: { delivery: 'read', read_by: 3, reply_to: { id: 'gone', text: '', mine: false, name: '', place: '00000010', deleted: true }, edited: true },
  },
  { text: 'Are you coming to practice later?', at: 3 * MINUTE, over: { reactions: [{ symbol: '❤️', count: 1, mine: true, names: [] }, { symbol: '👍', count: 1, mine: false, names: [''] }] } },
];

/** What somebody new sends before anybody answered: photos, a file whose name lies, and a link. */
export function unanswered(chat: Chat, now: number): Message[] {
  const lying = { kind: 'file' as const, alt: '', size: 0, width: null, height: null, name: `harmless\u202ex${'y'.repeat(90)}gnp.exe` };
  return thread(chat, now).slice(0, 3).map((message, n) => ({
    ...message, mine: false, sender: chat.account, delivery: null, text: n === 2 ? chat.last!.text : '',
    files: [[file(0, {}), file(1, { width: 0, height: NaN })], [file(0, lying), file(1, { kind: 'voice', duration_ms: NaN, width: null, height: null })], []][n]!,
  }));
}

/** The script in a group: several people speak, some of them twice in a row. */
export function groupThread(chat: Chat, now: number): Message[] {
  return thread(chat, now).map((message, n) => {
    const member = chat.people[1 + (Math.floor(n / 2) % (chat.people.length - 1))]!;
    return message.mine || message.kind === 'info' ? message : { ...message, sender: member.account, sender_name: member.display_name };
  });
}

/** What every message says of changes when nobody changed it. */
export const plain = (mine: boolean): Pick<Message, 'read_by' | 'expires' | 'edited' | 'reactions' | 'forwarded' | 'may' | 'change'> => ({
  read_by: 0, expires: null, edited: false, reactions: [], forwarded: 0, may: { edit: mine, delete: mine }, change: null,
});

/** How places look in this world: they sort as texts do. */
export const placed = (seq: number): string => seq.toString().padStart(8, '0');

/** Ten thousand messages, one every ten minutes, every third of them mine. */
export function longThread(chat: Chat, now: number): Message[] {
  const count = 10_000;
  const [theirs, , mine] = thread(chat, now);
  return Array.from({ length: count }, (_, n) => ({
    ...(n % 3 === 0 ? mine! : theirs!), id: `${chat.room}:${n}`, at_ms: now - (count - n) * 10 * MINUTE, seq: n + 1,
    place: placed(n + 1), text: `Message ${n + 1} of many: ${'and then some more words '.repeat(n % 5)}`,
  }));
}

export function thread(chat: Chat, now: number): Message[] {
  return SCRIPT.map(({ text, mine = false, at, over = {} }, n) => ({
    id: `${chat.room}:${n}`, room: chat.room, at_ms: now - at, seq: n + 1, place: placed(n + 1), mine, sender: mine ? MY_ACCOUNT : chat.account, sender_name: '',
    kind: 'text', text, files: [], reply_to: null, delivery: mine ? 'sent' : null, gap_before: 0, ...plain(mine), ...over,
  }));
}

export function received(now: number): ReceivedRequest[] {
  const notice: Notice = {
    id: uuid(500), rule: 'new-account-many-requests', about: uuid(300), since_ms: now - HOUR,
    text: "This account is new and has messaged many people it isn't connected to. You never owe anyone a reply or a photo.",
  };
  return [
    { request: uuid(400), account: uuid(300), handle: 'marco_22', display_name: 'marco_22', joined_ms: now - 3 * DAY, mutual: 0, sent_ms: now - HOUR, notice },
    { request: uuid(401), account: uuid(301), handle: 'yael.b', display_name: 'יעל (מהעבודה)', joined_ms: now - 200 * DAY, mutual: 2, sent_ms: now - 2 * DAY, notice: null },
  ];
}

export function sent(now: number): SentRequest[] {
  return [{
    request: uuid(410), to: 'sam.rivers', sent_ms: now - 5 * HOUR, state: 'sent', account: null, room: null,
    waiting_text: 'Hi Sam, this is Robin from the choir. Do you still have the sheet music?',
  }];
}

export function reports(now: number): SentReport[] {
  return [
    { report: uuid(600), sent_ms: now - DAY, category: 'scam', account: uuid(310), handle: 'prizes4u', status: 'reviewing', outcome: null },
    { report: uuid(601), sent_ms: now - 9 * DAY, category: 'bullying', account: uuid(311), handle: null, status: 'closed', outcome: 'action' },
    { report: uuid(602), sent_ms: now - 30 * DAY, category: 'other', account: uuid(312), handle: 'kai', status: 'closed', outcome: 'no_action' },
  ];
}

export const TERMS = {
  version: '1',
  terms: [
    { title: 'Your account', text: 'One account per person. Keep your password and your recovery code to yourself.' },
    { title: 'Your messages', text: 'Only the people in a chat can read it. We see messages only when someone in the chat reports them.' },
  ],
  standards: [
    { id: 'respect', title: 'Respect people', text: 'No bullying, no threats, no pushing someone who said no.' },
    { id: 'honest', title: 'Be who you are', text: 'Do not pretend to be someone else, and do not cheat people out of money.' },
    { id: 'children', title: 'Children come first', text: 'Nothing sexual with or about anyone under 18, ever. We report it to the authorities.' },
  ],
};
