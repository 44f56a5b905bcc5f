"""Numbers of the safety room, each with its unit, default and reason."""

from __future__ import annotations

from dataclasses import dataclass

from kith.ledger.limits import DAY, HOUR, limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a deployment may tune; thresholds should follow quantiles of its own benign accounts."""

    many_first_contacts: int = limit(
        12,
        "first contacts in a day",
        "in CollegeMsg, a network made for meeting strangers, 99 of 100 active user-days stay at or below 13",
    )
    low_accepted_share_percent: int = limit(
        20,
        "percent of settled first contacts",
        "many first contacts alone hit 18 of 1,899 benign users, with a reply ratio below 20 % only 5 did",
    )
    fewest_settled: int = limit(
        8, "settled first contacts", "a share of fewer than this says little: one more yes moves it by 12 points"
    )
    patience_ms: int = limit(
        4 * HOUR,
        "milliseconds",
        "half of all first replies in CollegeMsg came within 3.9 hours; silence before that is no answer yet",
    )
    young_account_ms: int = limit(
        14 * DAY, "milliseconds", "mass contact is mostly the work of accounts made for it; older ones get other rules"
    )
    contacts_after_limit: int = limit(
        4, "first contacts", "more than one day's allowance under the limit: the person goes on day after day"
    )
    feature_window_ms: int = limit(7 * DAY, "milliseconds", "long enough for weekend rhythms, short enough to forget")
    contacts_kept: int = limit(
        256, "first contacts per account", "bounds memory; far above what the messaging room lets anyone send in a week"
    )
    state_kept_ms: int = limit(90 * DAY, "milliseconds", "retention of behavioural features, notices and firings")
    friction_ms: int = limit(7 * DAY, "milliseconds", "one week slows a campaign and is bearable for the innocent")
    friction_requests_per_day: int = limit(3, "requests per day", "enough for an ordinary day's new contacts")
    fire_again_ms: int = limit(DAY, "milliseconds", "one firing per rule, account and day; more says nothing new")
    respect_reversal_ms: int = limit(
        30 * DAY, "milliseconds", "what people took back, a rule does not impose again for this long"
    )
    notice_again_ms: int = limit(7 * DAY, "milliseconds", "never twice in 7 days per person and reason")


DEFAULT = Limits()
