"""Adding a device by approval from another one of the same account.

The new device shows a code and leaves a one-time key with a proof under that code; an own device checks the proof
with the code that its owner types, and seals the identity key to it. The server carries both and can use neither.
"""

from __future__ import annotations

import msgspec

from kith.ledger.database import Reader, Tx
from kith.ledger.signals import Changed
from kith.people import devices, store
from kith.people.limits import DEFAULT, Limits


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A device that waits for approval, as the account's other devices see it."""

    device: str
    name: str
    public_key: bytes
    tag: bytes
    until_ms: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the waiting device is told."""

    until_ms: int
    sealed: bytes | None


def offer(  # noqa: PLR0917 - what a device says about itself
    tx: Tx, account: str, device: str, public_key: bytes, tag: bytes, limits: Limits = DEFAULT
) -> int | None:
    """Wait for approval, replacing an earlier offer; until when, or None for a device that needs none."""
    if devices.registered_device(tx, device) is not None or devices.identity(tx, account) is None:
        return None
    until = tx.now + limits.link_ms
    tx.run(store.LINK_END, id=device)
    tx.put(store.links, device=device, account=account, public_key=public_key, tag=tag, until_ms=until)
    tx.publish(Changed(account, "links"))
    return until


def waiting(reader: Reader, account: str) -> list[Waiting]:
    """The devices of this account that wait now."""
    rows = reader.all(store.LINKS_OF, whose=account, now=reader.now)
    return [
        Waiting(device=r.device, name=r.name, public_key=r.public_key, tag=r.tag, until_ms=r.until_ms) for r in rows
    ]


def approve(tx: Tx, account: str, approver: str, device: str, public_key: bytes, sealed: bytes) -> bool:  # noqa: PLR0917
    """Pass on what a registered device sealed to that key, once; False when nothing waits there (any more)."""
    if devices.registered_device(tx, approver) is None:
        return False
    row = tx.one(store.LINK, id=device, now=tx.now)
    if row is None or row.account != account or row.sealed is not None or row.public_key != public_key:
        return False
    tx.run(store.LINK_SEAL, id=device, box=sealed)
    return True


def answer(reader: Reader, device: str) -> Answer | None:
    """What became of this device's offer; None when it is over."""
    row = reader.one(store.LINK, id=device, now=reader.now)
    return None if row is None else Answer(until_ms=row.until_ms, sealed=row.sealed)


def withdraw(tx: Tx, device: str) -> None:
    """Wait no longer."""
    tx.run(store.LINK_END, id=device)
