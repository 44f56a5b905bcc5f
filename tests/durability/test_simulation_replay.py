"""The simulation gives the same run for the same seed; and the other half of the seeds, for the other worker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from durability import simulation
from durability.simulation import ClockOfItsOwn, Order, deterministic, half_the_dose, traces
from durability.village import new_seed

SEEDS = 60

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_no_other_seed_breaks_an_invariant_either() -> None:
    """As in test_simulation.py; tests are handed to workers by file."""
    half_the_dose(5000)


def test_the_same_seed_gives_the_same_trace_in_any_order_and_process() -> None:
    """Forwards, backwards, and in a process that hashes otherwise; and other seeds give other traces."""
    first = new_seed()
    seeds = range(first, first + SEEDS)
    print(f"seeds from {first}")
    here = traces(seeds)
    assert again(seeds) == here
    assert elsewhere(first) == here
    assert len(set(here)) > SEEDS * 0.8


def again(seeds: Sequence[int], order: Order = deterministic) -> list[str]:
    """The traces as they are found backwards."""
    return traces(seeds[::-1], order)[::-1]


def elsewhere(first: int) -> list[str]:
    """The traces as another process finds them."""
    command = [sys.executable, simulation.__file__, "--traces", f"--first={first}", f"--seeds={SEEDS}"]
    others = os.environ | {"PYTHONHASHSEED": "20261122"}
    return subprocess.run(command, env=others, check=True, capture_output=True, text=True).stdout.split()


def test_a_clock_of_its_own_in_the_server_is_found_out() -> None:
    """The control: a server that ends its batches by a clock which no seed decides does not repeat itself."""
    seeds, clock = range(SEEDS), ClockOfItsOwn()
    assert again(seeds, clock) != traces(seeds, clock)
