/** Which chats have news, and which never say so. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAside } from '../src/ui/aside';
import { news, type Counted } from '../src/ui/news';

const chat = (room: string, unread: number, over: Partial<Counted> = {}): Counted =>
  ({ room, kind: 'direct', restricted: [], unread, muted: false, archived: false, deleted: false, blocked: false, ...over });

test('the first look at the chats is no news, and neither is reading them', () => {
  assert.deepEqual(news(null, [chat('a', 7)]), []);
  assert.deepEqual(news(new Map([['a', 7]]), [chat('a', 0)]), []);
  assert.deepEqual(news(new Map([['a', 7]]), [chat('a', 7)]), []);
});

test('more that waits is news, also in a chat that was not there', () => {
  assert.deepEqual(news(new Map([['a', 1]]), [chat('a', 2), chat('b', 1)]), ['a', 'b']);
});

test('muted, archived, deleted and blocked chats never say anything', () => {
  for (const silent of ['muted', 'archived', 'deleted', 'blocked'] as const) {
    assert.deepEqual(news(new Map(), [chat('a', 9, { [silent]: true })]), [], silent);
  }
});

test('a chat with a restricted person never says anything; in a group the others go on, and lifting it is no news', () => {
  const aside = chat('a', 9, { restricted: ['them'] });
  assert.deepEqual(news(new Map(), [aside]), []);
  assert.deepEqual(news(new Map(), [{ ...aside, kind: 'group' }]), ['a']);
  assert.deepEqual(news(new Map([['a', 9]]), [{ ...aside, restricted: [] }]), []);
  assert.deepEqual([isAside(aside), isAside({ ...aside, blocked: true }), isAside({ ...aside, kind: 'group' })], [true, false, false]);
});
