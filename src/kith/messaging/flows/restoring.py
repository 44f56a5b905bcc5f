"""After an older copy of the database was put back: nothing that was handed out since is handed out again."""

from __future__ import annotations

from kith.ledger.database import Tx
from kith.messaging import store
from kith.messaging.flows.delivery import number_mails

LEAP = 1_000_000
"""Positions and numbers left free in every room, at least: more than were given since any backup one would restore."""
PER_SECOND = 10
"""Further ones for each second since the backup: who restores the same one again must not meet what the first restore
gave out. The largest leap that clients believe (a thousand million) is that of a backup three years old."""


def far(age_ms: int) -> int:
    """How far to leap from a backup of this age."""
    return LEAP + PER_SECOND * max(0, age_ms // 1000)


def leap(tx: Tx, by: int) -> None:
    """Leave a gap in every room, and forget key packages that may have been given away meanwhile.

    What was sent after the backup is gone from the server but not from the devices. A message with a position or number
    that was used already would be taken for a copy, or be franked twice; behind a gap it is new, and clients show that
    something is missing. A key package that is used twice would betray both its uses; devices bring new ones.
    """
    tx.run(store.HEADS_LEAP, by=by)
    number_mails(tx, by)
    tx.run(store.UNISSUED_GONE)
