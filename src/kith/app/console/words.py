"""How pages say times and names: template filters, given a clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from kith.ledger.limits import DAY, HOUR, MINUTE
from kith.reports.staff_roles import pseudonym


def when(ms: int | None) -> str:
    """A time as staff read it, in UTC."""
    return "—" if ms is None else f"{datetime.fromtimestamp(ms / 1000, UTC):%-d %b %Y, %H:%M} UTC"


def span(ms: int) -> str:
    """A length of time in its two largest useful units."""
    if ms >= 2 * DAY:
        return f"{ms // DAY} days"
    if ms >= HOUR:
        return f"{ms // HOUR} h {ms % HOUR // MINUTE} min"
    return f"{max(0, ms) // MINUTE} min"


def filters(now: Callable[[], int]) -> dict[str, Callable[..., Any]]:
    """The filters of every page: `when`, `span`, `age` (since), `left` (until a due time), `pseudonym`."""
    return {
        "when": when,
        "span": span,
        "age": lambda ms: span(now() - ms),
        "left": lambda ms: f"due in {span(ms - now())}" if ms >= now() else f"overdue by {span(now() - ms)}",
        "pseudonym": lambda staff: "—" if staff is None else pseudonym(staff),
    }
