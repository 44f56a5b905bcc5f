/** At most one amber notice per screen: the newest that concerns it; the others wait. */
import type { Notice } from '../engine/contract';

export function noticeAbout(notices: readonly Notice[], account: string | null): Notice | null {
  return notices.filter(({ about }) => about === account).toSorted((a, b) => b.since_ms - a.since_ms)[0] ?? null;
}
