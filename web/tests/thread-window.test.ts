/** The open thread: the stretch that is on the page, and the line "New messages". */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Message, Stretch } from '../src/engine/contract';
import { padded } from '../src/engine/records';
import { plain } from '../src/ui/dev/worlds';
import { rows } from '../src/ui/thread-rows';
import { marked, UNMARKED } from '../src/ui/thread/unread';
import { afterLast, MOST, PAGE, renewed, withEarlier, withLater } from '../src/ui/thread/window';

const message = (seq: number, over: Partial<Message> = {}): Message => ({
  id: `m${seq}`, room: 'r', at_ms: seq, seq, place: padded(seq), mine: false, sender: 'a', sender_name: '', kind: 'text', text: `m${seq}`,
  files: [], reply_to: null, delivery: null, gap_before: 0, ...plain(false), ...over,
});
const ALL = Array.from({ length: 10_000 }, (_, n) => message(n + 1));
const whole = (messages: Message[], more: boolean, newer: boolean): Stretch => ({
  messages, more, newer, begins: messages[0]?.place ?? null, ends: messages.findLast(({ place }) => place !== null)?.place ?? null,
});
const ids = ({ messages }: Stretch): string[] => messages.map(({ id }) => id);

/** What the engine answers, over all of them. */
function ask({ before, from, limit = PAGE }: { before?: string; from?: string; limit?: number }): Stretch {
  if (from !== undefined) {
    const rest = ALL.filter(({ place }) => place! >= from);
    return whole(rest.slice(0, limit), rest.length < ALL.length, rest.length > limit);
  }
  const older = ALL.filter(({ place }) => before === undefined || place! < before);
  return whole(older.slice(-limit), older.length > limit, before !== undefined);
}

test('ten thousand messages up and down again pass through a window that stays small', () => {
  let window = ask({});
  let pages = 1;
  while (window.more) {
    window = withEarlier(window, ask({ before: window.begins! }));
    pages++;
    assert.ok(window.messages.length <= MOST);
  }
  assert.equal(pages, ALL.length / PAGE);
  assert.deepEqual([ids(window)[0], window.messages.length, window.newer], ['m1', MOST, true]);
  while (window.newer) {
    window = withLater(window, ask({ from: afterLast(window)! }));
    assert.ok(window.messages.length <= MOST);
  }
  assert.deepEqual([ids(window).at(-1), window.more], ['m10000', true]);
  assert.deepEqual(ids(window), ALL.slice(-MOST).map(({ id }) => id));
});

test('a page that overlaps what is there adds nothing twice, and an unsent message keeps its place at the end', () => {
  const unsent = message(0, { id: 'unsent', seq: null, place: null });
  const window = whole([message(3), message(4), unsent], true, false);
  const earlier = withEarlier(window, whole([message(1), message(2), message(3)], false, true));
  assert.deepEqual(ids(earlier), ['m1', 'm2', 'm3', 'm4', 'unsent']);
  assert.deepEqual([earlier.more, earlier.newer], [false, false]);
  assert.deepEqual([earlier.begins, earlier.ends], [padded(1), padded(4)]);
});

test('what did not change is the very same object, and what did is not', () => {
  const old = whole([message(1), message(2)], false, false);
  const next = renewed(old, whole([message(1), message(2, { delivery: 'sent' })], false, false));
  assert.ok(next.messages[0] === old.messages[0] && next.messages[1] !== old.messages[1]);
});

test('the line "New messages" stays where it is while somebody reads, and moves when there is news after that', () => {
  const opened = marked(UNMARKED, { unread: 3, unread_from: 'b' }, false);
  assert.equal(opened.at, 'b');
  const read = marked(opened, { unread: 0, unread_from: null }, true);
  assert.equal(read.at, 'b');
  const more = marked(read, { unread: 1, unread_from: 'f' }, true);
  assert.equal(more.at, 'b', 'what arrives in sight of the reader is no news');
  const away = marked(marked(more, { unread: 0, unread_from: null }, true), { unread: 1, unread_from: 'g' }, false);
  assert.equal(away.at, 'g');
  assert.equal(marked(away, { unread: 2, unread_from: 'g' }, false).at, 'g');
});

test('the line stands before the first new message of somebody else, and nowhere when that may be further up', () => {
  const messages = [message(1), message(2, { mine: true }), message(3, { kind: 'info' }), message(4), message(5)];
  const kinds = (newFrom: string | null, older = false): string[] =>
    rows(messages, newFrom, older).filter(({ kind }) => kind !== 'day').map((row) => (row.kind === 'message' ? row.id : row.kind));
  assert.deepEqual(kinds(padded(2)), ['m1', 'm2', 'm3', 'new', 'm4', 'm5']);
  assert.deepEqual(kinds(padded(1), true), ['m1', 'm2', 'm3', 'm4', 'm5']);
  assert.deepEqual(kinds(padded(1)), ['new', 'm1', 'm2', 'm3', 'm4', 'm5']);
  assert.deepEqual(kinds(padded(6)), ['m1', 'm2', 'm3', 'm4', 'm5']);
  assert.deepEqual(kinds(null), ['m1', 'm2', 'm3', 'm4', 'm5']);
});
