"""Delivery and the order of commits under simulation: seeds without a violation, and planted bugs that are caught."""

from __future__ import annotations

import pytest

from durability.simulation import run_many, run_seed, staged
from durability.village import new_seed

SEEDS = 2000
SECONDS = 90
"""The dose here ends at whichever comes first, and says how many seeds it was; `simulation.py --seeds` has no end."""
ENOUGH = 200
CAUGHT_BY = {
    "ack-before-fsync": 5,
    "lost-dedupe": 0,
    "stale-epoch": 7,
    "lost-mailbox-row": 0,
    "cursor-off-by-one": 1,
}
"""Planted bugs, and the first seed from 0 on that catches each."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_no_seed_breaks_an_invariant() -> None:
    """Loss, duplicates, broken connections, crashes, clock jumps: all arrives once, in order, in its epoch."""
    first = new_seed()
    totals = run_many(first, SEEDS, seconds=SECONDS)
    print(f"from seed {first}: {totals.sentence()}")
    assert totals.bad == []
    assert totals.seeds >= ENOUGH
    assert totals.crashes > 0
    assert totals.commits > 0


@pytest.mark.parametrize(("plant", "seed"), CAUGHT_BY.items())
def test_a_planted_bug_is_caught(plant: str, seed: int) -> None:
    """The controls: the same seed is silent about the product as it is."""
    with staged() as stage:
        assert run_seed(stage, seed, plant).faults
        assert run_seed(stage, seed).faults == []
