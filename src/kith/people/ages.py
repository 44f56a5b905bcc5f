"""Age bands from month and year, so that nobody is treated as older than she may be. Pure.

Only the band and the first day of the month after the next band begins are ever kept. Whoever was born in
a month may have been born on its last day, so a birthday counts from the first day of the next month (UTC;
by then it has passed in every time zone, also for those born on 29 February).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

Band = Literal["13-15", "16-17", "18+", "unknown"]

MINIMUM: Final = 13
_STARTS: Final[dict[Band, int]] = {"13-15": 13, "16-17": 16, "18+": 18}
_NEXT: Final[dict[Band, Band]] = {"13-15": "16-17", "16-17": "18+"}
_OLDEST: Final = 120
"""Years; an older birth is a slip of the finger."""


class Placed(NamedTuple):
    """A band, and when the next one begins (milliseconds; None after the last)."""

    band: Band
    next_band_ms: int | None


def place(year: int, month: int, now: int) -> Placed | Literal["too-young", "not-a-date"]:
    """The band of somebody born in this month, at this time (milliseconds)."""
    today = datetime.fromtimestamp(now / 1000, UTC)
    months = (today.year * 12 + today.month) - (year * 12 + month)
    if not 1 <= month <= 12 or months < 0 or months > _OLDEST * 12:  # noqa: PLR2004  months of a year
        return "not-a-date"
    age = (months - 1) // 12  # the month of birth itself counts as not yet
    if age < MINIMUM:
        return "too-young"
    band = max((b for b, start in _STARTS.items() if age >= start), key=lambda b: _STARTS[b])
    following = _NEXT.get(band)
    return Placed(band, None if following is None else _month_ms(year + _STARTS[following], month + 1))


def moved_on(band: Band, next_band_ms: int) -> Placed:
    """The band that follows, from the month in which the last one ended."""
    following = _NEXT[band]
    after = _NEXT.get(following)
    if after is None:
        return Placed(following, None)
    ended = datetime.fromtimestamp(next_band_ms / 1000, UTC)
    return Placed(following, _month_ms(ended.year + _STARTS[after] - _STARTS[following], ended.month))


def adult_from(band: Band, next_band_ms: int | None) -> int | None:
    """When the protections of a minor end by themselves; None when that is not known or long past."""
    while next_band_ms is not None:
        band, next_band_ms, before = *moved_on(band, next_band_ms), next_band_ms
        if band == "18+":
            return before
    return None


def protected(band: Band) -> bool:
    """Whether somebody of this band is protected as a minor: below 18, or unknown."""
    return band != "18+"


def acts_as_minor(band: Band, *, confirmed: bool) -> bool:
    """Whether she is judged as a minor in what she does towards minors.

    A band that was lowered and not reviewed gives protections, but opens no door to minors.
    """
    return confirmed and band in ("13-15", "16-17")


def is_lower(band: Band, than: Band) -> bool:
    """Whether a correction to this band only protects more: a younger band, or unknown."""
    order = ("unknown", "13-15", "16-17", "18+")
    return order.index(band) < order.index(than)


def _month_ms(year: int, month: int) -> int:
    year, month = (year + 1, 1) if month == 13 else (year, month)  # noqa: PLR2004  the month after December
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * 1000
