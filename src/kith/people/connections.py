"""Who is connected with whom. Both sides agreed, or there is no connection."""

from __future__ import annotations

from typing import Literal, NamedTuple

from kith.ledger.database import Reader, Tx
from kith.ledger.events import ConnectionEnded, ConnectionGranted
from kith.people import ages, store

State = Literal["connected", "restricted"]


class Connection(NamedTuple):
    """Another person as the list of connections shows her; `restricted` = over, whatever the cause."""

    account: str
    handle: str
    display_name: str
    room: str | None
    since_ms: int
    state: State


def pair(a: str, b: str) -> tuple[str, str]:
    """The two ids in the order in which they are stored."""
    return (a, b) if a < b else (b, a)


def connected(reader: Reader, a: str, b: str) -> bool:
    """Whether the two are connected now."""
    one, other = pair(a, b)
    row = reader.one(store.CONNECTION, a=one, b=other)
    return row is not None and row.ended_ms is None


def known(reader: Reader, viewer: str, other: str) -> bool:
    """Whether the two are connected, or ever were. Blocks do not change it: one may block again."""
    one, another = pair(viewer, other)
    return reader.one(store.CONNECTION, a=one, b=another) is not None


def grant(tx: Tx, a: str, b: str) -> None:
    """Connect two people; both must have agreed. Nothing happens when they already are."""
    if a == b:
        raise ValueError("nobody is connected with herself")
    if not connected(tx, a, b):
        one, other = pair(a, b)
        tx.append(ConnectionGranted(one=one, other=other))


def end(tx: Tx, a: str, b: str) -> None:
    """End a connection; nothing happens when there is none."""
    if connected(tx, a, b):
        one, other = pair(a, b)
        tx.append(ConnectionEnded(one=one, other=other))


def of(reader: Reader, account: str) -> list[str]:
    """The accounts that this one is connected with now."""
    return [row.account for row in reader.all(store.CONNECTED_TO, me=account)]


def mutual(reader: Reader, viewer: str, other: str) -> int:
    """How many people both know, as `viewer` may see it.

    A minor's connections are nobody's business: an adult viewer is told 0 about a minor, and minors among
    the shared people are counted only for a viewer who is a minor too.
    """
    if _minor(reader, viewer):
        return len(_shared(reader, viewer, other))
    if _minor(reader, other):
        return 0
    return sum(1 for account in _shared(reader, viewer, other) if not _minor(reader, account))


def _shared(reader: Reader, a: str, b: str) -> set[str]:
    return set(of(reader, a)) & set(of(reader, b))


def _minor(reader: Reader, account: str) -> bool:
    row = reader.one(store.ACCOUNT, id=account)
    return row is None or ages.protected(row.band)


def listed(reader: Reader, account: str) -> list[Connection]:
    """The connections of an account as its owner sees them, oldest first."""
    return [
        Connection(
            account=row.account,
            handle=row.handle,
            display_name=row.display_name,
            room=row.room,
            since_ms=row.since_ms,
            state="connected" if row.ended_ms is None else "restricted",
        )
        for row in reader.all(store.CONNECTIONS_OF, me=account)
    ]
