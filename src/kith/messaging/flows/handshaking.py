"""Accepting commits: one per epoch, only what was consented to, and everybody concerned gets mail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from kith.ledger.database import Reader, Row, Tx
from kith.ledger.decision import Decision, refuse
from kith.ledger.events import EpochAdvanced, MembershipEnded, MembershipStarted
from kith.ledger.limits import SECOND
from kith.messaging import store
from kith.messaging.flows.delivery import answered, overfull, post, remember
from kith.messaging.flows.key_packages import obtainable
from kith.messaging.flows.limiting import refused
from kith.messaging.flows.writing import Place, Sender, devices_of, may_write_here, newcomers
from kith.messaging.flows.writing import judge as judge_writing
from kith.messaging.handshakes import Circumstances, Handshake, Member, Submitted, epoch_of, judge, read, rule_of
from kith.messaging.limits import DEFAULTS
from kith.messaging.outcomes import Accepted, Refusal
from kith.messaging.writing import NOT_ALLOWED
from kith.protocol.frames import COMMIT, WELCOME
from kith.protocol.wire import Malformed

POLICY = "messaging.handshakes"
ROSTER_MOVED_MS = 1_000
"""Who belongs here may have changed after the commit was made: a device that looks again is soon right."""


class Before(NamedTuple):
    """A room's group as a commit may find it: its epoch and public state, None before the first commit."""

    epoch: int | None
    group_info: bytes | None


class Rejected(NamedTuple):
    """What the checks before the flow found; the flow records it."""

    decision: Decision


def group_of(reader: Reader, account: str, room: str) -> Before | None:
    """The stored group of a room; None when this account may not write there, so that nothing more is done for it."""
    if judge_writing(reader, account, room, handshake=True)[1].refused:
        return None
    head = reader.one(store.HEAD, id=room)
    return None if head is None else Before(head.epoch, head.group_info)


def prepare(
    submitted: Submitted, before: Before | None, *, server: str, room: str, device: str, now_ms: int
) -> Handshake | Rejected | Refusal:
    """Everything about a commit that needs no transaction: parsing, signatures, the tree. Runs before the flow.

    A commit of another epoch goes no further than its header; one from somebody who may not write is not even looked
    at, and the flow names the cause.
    """
    if before is None:
        return Refusal("not_allowed", NOT_ALLOWED)
    try:
        epoch = epoch_of(submitted.commit)
        if epoch != (before.epoch or 0):
            return Refusal("wrong_epoch", str(before.epoch or 0))
        now_s = now_ms // SECOND
        return read(submitted, server=server, room=room, device=device, previous=before.group_info, now_s=now_s)
    except Malformed as flaw:
        return Rejected(refuse(rule_of(flaw), f"The commit is not acceptable: {flaw}."))


def commit(
    tx: Tx, sender: Sender, key: bytes, room: str, handshake: Handshake | Rejected | Refusal
) -> Accepted | Refusal:
    """Move a room's group to its next epoch, if this commit is the first of its epoch and does what it may.

    A repeat gets the first answer, also when the epoch has moved on by its own success. The epoch is compared with
    that of the base on which the commit was verified: each epoch has one commit, so no other base can have it.
    """
    first = answered(tx, sender.device, key)
    if first is not None:
        return first
    place = may_write_here(tx, sender.account, room, handshake=True)
    if isinstance(place, Refusal):
        return place
    if isinstance(handshake, Rejected):
        return _refused(tx, sender, room, handshake.decision)
    return handshake if isinstance(handshake, Refusal) else _next_epoch(tx, sender, key, place, handshake)


def _next_epoch(tx: Tx, sender: Sender, key: bytes, place: Place, handshake: Handshake) -> Accepted | Refusal:
    room = place.room
    head, before = tx.one(store.HEAD_NUMBERS, id=room), tx.all(store.LEAVES, id=room)
    if head is None or (head.epoch or 0) != handshake.epoch:
        return Refusal("wrong_epoch", str(0 if head is None else head.epoch or 0))
    hindrance = overfull(tx, room, before, sender, limits=DEFAULTS)
    if hindrance is not None:
        return hindrance
    decision = judge(handshake, _circumstances(tx, sender, place, handshake, before))
    if decision.refused:
        return _refused(tx, sender, room, decision)._replace(retry_after_ms=ROSTER_MOVED_MS)
    turn = _Turn(room, sender, head.room_pos + 1, max(tx.now, head.last_ms), before, handshake)
    return _accept(tx, key, turn, head.room_seq)


def _refused(tx: Tx, sender: Sender, room: str, decision: Decision) -> Refusal:
    """Every refused commit has a recorded decision, once a day for each rule and room: `kith why ROOM` shows it."""
    known = {"room": room, "device": sender.device}
    return refused(tx, POLICY, sender.account, decision, known, code="invalid", cause=room)


def _circumstances(
    reader: Reader, sender: Sender, place: Place, handshake: Handshake, before: list[Row]
) -> Circumstances:
    """The facts of this transaction for checks 6 to 9."""
    registered = {device: Member(*row) for device, row in devices_of(reader, place).items()}
    there = {leaf.device: leaf.account for leaf in before}
    return Circumstances(
        sender=sender.account,
        closed=newcomers(reader, place),
        begins=place.brings_people,
        registered=registered,
        before=there,
        due={leaf.device for leaf in before if not leaf.live},
        granted={device: ref for device, ref in handshake.added.items() if _granted(reader, place.room, sender, ref)},
        addable=_addable(reader, place, registered, there, handshake),
        most=DEFAULTS.group_leaves,
    )


def _addable(
    reader: Reader, place: Place, registered: Mapping[str, Member], before: Mapping[str, str], handshake: Handshake
) -> set[str]:
    """The devices of newcomers that were left out although a key package could be had for them."""
    new = {member.account for member in handshake.members.values()} - set(before.values()) - {place.account}
    out = [one for one in registered.values() if one.account in new and one.device not in handshake.members]
    return {one.device for one in out if obtainable(reader, place.account, one.device, one.mls_key)}


class _Turn(NamedTuple):
    """An accepted commit: its place in the room and the leaves before it."""

    room: str
    sender: Sender
    position: int
    at_ms: int
    before: list[Row]
    handshake: Handshake


def _granted(reader: Reader, room: str, sender: Sender, ref: bytes) -> bool:
    return reader.one(store.GRANT, which=ref, id=room, by_device=sender.device, now=reader.now) is not None


def _accept(tx: Tx, key: bytes, turn: _Turn, last_seq: int) -> Accepted:
    room, handshake = turn.room, turn.handshake
    answer = Accepted(key, turn.position, turn.at_ms)
    moved = {"new_epoch": handshake.epoch + 1, "pos": turn.position, "at": turn.at_ms, "info": handshake.group_info}
    tx.run(store.HEAD_EPOCH, id=room, **moved)
    for ref in handshake.added.values():
        tx.run(store.GRANT_USED, which=ref, id=room, by_device=turn.sender.device)
    _advance(tx, turn)
    _memberships(tx, turn, last_seq)
    _mail(tx, turn)
    remember(tx, turn.sender.device, answer)
    return answer


def _advance(tx: Tx, turn: _Turn) -> None:
    handshake = turn.handshake
    known = {leaf.device for leaf in turn.before} - handshake.removed.keys()
    joined = {device: member.account for device, member in handshake.members.items() if device not in known}
    tx.append(
        EpochAdvanced(
            room=turn.room,
            epoch=handshake.epoch + 1,
            device=turn.sender.device,
            added=joined,
            removed=tuple(handshake.removed),
        )
    )


def _memberships(tx: Tx, turn: _Turn, last_seq: int) -> None:
    """An account is in the room while one of its devices is in the group; off the roster it was out at once."""
    before = {row.account for row in tx.all(store.MEMBERSHIP_OPEN, id=turn.room)}
    after = {member.account for member in turn.handshake.members.values()}
    for account in sorted(before - after):
        tx.append(MembershipEnded(room=turn.room, account=account, last_seq=last_seq))
    for account in sorted(after - before):
        tx.append(MembershipStarted(room=turn.room, account=account, first_seq=last_seq + 1))


def _mail(tx: Tx, turn: _Turn) -> None:
    """The Welcome to who was added, the commit to who was there, removed devices included, as long as they live."""
    handshake = turn.handshake
    old = [leaf.device for leaf in turn.before if leaf.live and leaf.device != turn.sender.device]
    to_old = [device for device in old if device not in handshake.added]
    for kind, body, to in ((COMMIT, handshake.commit, to_old), (WELCOME, handshake.welcome, list(handshake.added))):
        if body is None or not to:
            continue
        tx.put(store.bodies, room=turn.room, room_pos=turn.position, kind=kind, body=body, at_ms=turn.at_ms)
        for device in to:
            post(tx, device, kind, turn.room, turn.position)
