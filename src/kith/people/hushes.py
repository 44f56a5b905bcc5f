"""Restricting: somebody's messages wait with the requests, without a word, and she never learns of it.

Screens say "restrict". Here it is a hush, because `restricted` means other things on the wire: a measure against
one's own account, and a connection that is over. A hush is no measure and no limit: it changes nothing that the other
side is told, gets or can measure. The server keeps it so that all devices of a person agree, and asks itself one thing
about it: whether a message may wake them. A block is apart from it, and wins: lifting one leaves the other.
"""

from __future__ import annotations

from typing import NamedTuple

from kith.ledger.database import Reader, Tx
from kith.ledger.events import Hushed, Unhushed
from kith.ledger.signals import Changed, HushChanged
from kith.people import store


class Hush(NamedTuple):
    """A restricted person as she is listed for whoever restricted her."""

    account: str
    handle: str
    display_name: str
    since_ms: int


class Pair(NamedTuple):
    """Who restricted whom."""

    by: str
    account: str


def hushed(reader: Reader, by: str, account: str) -> bool:
    """Whether `by` restricts `account`."""
    return reader.one(store.HUSH, who=by, whom=account) is not None


def hush(tx: Tx, by: str, account: str) -> bool:
    """Restrict somebody. False when there is no such person, or it is oneself. Only one's own devices are told."""
    if by == account or tx.one(store.ACCOUNT, id=account) is None:
        return False
    if not hushed(tx, by, account):
        tx.append(Hushed(by=by, account=account))
        _tell(tx, HushChanged(by, account, hushed=True))
    return True


def unhush(tx: Tx, by: str, account: str) -> None:
    """Restrict her no longer."""
    if hushed(tx, by, account):
        tx.append(Unhushed(by=by, account=account))
        _tell(tx, HushChanged(by, account, hushed=False))


def _tell(tx: Tx, changed: HushChanged) -> None:
    tx.publish(changed)
    tx.publish(Changed(changed.by, "connections"))


def of(reader: Reader, by: str) -> list[Hush]:
    """Whom a person restricts, longest first."""
    return [
        Hush(row.account, row.handle, row.display_name, row.since_ms) for row in reader.all(store.HUSHES_BY, who=by)
    ]


def everyone(reader: Reader) -> list[Pair]:
    """All of them, at start-up, for whoever wakes devices."""
    return [Pair(row.by, row.account) for row in reader.all(store.HUSHES)]
