/** The name of a rule as a person reads it: the title of the standard it enforces. */
import type { Result } from '../engine/contract';
import { t, type Key } from '../i18n';

/** Rules about how an account acts have ids of their own; people read what the rule looks at. */
const BEHAVIOUR: Readonly<Record<string, Key>> = {
  'first-contacts-unanswered': 'rule.unanswered',
  'first-contacts-go-on': 'rule.go_on',
};

export function ruleName(rule: string, standards: Result<'terms'>['standards'] | undefined): string {
  const key = Object.hasOwn(BEHAVIOUR, rule) ? BEHAVIOUR[rule] : undefined;
  if (key) return t(key);
  return standards?.find(({ id }) => id === rule)?.title ?? rule;
}
