"""Numbers of the authorities room, each with its unit, default and reason."""

from __future__ import annotations

from dataclasses import dataclass

from kith.ledger.limits import DAY, HOUR, SECOND, limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a deployment may tune; retention may only grow."""

    attempts: int = limit(10, "attempts per call", "the CyberTipline's own bound for retries; then a person looks")
    attempts_within_ms: int = limit(30 * DAY, "ms", "an attempt older than this no longer counts as one")
    first_wait_ms: int = limit(30 * SECOND, "ms", "the wait after the first failure; it doubles each time")
    longest_wait_ms: int = limit(2 * HOUR, "ms", "ten attempts fit into the day in which an open report lives")
    deletion_window_ms: int = limit(24 * HOUR, "ms", "the receiver deletes what was opened and not finished by then")
    call_timeout_ms: int = limit(30 * SECOND, "ms", "an answer that takes longer is treated as lost")
    notes_characters: int = limit(3_000, "characters", "the receiver's own bound for free text")
    check_integrity_ms: int = limit(7 * DAY, "ms", "what is kept for a year is looked at every week")


DEFAULT = Limits()
