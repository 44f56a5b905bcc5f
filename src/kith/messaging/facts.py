"""What app hands to other rooms about rooms and messages: membership, numbers, counters; never content."""

from __future__ import annotations

from typing import NamedTuple

from kith.ledger.database import Reader, Row
from kith.messaging import store
from kith.people import connections
from kith.people.connections import pair


class Envelope(NamedTuple):
    """That a message was accepted: for counters, dropped after 14 days. `other` is to whom it went."""

    position: int
    room: str
    room_seq: int
    account: str
    other: str
    at_ms: int
    size_bucket: int


def room_between(reader: Reader, one: str, other: str) -> str | None:
    """The direct room of two people, connected or not any more."""
    a, b = pair(one, other)
    row = reader.one(store.ROOM_OF, a=a, b=b)
    return None if row is None else str(row.room)


def met(reader: Reader, viewer: str, other: str) -> bool:
    """Whether `viewer` has been shown `other`: a connection now or once, an asking that reached her, or a room."""
    return (
        connections.known(reader, viewer, other)
        or reader.one(store.ASKED, whom=viewer, by=other) is not None
        or reader.one(store.INVITED_BY, me=viewer, whom=other) is not None
        or fellows(reader, viewer, other)
        or reader.one(store.SHARED_ROOM, me=viewer, whom=other) is not None
    )


def fellows(reader: Reader, one: str, other: str) -> bool:
    """Whether the two belong to one group now."""
    return reader.one(store.FELLOW, who=one, whom=other) is not None


def people_of(reader: Reader, room: str) -> tuple[str, str] | None:
    """The two accounts of a room; None when there is no such room."""
    row = reader.one(store.ROOM, id=room)
    return None if row is None else (row.one, row.other)


def was_member(reader: Reader, room: str, account: str, room_seq: int) -> bool:
    """Whether the account was in the room when that message was accepted (report check 8)."""
    return any(
        row.first_seq <= room_seq and (row.last_seq is None or room_seq <= row.last_seq)
        for row in reader.all(store.MEMBERSHIPS, id=room, who=account)
    )


def last_seq(reader: Reader, room: str) -> int:
    """The number of the room's last message; 0 before the first."""
    head = reader.one(store.HEAD_NUMBERS, id=room)
    return 0 if head is None else int(head.room_seq)


def envelopes_after(reader: Reader, position: int, most: int = 500) -> list[Envelope]:
    """Envelopes behind a position, oldest first."""
    return [_envelope(reader, row) for row in reader.all(store.ENVELOPES_AFTER, after=position, most=most)]


def _envelope(reader: Reader, row: Row) -> Envelope:
    one, other = people_of(reader, row.room) or (row.account, row.account)
    to = other if row.account == one else one
    return Envelope(row.envelope, row.room, row.room_seq, row.account, to, row.at_ms, row.size_bucket)


def held(reader: Reader, account: str) -> object:
    """What this room holds about an account, as far as it is hers to see: for her export."""
    sent = [
        {"request": row.request, "to": row.typed or "", "sent_ms": row.sent_ms, "accepted": row.outcome == "accepted"}
        for row in reader.all(store.SENT, who=account, since=0, most=10_000)
    ]
    rooms = [
        {
            "room": row.room,
            "with": row.other if row.one == account else row.one,
            "created_ms": row.created_ms,
            "memberships": [
                {"first_seq": m.first_seq, "last_seq": m.last_seq}
                for m in reader.all(store.MEMBERSHIPS, id=row.room, who=account)
            ],
        }
        for row in reader.all(store.ROOMS_WITH, who=account)
    ]
    groups = [
        {"room": row.room, "role": row.role, "since_ms": row.since_ms, "brought_by": row.brought_by}
        for row in reader.all(store.STANDINGS_OF, who=account)
    ]
    invited = [
        {"room": row.room, "to": row.typed or "", "sent_ms": row.sent_ms, "joined": row.outcome == "accepted"}
        for row in reader.all(store.INVITATIONS_SENT, who=account, since=0, most=10_000)
    ]
    attachments = [
        {
            "blob": row.blob,
            "size": row.size,
            "received": row.received,
            "created_ms": row.created_ms,
            "complete_ms": row.complete_ms,
            "expires_ms": row.expires_ms,
        }
        for row in reader.all(store.BLOBS_OF, who=account)
    ]
    return {
        "requests_sent": sent,
        "rooms": rooms,
        "groups": groups,
        "group_invitations_sent": invited,
        "attachments": attachments,
    }
