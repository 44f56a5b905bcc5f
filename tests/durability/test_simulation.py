"""Delivery and the order of commits under simulation: half of the seeds, and planted bugs that are caught."""

from __future__ import annotations

import pytest

from durability.simulation import half_the_dose, run_seed, staged

CAUGHT_BY = {
    "ack-before-fsync": 29,
    "lost-dedupe": 0,
    "stale-epoch": 10,
    "lost-mailbox-row": 3,
    "cursor-off-by-one": 1,
}
"""Planted bugs, and the first seed from 0 on that catches each."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_no_seed_breaks_an_invariant() -> None:
    """Loss, duplicates, broken connections, crashes, clock jumps: all arrives once, in order, in its epoch."""
    half_the_dose(0)


@pytest.mark.parametrize(("plant", "seed"), CAUGHT_BY.items())
def test_a_planted_bug_is_caught(plant: str, seed: int) -> None:
    """The controls: the same seed is silent about the product as it is."""
    with staged() as stage:
        assert run_seed(stage, seed, plant).faults
        assert run_seed(stage, seed).faults == []
