"""A network at its worst between real devices and a real server: nothing lost, nothing seen twice, memory bounded."""

from __future__ import annotations

import pytest

from durability.chaos import alone
from durability.village import new_seed

MESSAGES = 10_000
PACED = 800
GROWTH_MB = 150
"""More memory than this for so few messages would be a queue without a bound."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_nothing_is_lost_or_doubled_in_chaos() -> None:
    """Latency, dripping bytes, resets, half-open and overtaken connections; every device repeats until answered."""
    totals = alone(new_seed(), MESSAGES)
    print(totals.sentence())
    assert (totals.lost, totals.doubled, totals.wrong) == (0, 0, []), totals.sentence()
    assert totals.acked == totals.messages >= MESSAGES
    assert sum(totals.endings.values()) > 0
    assert totals.rss_most_mb - totals.rss_first_mb < GROWTH_MB, totals.sentence()


def test_order_holds_under_limits_of_pace_with_one_message_under_way() -> None:
    """As people's clients send: what is refused as `limited` goes out again before anything that was said later."""
    totals = alone(new_seed(), PACED, "--paced")
    print(totals.sentence())
    assert (totals.lost, totals.doubled, totals.wrong) == (0, 0, []), totals.sentence()
    assert totals.acked == totals.messages >= PACED
    assert sum(totals.endings.values()) > 0


def test_a_server_that_forgets_its_answers_is_found_out() -> None:
    """The control: repeats are then accepted again, and seen twice."""
    totals = alone(new_seed(), 3000, "--forgetful")
    assert totals.doubled > 0 or totals.wrong, totals.sentence()
