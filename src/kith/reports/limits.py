"""The numbers of reporting and review."""

from __future__ import annotations

from dataclasses import dataclass

from kith.ledger.limits import DAY, HOUR, MINUTE, limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Numbers a deployment may tune; every one has a safe default."""

    note_characters: int = limit(1_000, "characters", "room for context, not for a second transcript")
    appeal_characters: int = limit(1_000, "characters", "as much as a reporter may write")
    reports_per_day: int = limit(10, "reports", "more than this from one account and the rest wait behind others")
    reports_per_day_at_most: int = limit(
        100, "reports", "beyond this only child-safety reports are taken, and of them only what is proven is kept"
    )
    reports_per_day_ever: int = limit(
        1_000, "reports", "no person sends this many; beyond it everything waits for tomorrow, so that the disk lasts"
    )
    claim_ms: int = limit(10 * MINUTE, "ms", "a forgotten case is free again soon; every act extends it")
    claim_grace_ms: int = limit(
        HOUR, "ms", "a decision being written while the claim lapsed still counts, if nobody else took the case"
    )
    due_imminent_ms: int = limit(15 * MINUTE, "ms", "somebody may be in danger now")
    due_severe_ms: int = limit(4 * HOUR, "ms", "within one shift")
    due_moderate_ms: int = limit(24 * HOUR, "ms", "the next day")
    due_low_ms: int = limit(72 * HOUR, "ms", "over a weekend")
    due_appeal_ms: int = limit(7 * DAY, "ms", "the person is waiting, restricted")
    evidence_kept_ms: int = limit(180 * DAY, "ms", "after closing, appeal included; then the key is destroyed")
    staff_session_ms: int = limit(12 * HOUR, "ms", "one shift; nobody stays signed in overnight")
    staff_attempts: int = limit(5, "attempts", "wrong passwords for one name from one address before it waits")
    staff_attempts_name: int = limit(
        50, "attempts", "wrong passwords for one name from everywhere; lets the owner in while others guess"
    )
    staff_attempts_ms: int = limit(15 * MINUTE, "ms", "how long wrong passwords count")
    views_per_shift: int = limit(120, "messages", "severe material opened in one shift; a warning comes at 80 %")
    shift_ms: int = limit(12 * HOUR, "ms", "what the exposure count looks back on")
    longest_measure_days: int = limit(365, "days", "longer than this is suspended until reversed")
