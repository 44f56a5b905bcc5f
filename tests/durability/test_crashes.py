"""kill -9, a full disk, each system call that fails: nothing acknowledged is lost, and the server says why it ends."""

from __future__ import annotations

import pytest

from durability import mounts
from durability.crashes import Totals, in_a_namespace, why_not_strace
from durability.village import new_seed

KILLS = 20
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


def test_a_killed_server_has_lost_and_doubled_nothing() -> None:
    """kill -9 at random moments, start-up included; after a restart everything arrives once, in order."""
    totals = series("kill", f"--runs={KILLS}")
    assert totals.wrong == [], totals.sentence()
    assert (totals.runs, totals.acked > 0) == (KILLS, True)


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
