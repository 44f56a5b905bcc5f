"""What is forgotten, and when. Each function runs in a flow, and again later if it did not finish."""

from __future__ import annotations

from kith.ledger.database import Tx
from kith.people import sessions, store
from kith.people.limits import DEFAULT, Limits

MOST = 200
"""Devices signed out per run, so that no flow is long."""


def sweep(tx: Tx, limits: Limits = DEFAULT) -> None:
    """Forget waits and limits that are over, old sign-in addresses, and sessions long unused."""
    tx.run(store.WAITS_OVER, now=tx.now)
    tx.run(store.BUCKETS_FULL, now=tx.now)
    tx.run(store.LINKS_OVER, now=tx.now)
    tx.run(store.SIGN_INS_OLD, before=tx.now - limits.sign_in_kept_ms)
    for row in tx.all(store.IDLE_DEVICES, before=tx.now - limits.idle_device_ms, most=MOST):
        sessions.destroy(tx, row.account, row.device)
