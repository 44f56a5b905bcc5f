"""What a person may do now, from the measures against her account. Pure; survives clocks that jump."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

What = Literal["warning", "daily_limit", "no_new_conversations", "suspended"]
AppealState = Literal["open", "upheld", "overturned"]


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the ladder as it was imposed, and what became of it. `limit` = new conversations a day."""

    id: str
    what: What
    rule: str
    because: str
    since_ms: int
    until_ms: int | None = None
    limit: int | None = None
    appeal: AppealState | None = None
    appeal_until_ms: int | None = None
    reversed_ms: int | None = None

    def holds(self, now: int) -> bool:
        """Whether it is in force: not taken back, and its term is not over.

        Its beginning is not asked for: a clock set back must not lift a measure.
        """
        return self.reversed_ms is None and (self.until_ms is None or now < self.until_ms)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a person may do now. `daily_limit` = new conversations a day, None = no limit of this kind.

    Signing in, reading, exporting, reporting, blocking and appealing are not here: no measure takes them.
    """

    can_start_conversations: bool = True
    can_send: bool = True
    daily_limit: int | None = None
    measures: tuple[Measure, ...] = ()
    history: tuple[Measure, ...] = ()


GOOD = Standing()


def standing_of(measures: Iterable[Measure], now: int) -> Standing:
    """The standing that these measures leave at this time (milliseconds)."""
    current: list[Measure] = []
    history: list[Measure] = []
    for measure in measures:
        (current if measure.holds(now) else history).append(measure)
    kinds = {measure.what for measure in current}
    limits = [m.limit for m in current if m.what == "daily_limit" and m.limit is not None]
    return Standing(
        can_start_conversations=not kinds & {"suspended", "no_new_conversations"},
        can_send="suspended" not in kinds,
        daily_limit=min(limits, default=None),
        measures=tuple(current),
        history=tuple(history),
    )


def in_the_way(standing: Standing, act: Literal["start", "send"]) -> Measure | None:
    """The measure that forbids the act and lasts longest, to be named in the refusal; None when allowed."""
    forbidding = {"suspended", "no_new_conversations"} if act == "start" else {"suspended"}
    against = [measure for measure in standing.measures if measure.what in forbidding]
    return max(against, key=lambda m: float("inf") if m.until_ms is None else m.until_ms, default=None)
