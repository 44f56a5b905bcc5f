"""Which devices want to be woken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kith.ledger.database import Reader, Tx
from kith.ledger.signals import PushChanged
from kith.messaging import store
from kith.messaging.limits import DEFAULTS, Limits
from kith.messaging.push import Subscription

MOST = 200
"""Rows of one piece of the sweep."""


def subscribe(tx: Tx, wanted: Subscription) -> None:
    """Wake this device here from now on; what it muted stays muted."""
    before = of(tx, wanted.device)
    tx.run(store.PUSH_GONE, whose=wanted.device)
    tx.put(
        store.pushes,
        device=wanted.device,
        account=wanted.account,
        endpoint=wanted.endpoint,
        p256dh=wanted.p256dh,
        auth=wanted.auth,
        quiet="\n".join(sorted(before.quiet if before else ())),
        renewed_ms=tx.now,
    )
    tx.publish(PushChanged(wanted.device))


def mute(tx: Tx, device: str, rooms: Sequence[str]) -> bool:
    """These rooms, and no others, do not wake it; False when it is not woken at all."""
    if of(tx, device) is None:
        return False
    tx.run(store.PUSH_QUIET, whose=device, rooms_="\n".join(sorted(set(rooms))))
    tx.publish(PushChanged(device))
    return True


def unsubscribe(tx: Tx, device: str) -> None:
    """Do not wake it any more."""
    tx.run(store.PUSH_GONE, whose=device)
    tx.publish(PushChanged(device))


def forgotten(tx: Tx, device: str, endpoint: str) -> None:
    """Its push service knows this address no more (404 or 410); a newer one stays."""
    tx.run(store.PUSH_AT, whose=device, at_=endpoint)
    tx.publish(PushChanged(device))


def sweep(tx: Tx, limits: Limits = DEFAULTS) -> bool:
    """Forget devices that were silent for long; True when there may be more."""
    old = tx.all(store.PUSHES_OLD, before=tx.now - limits.push_silence_ms, most=MOST)
    for row in old:
        unsubscribe(tx, row.device)
    return len(old) == MOST


def of(reader: Reader, device: str) -> Subscription | None:
    """How this device is woken."""
    row = reader.one(store.PUSH, whose=device)
    return None if row is None else _subscription(row)


def everyone(reader: Reader) -> list[Subscription]:
    """All of them, at start-up."""
    return [_subscription(row) for row in reader.all(store.PUSHES)]


def _subscription(row: Any) -> Subscription:  # noqa: ANN401  a row
    quiet = frozenset(row.quiet.split("\n")) - {""}
    return Subscription(row.device, row.account, row.endpoint, row.p256dh, row.auth, quiet)
