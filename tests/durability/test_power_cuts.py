"""A power cut at any moment: what was acknowledged is there afterwards, once and in order."""

from __future__ import annotations

import pytest

from durability import mounts
from durability.powercuts import Totals, in_a_namespace
from durability.village import new_seed

CUTS = 100
CONTROL_CUTS = 10

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def cuts(count: int, synchronous: str = "FULL") -> Totals:
    """A series; skipped, loudly, where no file system can be cut off."""
    reason = mounts.why_not()
    if reason is not None:
        pytest.skip(f"!! NO POWER WAS CUT, durability is NOT proven here: {reason}")
    totals = in_a_namespace(new_seed(), count, synchronous)
    print(totals.sentence())
    return totals


def test_nothing_acknowledged_is_lost_in_a_power_cut() -> None:
    """The real server on an ext4 that forgets what was not synced: every ack that was read before is kept, once."""
    totals = cuts(CUTS)
    assert totals.cuts == CUTS
    assert totals.acked > CUTS
    assert totals.restarts > 0
    assert (totals.bad_cuts, totals.lost, totals.doubled, totals.wrong) == (0, 0, 0, []), totals.sentence()


def test_the_same_cuts_catch_a_server_that_does_not_sync() -> None:
    """The control: with synchronous=OFF planted in its process nearly every cut loses acknowledged messages."""
    totals = cuts(CONTROL_CUTS, "OFF")
    assert totals.bad_cuts >= 0.9 * CONTROL_CUTS, totals.sentence()
    assert totals.lost > 0
