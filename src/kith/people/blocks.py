"""Blocking: at once, silently, on every surface. Unblocking grants nothing."""

from __future__ import annotations

from typing import NamedTuple

from kith.ledger.database import Reader, Tx
from kith.ledger.events import Blocked, Unblocked
from kith.ledger.signals import Changed
from kith.people import connections, store


class Block(NamedTuple):
    """A blocked person as the blocker's list shows her."""

    account: str
    handle: str
    display_name: str
    since_ms: int


def blocked(reader: Reader, by: str, account: str) -> bool:
    """Whether `by` has blocked `account`."""
    return reader.one(store.BLOCK, who=by, whom=account) is not None


def either(reader: Reader, a: str, b: str) -> bool:
    """Whether one of the two has blocked the other."""
    return blocked(reader, a, b) or blocked(reader, b, a)


def block(tx: Tx, by: str, account: str) -> bool:
    """Block, and end the connection. False when there is no such person, or it is oneself.

    Only the blocker is told; the other side is not, and finds one fixed sentence whatever the cause.
    """
    if by == account or tx.one(store.ACCOUNT, id=account) is None:
        return False
    if not blocked(tx, by, account):
        connections.end(tx, by, account)
        tx.append(Blocked(by=by, account=account))
        tx.publish(Changed(by, "connections"))
        tx.publish(Changed(by, "requests"))
    return True


def unblock(tx: Tx, by: str, account: str) -> None:
    """Lift a block; the connection stays ended, and nothing pending comes back."""
    if blocked(tx, by, account):
        tx.append(Unblocked(by=by, account=account))
        tx.publish(Changed(by, "connections"))


def of(reader: Reader, by: str) -> list[Block]:
    """Whom a person has blocked, oldest first."""
    return [
        Block(row.account, row.handle, row.display_name, row.since_ms) for row in reader.all(store.BLOCKS_BY, who=by)
    ]
