/**
 * Links in people's texts: found, taken apart and judged, never fetched. What is shown is the address the browser
 * would really open, with the part that somebody had to register told apart from the rest.
 */
export type LinkWarning = 'mixed-script' | 'punycode' | null;
export type Piece =
  | { kind: 'text'; text: string }
  | { kind: 'link'; href: string; before: string; domain: string; after: string; warning: LinkWarning };

const CANDIDATE = /\b(?:https?:\/\/|www\.)[^\s<>"\u200e\u200f\u202a-\u202e\u2066-\u2069]+/giu;
const CLOSING = new Set('.,;:!?\'"»”’');

/**
 * Suffixes of two labels under which people register names. A browser has no public suffix list to ask, so this
 * is the short list of the common ones; under any other the last two labels are shown as the domain.
 */
const TWO_LABEL_SUFFIXES = new Set(
  ('co.uk org.uk ac.uk gov.uk me.uk com.au net.au org.au edu.au gov.au co.nz org.nz govt.nz co.za org.za com.br ' +
    'org.br gov.br com.mx com.ar com.co com.pe com.tr org.tr com.eg com.sa com.ng com.gh co.ke co.tz co.ug co.in ' +
    'org.in net.in gov.in com.pk com.bd com.np com.lk com.cn org.cn gov.cn com.hk com.tw co.jp or.jp ne.jp ac.jp ' +
    'go.jp co.kr or.kr com.sg com.my com.ph com.vn co.th co.id or.id com.ua co.il org.il github.io gitlab.io ' +
    'netlify.app vercel.app pages.dev web.app herokuapp.com blogspot.com').split(' '),
);

/** The registrable part of a host name; the whole host where it is an address or a single label. */
export function registrable(host: string): string {
  if (host.startsWith('[') || /^[\d.]+$/.test(host)) return host;
  const labels = host.split('.');
  const keep = TWO_LABEL_SUFFIXES.has(labels.slice(-2).join('.')) ? 3 : 2;
  return labels.slice(-keep).join('.');
}

const SCRIPTS = [
  /\p{Script=Latin}/u, /\p{Script=Cyrillic}/u, /\p{Script=Greek}/u, /\p{Script=Armenian}/u, /\p{Script=Hebrew}/u,
  /\p{Script=Arabic}/u, /\p{Script=Cherokee}/u, /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}/u,
];

/** What is unusual about an address: letters of several alphabets in one label, or a name in coded form. */
export function warning(typedHost: string, host: string): LinkWarning {
  const mixed = typedHost.split('.').some((label) => SCRIPTS.filter((script) => script.test(label)).length > 1);
  if (mixed) return 'mixed-script';
  return host.split('.').some((label) => label.startsWith('xn--')) ? 'punycode' : null;
}

const OPENERS: Readonly<Record<string, string>> = { ')': '(', ']': '[', '}': '{' };
const count = (text: string, letter: string): number => text.split(letter).length - 1;

/** Sentence punctuation after an address, and brackets that it did not open, are not part of it. */
function trimmed(candidate: string): string {
  const surplus = new Map(Object.entries(OPENERS).map(([close, open]) => [close, count(candidate, close) - count(candidate, open)]));
  let end = candidate.length;
  for (; end > 0; end--) {
    const last = candidate[end - 1]!;
    const unopened = surplus.get(last) ?? 0;
    if (unopened > 0) surplus.set(last, unopened - 1);
    else if (!CLOSING.has(last)) break;
  }
  return candidate.slice(0, end);
}

function link(typed: string): Piece | null {
  const absolute = /^www\./i.test(typed) ? `https://${typed}` : typed;
  if (!URL.canParse(absolute)) return null;
  const url = new URL(absolute);
  // "https://bank.example@elsewhere" exists to deceive; it stays plain text.
  if (url.username || url.password || !url.hostname.includes('.')) return null;
  const host = url.hostname;
  const domain = registrable(host);
  const tail = url.pathname === '/' && !url.search && !url.hash ? '' : url.pathname + url.search + url.hash;
  const typedHost = /^[a-z]+:\/\/([^/?#:]*)/i.exec(absolute)?.[1] ?? host;
  return {
    kind: 'link',
    href: url.href,
    before: `${url.protocol}//${host.slice(0, host.length - domain.length)}`,
    domain,
    after: (url.port ? `:${url.port}` : '') + tail,
    warning: warning(typedHost, host),
  };
}

/** The text in order, cut into plain stretches and links. Joined, the plain stretches lose nothing. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let done = 0;
  for (const match of text.matchAll(CANDIDATE)) {
    const typed = trimmed(match[0]);
    const piece = link(typed);
    if (!piece) continue;
    if (match.index > done) found.push({ kind: 'text', text: text.slice(done, match.index) });
    found.push(piece);
    done = match.index + typed.length;
  }
  if (done < text.length) found.push({ kind: 'text', text: text.slice(done) });
  return found;
}
