"""Whether an account may act in a room now, asked in the transaction of the act itself."""

from __future__ import annotations

from typing import NamedTuple

from kith.ledger.database import Reader, Tx
from kith.ledger.decision import Decision
from kith.messaging import store
from kith.messaging.flows.limiting import refused
from kith.messaging.outcomes import ABSENT, Refusal
from kith.messaging.writing import NOT_ALLOWED, Between, may_write
from kith.people import blocks, connections, enforcement
from kith.people.standing import in_the_way

POLICY = "messaging.writing"


class Sender(NamedTuple):
    """Who acts, on which device: taken from the session, never from what was sent."""

    account: str
    device: str


class Place(NamedTuple):
    """A room in which this account may write, and who belongs to it, she included."""

    room: str
    account: str
    accounts: tuple[str, ...]
    adds_accounts: bool = True
    """Whether her devices may bring accounts into the MLS group that have no leaf in it yet."""


def judge(reader: Reader, account: str, room: str) -> tuple[Place | None, Decision]:
    """The place (None when the account is not of this room) and whether it may write there now."""
    row = reader.one(store.ROOM, id=room)
    if row is None or account not in (row.one, row.other):
        nobody = Between(member=False, connected=False, blocked=False, other_suspended=False, own_measure=None)
        return None, may_write(nobody)
    other = row.other if account == row.one else row.one
    measure = in_the_way(enforcement.standing(reader, account), "send")
    between = Between(
        member=True,
        connected=connections.connected(reader, account, other),
        blocked=blocks.either(reader, account, other),
        other_suspended=not enforcement.standing(reader, other).can_send,
        own_measure=None if measure is None else measure.id,
    )
    return Place(room, account, (account, other)), may_write(between)


def may_write_here(tx: Tx, account: str, room: str) -> Place | Refusal:
    """The place, or the refusal to answer with: one's own standing by name, everything else in one sentence."""
    place, decision = judge(tx, account, room)
    if place is None:
        return ABSENT
    if decision.allowed:
        return place
    reason = decision.reasons[0]
    if reason.rule != "standing":
        return Refusal("not_allowed", NOT_ALLOWED)
    measure = in_the_way(enforcement.standing(tx, account), "send")
    cause = "" if measure is None else measure.id
    return refused(tx, POLICY, account, decision, {"room": room, "measure": cause}, code="restricted", cause=cause)
