"""kill -9 at random moments: nothing acknowledged is lost, nothing is there twice, and the next start serves."""

from __future__ import annotations

import pytest

from durability.crashes import in_a_namespace
from durability.village import new_seed

KILLS = 20

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_killed_server_has_lost_and_doubled_nothing() -> None:
    """kill -9 at random moments, start-up included; after a restart everything arrives once, in order."""
    totals = in_a_namespace("kill", f"--seed={new_seed()}", f"--runs={KILLS}")
    print(totals.sentence())
    assert totals.wrong == [], totals.sentence()
    assert (totals.runs, totals.acked > 0) == (KILLS, True)
