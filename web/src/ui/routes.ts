/** Addresses of screens: everything after `#`, so that the server never learns which chat is open. */
import type { Phase } from '../engine/contract';

export const SETTINGS_PAGES = [
  'profile', 'requests', 'notifications', 'devices', 'password', 'blocked', 'restricted', 'standing', 'protections', 'reports', 'export',
] as const;
export type SettingsPage = (typeof SETTINGS_PAGES)[number];

export type Route =
  | { screen: 'home' | 'welcome' | 'sign-up' | 'sign-in' | 'recover' | 'add' | 'new-group' | 'requests' | 'settings' | 'terms' | 'help' }
  | { screen: 'thread'; room: string; at?: string }
  | { screen: 'search'; room: string | null }
  | { screen: 'group'; room: string }
  | { screen: 'group-link'; token: string }
  | { screen: 'invitation'; invitation: string }
  | { screen: 'request'; request: string }
  | { screen: 'approve'; code: string }
  | { screen: 'invite'; token: string }
  | { screen: 'setting'; page: SettingsPage }
  | { screen: 'unknown' };

const PLAIN = ['welcome', 'sign-up', 'sign-in', 'recover', 'add', 'new-group', 'requests', 'settings', 'terms', 'help'] as const;

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return ''; // a broken escape in a pasted link is an unknown screen, not a crash
  }
}

/** Reads `location.hash`; anything unexpected is `unknown`. */
export function parse(hash: string): Route {
  const [first = '', second = '', third = '', fourth = '', ...rest] = hash.replace(/^#?\/?/, '').split('/').map(decoded);
  if (rest.some((part) => part !== '')) return { screen: 'unknown' };
  if (first === 'c' && second && third === 'people' && !fourth) return { screen: 'group', room: second };
  if (first === 'c' && second && third === 'search') return { screen: 'search', room: second };
  if (first === 'c' && second && third === 'at' && fourth) return { screen: 'thread', room: second, at: fourth };
  if (third !== '' || fourth !== '') return { screen: 'unknown' };
  if (first === 'search' && !second) return { screen: 'search', room: null };
  if (first === '') return { screen: 'home' };
  if (first === 'c' && second) return { screen: 'thread', room: second };
  if (first === 'g' && second) return { screen: 'group-link', token: second };
  if (first === 'invitations' && second) return { screen: 'invitation', invitation: second };
  if (first === 'approve' && second) return { screen: 'approve', code: second };
  if (first === 'i' && second) return { screen: 'invite', token: second };
  if (first === 'requests' && second) return { screen: 'request', request: second };
  if (first === 'settings' && second) {
    const page = SETTINGS_PAGES.find((known) => known === second);
    return page ? { screen: 'setting', page } : { screen: 'unknown' };
  }
  const plain = PLAIN.find((known) => known === first);
  return plain && !second ? { screen: plain } : { screen: 'unknown' };
}

/** The address of a route, `#` included. */
export function address(route: Route): string {
  switch (route.screen) {
    case 'home':
    case 'unknown':
      return '#/';
    case 'thread':
      return `#/c/${encodeURIComponent(route.room)}${route.at === undefined ? '' : `/at/${encodeURIComponent(route.at)}`}`;
    case 'search':
      return route.room === null ? '#/search' : `#/c/${encodeURIComponent(route.room)}/search`;
    case 'group':
      return `#/c/${encodeURIComponent(route.room)}/people`;
    case 'group-link':
      return `#/g/${encodeURIComponent(route.token)}`;
    case 'invitation':
      return `#/invitations/${encodeURIComponent(route.invitation)}`;
    case 'approve':
      return `#/approve/${encodeURIComponent(route.code)}`;
    case 'invite':
      return `#/i/${encodeURIComponent(route.token)}`;
    case 'request':
      return `#/requests/${encodeURIComponent(route.request)}`;
    case 'setting':
      return `#/settings/${route.page}`;
    default:
      return `#/${route.screen}`;
  }
}

export type View = 'starting' | 'first-device' | 'recovery' | 'locked' | 'unsupported' | Route['screen'];

const SIGNED_OUT: readonly Route['screen'][] = ['welcome', 'sign-up', 'sign-in', 'recover', 'terms', 'help', 'invite', 'group-link'];
const BEFORE_SIGN_IN: readonly Route['screen'][] = ['welcome', 'sign-up', 'sign-in', 'recover'];

/**
 * Which view a person sees: the engine's phase first, then where they wanted to go.
 * Help and terms are open in every state, because help must never depend on an account.
 */
export function view(phase: Phase | 'starting', route: Route): View {
  if (route.screen === 'help') return 'help';
  switch (phase) {
    case 'starting':
    case 'locked':
    case 'unsupported':
      return phase;
    case 'needs-identity':
      return route.screen === 'terms' ? 'terms' : 'first-device';
    case 'needs-recovery':
      return route.screen === 'terms' ? 'terms' : 'recovery';
    case 'signed-out':
      return SIGNED_OUT.includes(route.screen) ? route.screen : 'welcome';
    case 'ready':
      return BEFORE_SIGN_IN.includes(route.screen) ? 'home' : route.screen;
  }
}
