/** What an account's standing means in words, and which single line of it is shown above the chats. */
import type { Measure, Standing } from '../engine/contract';
import { plural, t } from '../i18n';
import { date } from './time';

const GRAVITY: readonly Measure['what'][] = ['warning', 'daily_limit', 'no_new_conversations', 'suspended'];

/** The gravest measure in force; null when nothing is limited. A warning limits nothing. */
export function limiting(standing: Standing): Measure | null {
  return (
    standing.measures
      .filter((measure) => measure.what !== 'warning' && measure.reversed_ms === null)
      .toSorted((a, b) => GRAVITY.indexOf(b.what) - GRAVITY.indexOf(a.what))[0] ?? null
  );
}

/** "You can't start new chats", as a heading. */
export function what(measure: Measure): string {
  switch (measure.what) {
    case 'warning':
      return t('standing.warning');
    case 'daily_limit':
      return measure.limit === null ? t('standing.daily_limit') : plural('standing.daily_limit_of', measure.limit);
    case 'no_new_conversations':
      return t('standing.no_new_conversations');
    case 'suspended':
      return t('standing.suspended');
  }
}

/** What still works: bad news always says so. */
export function stillWorks(measure: Measure): string {
  switch (measure.what) {
    case 'warning':
      return t('standing.works.warning');
    case 'daily_limit':
    case 'no_new_conversations':
      return t('standing.works.chats');
    case 'suspended':
      return t('standing.works.suspended');
  }
}

export const until = (measure: Measure): string =>
  measure.until_ms === null ? t('standing.no_end') : date(measure.until_ms);

export type AppealState = 'possible' | 'too-late' | 'open' | 'upheld' | 'overturned';

/** Where a request for review stands. One per measure, while its time lasts. */
export function appealState(measure: Measure, now: number): AppealState {
  if (measure.appeal !== null) return measure.appeal;
  return measure.appeal_until_ms !== null && now > measure.appeal_until_ms ? 'too-late' : 'possible';
}
