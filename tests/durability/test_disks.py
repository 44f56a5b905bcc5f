"""Disks that fail: cut off at any moment, full, or one system call at a time. Nothing acknowledged is lost.

All of them are in this file, because tests are handed to workers by file and loop devices starve each other.
"""

from __future__ import annotations

import pytest

from durability import mounts, powercuts
from durability.crashes import Totals, in_a_namespace, why_not_strace
from durability.village import new_seed

CUTS = 100
CONTROL_CUTS = 10
FULL = 6
STEPS = {"fdatasync": 3, "openat": 1, "ftruncate": 1, "unlink": 1, "pwrite64": 40}
"""Of the n-th calls of a kind every so-maniest fails here; `crashes.py calls` has all of them."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def needs(*reasons: str | None) -> None:
    """Skip, loudly, with the first reason."""
    for reason in reasons:
        if reason is not None:
            pytest.skip(f"!! NOTHING FAILED HERE, this is NOT proven on this machine: {reason}")


def series(what: str, *words: str) -> Totals:
    """Run it and print what it came to."""
    totals = in_a_namespace(what, f"--seed={new_seed()}", *words)
    print(totals.sentence())
    return totals


def cuts(count: int, synchronous: str = "FULL") -> powercuts.Totals:
    """A series; skipped, loudly, where no file system can be cut off."""
    reason = mounts.why_not()
    if reason is not None:
        pytest.skip(f"!! NO POWER WAS CUT, durability is NOT proven here: {reason}")
    totals = powercuts.in_a_namespace(new_seed(), count, synchronous)
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


def test_a_full_disk_stops_the_server_with_a_sentence() -> None:
    """The last block goes while devices write: read-only or code 74, every ack kept, and with space all goes on."""
    needs(mounts.why_not())
    totals = series("full", f"--runs={FULL}")
    assert totals.wrong == [], totals.sentence()
    assert totals.stopped > 0
    assert totals.calm > 0


@pytest.mark.parametrize(("call", "step"), STEPS.items())
def test_a_failing_system_call_stops_the_server_before_it_confirms_anything(call: str, step: int) -> None:
    """The n-th call fails, for n up to a run that passes clean: exit code 74, a sentence, and no ack without a sync."""
    needs(mounts.why_not(), why_not_strace())
    totals = series("calls", f"--calls={call}", f"--step={step}", "--errors", "EIO", "ENOSPC")
    assert totals.wrong == [], totals.sentence()
    assert totals.injected > 0


def test_a_server_that_goes_on_after_a_failure_is_found_out() -> None:
    """The control: with errors of COMMIT swallowed, acknowledged messages are missing after the power cut."""
    needs(mounts.why_not(), why_not_strace())
    totals = series("calls", "--calls=fdatasync", "--step=8", "--errors=EIO", "--forgiving")
    assert totals.wrong, totals.sentence()
