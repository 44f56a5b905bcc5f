"""The rungs of enforcement, and which one comes next. Pure.

Warning, then fewer new conversations a day, then none for a while, then suspension for a while, then
suspension until somebody reverses it. Each can be appealed, and each but the last ends by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from kith.people.limits import DEFAULT, Limits
from kith.people.standing import Measure, What

Severity = Literal["low", "moderate", "severe", "imminent"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What a measure does, until when (milliseconds; None = until reversed), and its daily number."""

    what: What
    until_ms: int | None = None
    limit: int | None = None


def warning(until_ms: int | None = None) -> Step:
    """Tell the person, and change nothing else. Without a term it moves to history after `warning_ms`."""
    return Step(what="warning", until_ms=until_ms)


def daily_limit(per_day: int, until_ms: int) -> Step:
    """At most `per_day` new conversations a day."""
    return Step(what="daily_limit", limit=per_day, until_ms=until_ms)


def no_new_conversations(until_ms: int) -> Step:
    """No new conversations; those that exist go on."""
    return Step(what="no_new_conversations", until_ms=until_ms)


def suspended(until_ms: int | None = None) -> Step:
    """No sending at all. Reading, exporting, reporting, blocking and appealing go on."""
    return Step(what="suspended", until_ms=until_ms)


_RUNGS = 5
_FIRST: dict[Severity, int] = {"low": 0, "moderate": 1, "severe": 3, "imminent": 4}


def climb(measures: Iterable[Measure], severity: Severity, now: int, limits: Limits = DEFAULT) -> Step:
    """The next step for a person with this history.

    Starts at the rung of the severity and goes up one for each measure of the last `climb_ms` that was not
    taken back. Reversed measures never count: whoever was cleared is where she was before.
    """
    counted = sum(1 for m in measures if m.reversed_ms is None and now - m.since_ms < limits.climb_ms)
    match min(_FIRST[severity] + counted, _RUNGS - 1):
        case 0:
            return warning(now + limits.warning_ms)
        case 1:
            return daily_limit(limits.rung_daily, now + limits.rung_daily_ms)
        case 2:
            return no_new_conversations(now + limits.rung_pause_ms)
        case 3:
            return suspended(now + limits.rung_suspended_ms)
        case _:
            return suspended(None)
