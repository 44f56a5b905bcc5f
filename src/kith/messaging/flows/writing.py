"""Whether an account may act in a room now, asked in the transaction of the act itself."""

from __future__ import annotations

from typing import NamedTuple

from kith.ledger.database import Reader, Tx
from kith.ledger.decision import Decision
from kith.messaging import group_membership, store
from kith.messaging.flows.limiting import refused
from kith.messaging.outcomes import ABSENT, Refusal
from kith.messaging.writing import NOT_ALLOWED, Between, may_write
from kith.people import blocks, connections, devices, enforcement
from kith.people.standing import in_the_way

POLICY = "messaging.writing"


class Sender(NamedTuple):
    """Who acts, on which device: taken from the session, never from what was sent."""

    account: str
    device: str


class Place(NamedTuple):
    """A room in which this account may write. `other` is empty in a group."""

    room: str
    account: str
    other: str = ""
    brings_people: bool = True
    """Whether her devices may bring accounts into the MLS group that were never in it, and begin it."""


def judge(reader: Reader, account: str, room: str, *, handshake: bool = False) -> tuple[Place | None, Decision]:
    """The place (None when the account is not of this room) and whether it may write there now.

    `handshake`: it changes the group's leaves, or fetches key packages for that, instead of sending a message.
    """
    row = reader.one(store.ROOM, id=room)
    if row is None:
        return _judge_group(reader, account, room, handshake=handshake)
    if account not in (row.one, row.other):
        nobody = Between(member=False, connected=False, blocked=False, other_suspended=False, own_measure=None)
        return None, may_write(nobody)
    other = row.other if account == row.one else row.one
    between = Between(
        member=True,
        connected=connections.connected(reader, account, other),
        blocked=blocks.either(reader, account, other),
        other_suspended=not enforcement.standing(reader, other).can_send,
        own_measure=_own_measure(reader, account),
    )
    return Place(room, account, other), may_write(between)


def _judge_group(reader: Reader, account: str, room: str, *, handshake: bool) -> tuple[Place | None, Decision]:
    row = reader.one(store.GROUP_ROLE, id=room, who=account)
    if row is None or row.role not in group_membership.INSIDE:
        return None, group_membership.may_write(group_membership.Writing(role=None))
    writing = group_membership.Writing(row.role, row.posting, handshake, _own_measure(reader, account))
    place = Place(room, account, brings_people=group_membership.manages(row.role))
    return place, group_membership.may_write(writing)


def _own_measure(reader: Reader, account: str) -> str | None:
    measure = in_the_way(enforcement.standing(reader, account), "send")
    return None if measure is None else measure.id


class OfRoom(NamedTuple):
    """A registered device of somebody who belongs to a room."""

    account: str
    device: str
    mls_key: bytes


def devices_of(reader: Reader, place: Place) -> dict[str, OfRoom]:
    """Every registered device of everybody who belongs to the room, by device."""
    if not place.other:
        rows = reader.all(store.DEVICES_INSIDE, id=place.room)
        return {row.device: OfRoom(row.account, row.device, row.mls_key) for row in rows}
    return {
        row.device: OfRoom(account, row.device, row.mls_key)
        for account in (place.account, place.other)
        for row in devices.registered(reader, account)
    }


def newcomers(reader: Reader, place: Place) -> frozenset[str]:
    """Accounts that only a manager's device may bring into the group; none for such a device.

    Who was in it before comes back by anybody's commit, for instance on a new device when the old one was lost; so do
    managers, for without any of them in the group nobody could bring in anybody.
    """
    if place.brings_people:
        return frozenset()
    return frozenset(row.account for row in reader.all(store.NEVER_IN, id=place.room)) - {place.account}


def may_write_here(tx: Tx, account: str, room: str, *, handshake: bool = False) -> Place | Refusal:
    """The place, or the refusal to answer with: one's own standing by name, everything else in one sentence."""
    place, decision = judge(tx, account, room, handshake=handshake)
    if place is None:
        return ABSENT
    if decision.allowed:
        return place
    reason = decision.reasons[0]
    if reason.rule != "standing":
        return Refusal("not_allowed", NOT_ALLOWED if reason.audience == "staff" else reason.because)
    cause = _own_measure(tx, account) or ""
    return refused(tx, POLICY, account, decision, {"room": room, "measure": cause}, code="restricted", cause=cause)
