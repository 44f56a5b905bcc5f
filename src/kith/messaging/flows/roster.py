"""Who stands on a group's roster, and in which role: entering, leaving, removing, banning, the succession.

The roster is what people decided; the group's leaves follow by a member's commit. Leaving it takes effect at once:
the projection stops fan-out in the same transaction, and every commit has to carry the Removes from then on.
"""

from __future__ import annotations

from typing import NamedTuple

from kith.ledger.database import Reader, Row, Tx
from kith.ledger.decision import Decision
from kith.ledger.events import GroupBanned, GroupEntered, GroupLeft, GroupRoleChanged, GroupUnbanned, MembershipEnded
from kith.ledger.log import record
from kith.messaging import group_membership as policy
from kith.messaging import store
from kith.messaging.flows.limiting import refused
from kith.messaging.group_membership import Role
from kith.messaging.outcomes import ABSENT, Refusal

POLICY = "messaging.group_membership"


class Seat(NamedTuple):
    """Somebody's place in a group."""

    room: str
    account: str
    role: str


def seat_of(reader: Reader, account: str, room: str) -> Seat | None:
    """Her place on that roster; None when she has none, or there is no such group."""
    row = reader.one(store.PARTICIPANT, id=room, who=account)
    return None if row is None else Seat(room, account, row.role)


def inside(reader: Reader, account: str, room: str) -> Seat | None:
    """Her place when she belongs to the group; a joiner waits outside."""
    seat = seat_of(reader, account, room)
    return seat if seat is not None and seat.role in policy.INSIDE else None


def no(tx: Tx, account: str, room: str, decision: Decision) -> Refusal:
    """A refusal that concerns the person herself, recorded."""
    rule = decision.reasons[0].rule
    code = "limited" if rule.endswith("-per-day") else "restricted" if rule == "standing" else "conflict"
    code = "not_allowed" if rule in ("group-role", "group-rank") else code
    return refused(tx, POLICY, account, decision, {"room": room}, code=code, cause=room)  # type: ignore[arg-type]


def enter(
    tx: Tx, account: str, room: str, role: Role, *, by: str, vouched: bool, decision: Decision | None = None
) -> None:
    """Put somebody on the roster by her own yes."""
    made = None if decision is None else record(tx, POLICY, account, decision, {"room": room, "by": by})
    tx.append(GroupEntered(room=room, account=account, role=role, by=by, vouched=vouched, decision=made))


def end(tx: Tx, seat: Seat, how: str, by: str) -> None:
    """Take somebody off the roster, at once; the group never stays without an owner."""
    tx.append(GroupLeft(room=seat.room, account=seat.account, how=how, by=by))
    _revoke_links(tx, seat.account, seat.room)
    head = tx.one(store.HEAD_NUMBERS, id=seat.room)
    if head is not None and any(row.account == seat.account for row in tx.all(store.MEMBERSHIP_OPEN, id=seat.room)):
        tx.append(MembershipEnded(room=seat.room, account=seat.account, last_seq=head.room_seq))
    left = _standings(tx, seat.room)
    if not any(one.role in policy.INSIDE for one in left):
        tx.run(store.GROUP_PHOTO_GONE, id=seat.room)  # nobody could remove it any more
    heir = policy.successor(left)
    if heir is not None:
        tx.append(GroupRoleChanged(room=seat.room, account=heir, role="owner", by=seat.account))


def _standings(reader: Reader, room: str) -> list[policy.Standing]:
    return [policy.Standing(row.account, row.role, row.since_ms) for row in reader.all(store.PARTICIPANTS, id=room)]


def leave(tx: Tx, account: str, room: str) -> Refusal | None:
    """Go; a joiner takes her asking back. Nobody is asked for a reason."""
    seat = seat_of(tx, account, room)
    if seat is None:
        return ABSENT
    end(tx, seat, "left", account)
    return None


def remove(tx: Tx, account: str, room: str, target: str, *, ban: bool = False) -> Refusal | None:
    """Take somebody out, or turn a joiner down; with `ban` she does not come back, also when she was never in."""
    me, them = inside(tx, account, room), seat_of(tx, target, room)
    if me is None:
        return ABSENT
    decision = policy.may_remove(me.role, None if them is None else them.role)
    if decision.refused:
        return no(tx, account, room, decision)
    if them is not None:
        end(tx, them, "banned" if ban else "removed", account)
    elif ban and tx.one(store.BAN, id=room, who=target) is None and _was_here(tx, room, target):
        tx.append(GroupBanned(room=room, account=target, by=account))
    elif not ban:
        return ABSENT
    return None


def _was_here(reader: Reader, room: str, target: str) -> bool:
    """Only who was once inside can be banned afterwards: other ids answer alike and change nothing."""
    return bool(reader.all(store.MEMBERSHIPS, id=room, who=target))


def unban(tx: Tx, account: str, room: str, target: str) -> Refusal | None:
    """Lift a ban; nobody comes back by that alone."""
    me = inside(tx, account, room)
    if me is None:
        return ABSENT
    decision = policy.may_manage(me.role)
    if decision.refused:
        return no(tx, account, room, decision)
    if tx.one(store.BAN, id=room, who=target) is not None:
        tx.append(GroupUnbanned(room=room, account=target, by=account))
    return None


def give_role(tx: Tx, account: str, room: str, target: str, role: Role) -> Refusal | None:
    """Change a role; who waits is let in as a member elsewhere (`joining.let_in`)."""
    me, them = inside(tx, account, room), seat_of(tx, target, room)
    if me is None or them is None:
        return ABSENT
    owners = sum(1 for row in tx.all(store.PARTICIPANTS, id=room) if row.role == "owner")
    decision = policy.may_give_role(me.role, them.role, role, oneself=target == account, owners=owners)
    if decision.refused:
        return no(tx, account, room, decision)
    if them.role != role:
        tx.append(GroupRoleChanged(room=room, account=target, role=role, by=account))
    if not policy.manages(role):
        _revoke_links(tx, target, room)
    return None


def _revoke_links(tx: Tx, account: str, room: str) -> None:
    """Her links end with her office: they must not come to life again with a later one."""
    tx.run(store.GROUP_LINKS_OF_REVOKED, id=room, who=account, now=tx.now)


def ages_changed(tx: Tx, account: str, *, protected: bool) -> None:
    """An age was corrected: who is protected now stays only where connected people brought her in."""
    for row in tx.all(store.STANDINGS_OF, who=account):
        decision = policy.may_stay(protected=protected, vouched=bool(row.vouched))
        if decision.refused:
            record(tx, POLICY, account, decision, {"room": row.room})
            end(tx, _seat(row), "protected", account)


def _seat(row: Row) -> Seat:
    return Seat(row.room, row.account, row.role)
