"""Nobody is treated as older than she may be."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kith.people import ages
from kith.people.ages import Placed, place


def ms(year: int, month: int, day: int = 1, *, before: int = 0) -> int:
    """Midnight UTC of that day, in milliseconds, less `before`."""
    return int(datetime(year, month, day, tzinfo=UTC).timestamp() * 1000) - before


@pytest.mark.parametrize(
    ("year", "month", "now", "expected"),
    [
        (2012, 2, ms(2025, 2, 28), "too-young"),
        (2012, 2, ms(2025, 3, 1, before=1), "too-young"),
        (2012, 2, ms(2025, 3, 1), Placed("13-15", ms(2028, 3))),
        (2008, 12, ms(2022, 1, 1, before=1), "too-young"),
        (2008, 12, ms(2022, 1, 1), Placed("13-15", ms(2025, 1))),
        (2008, 12, ms(2025, 1, 1), Placed("16-17", ms(2027, 1))),
        (2008, 12, ms(2027, 1, 1, before=1), Placed("16-17", ms(2027, 1))),
        (2008, 12, ms(2027, 1, 1), Placed("18+", None)),
        (2026, 6, ms(2026, 6, 15), "too-young"),
        (2026, 7, ms(2026, 6, 15), "not-a-date"),
        (2000, 0, ms(2026, 6, 15), "not-a-date"),
        (2000, 13, ms(2026, 6, 15), "not-a-date"),
        (1905, 1, ms(2026, 6, 15), "not-a-date"),
        (10**30, 1, ms(2026, 6, 15), "not-a-date"),
        (-5, 1, ms(2026, 6, 15), "not-a-date"),
    ],
)
def test_a_birthday_counts_from_the_month_after(year: int, month: int, now: int, expected: object) -> None:
    """Leap days, Decembers, the very millisecond, and what is no date at all."""
    assert place(year, month, now) == expected


def _age(born: date, on: date) -> int:
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


DAYS = st.dates(min_value=date(1930, 1, 1), max_value=date(2025, 12, 31))


@given(born=DAYS, today=st.dates(min_value=date(2026, 1, 1), max_value=date(2045, 12, 31)))
def test_no_day_of_birth_makes_anybody_older_than_she_is(born: date, today: date) -> None:
    """Whatever the day was, the band says at most the true age, and lags by a month at most."""
    placed = place(born.year, born.month, ms(today.year, today.month, today.day))
    if placed == "not-a-date":
        assert _age(born, today) >= 119
        return
    floor = {"too-young": 0, "13-15": 13, "16-17": 16, "18+": 18}
    band = placed if isinstance(placed, str) else placed.band
    assert floor[band] <= _age(born, today)
    later = today + timedelta(days=31)
    next_floor = {"too-young": 13, "13-15": 16, "16-17": 18, "18+": 999}[band]
    assert (
        _age(born, today) < next_floor or place(born.year, born.month, ms(later.year, later.month, later.day)) != placed
    )


@given(born=DAYS, start=st.integers(min_value=0, max_value=40 * 12))
def test_moving_on_arrives_where_asking_again_would(born: date, start: int) -> None:
    """A stored band that moves on by itself equals the band of somebody who signs up that month."""
    year, month = 2026 + start // 12, 1 + start % 12
    placed = place(born.year, born.month, ms(year, month))
    while isinstance(placed, Placed) and placed.next_band_ms is not None:
        at = placed.next_band_ms
        placed = ages.moved_on(placed.band, at)
        assert placed == place(born.year, born.month, at)


@pytest.mark.parametrize(
    ("band", "ends", "expected"),
    [
        ("13-15", ms(2028, 3), ms(2030, 3)),
        ("16-17", ms(2027, 1), ms(2027, 1)),
        ("18+", None, None),
        ("unknown", None, None),
    ],
)
def test_protections_end_when_adulthood_begins(band: ages.Band, ends: int | None, expected: int | None) -> None:
    """The screen names the month in which they end."""
    assert ages.adult_from(band, ends) == expected


@pytest.mark.parametrize(
    ("band", "confirmed", "target", "actor"),
    [
        ("13-15", True, True, True),
        ("16-17", True, True, True),
        ("18+", True, False, False),
        ("unknown", True, True, False),
        ("unknown", False, True, False),
        ("13-15", False, True, False),
        ("16-17", False, True, False),
    ],
)
def test_an_unreviewed_age_protects_but_opens_no_door(
    band: ages.Band, confirmed: bool, target: bool, actor: bool
) -> None:
    """Claiming to be younger gives protections at once, and no access to minors."""
    assert ages.protected(band) is target
    assert ages.acts_as_minor(band, confirmed=confirmed) is actor
