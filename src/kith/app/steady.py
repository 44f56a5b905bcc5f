"""Whether the time may be believed by what deletes for good.

A wall clock that jumps ahead (a broken battery, a bad time server, a hand that slips) would make everybody's waiting
mail look older than its retention. So deletion waits when the wall clock has moved by more than a day beyond what has
really passed. If it stays there for a day it is believed: somebody had the time to read the log, and what is promised
to be forgotten is forgotten. A clock that was wrong before the server began cannot be told from a long rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog

from kith.ledger.database import Clock
from kith.ledger.limits import DAY

log = structlog.get_logger("kith.steady")

JUMP_MS: Final = DAY
"""By how much a clock may move at once: summer time and a slow correction are far less, retention is far more."""
WAIT_MS: Final = DAY
"""How long a clock that jumped must stay where it is until it is believed."""
JUMPED: Final = (
    "The clock jumped ahead, so nothing is deleted for its age. If the new time is wrong, set it right and restart."
)
AHEAD: Final = (
    "The clock was set back, and this process still has the later time: restart it, then ages are judged again."
)


def since_boot() -> int:
    """Milliseconds that have really passed, suspended time included where the system counts it."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1_000_000


class Look(NamedTuple):
    """The clocks when the wall clock was last believed, and since when (by the steady one) it is not."""

    wall_ms: int
    steady_ms: int
    doubted_ms: int | None = None


def look(before: Look, wall_ms: int, steady_ms: int) -> Look:
    """What to believe now."""
    ahead = (wall_ms - before.wall_ms) - (steady_ms - before.steady_ms)
    if ahead <= JUMP_MS:
        return Look(wall_ms, steady_ms)
    since = steady_ms if before.doubted_ms is None else before.doubted_ms
    return Look(wall_ms, steady_ms) if steady_ms - since >= WAIT_MS else before._replace(doubted_ms=since)


class Watch:
    """Looks at both clocks whenever something wants to delete."""

    def __init__(self, wall: Clock, steady: Callable[[], int] = since_boot) -> None:
        self._wall, self._steady = wall, steady
        self._last = Look(wall(), steady())
        self._said: str | None = None

    def may_delete(self, now_ms: int) -> bool:
        """Whether ages may be judged by the server's time, which never goes back; says so when that changes."""
        wall = self._wall()
        self._last = look(self._last, wall, self._steady())
        doubt = JUMPED if self._last.doubted_ms is not None else AHEAD if now_ms - wall > JUMP_MS else None
        if doubt != self._said:
            log.warning("retention-waits" if doubt else "retention-goes-on", answer=doubt or "The time is believed.")
        self._said = doubt
        return doubt is None
