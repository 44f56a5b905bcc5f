"""What the events of first contact, rooms and memberships say, as tables. Run inside `tx.append` and on replay."""

from __future__ import annotations

from kith.ledger.database import Projectors, Tx
from kith.ledger.events import (
    Blocked,
    DeviceRemoved,
    EpochAdvanced,
    FirstMessage,
    GroupBanned,
    GroupCreated,
    GroupEntered,
    GroupInvited,
    GroupLeft,
    GroupRoleChanged,
    GroupRulesChanged,
    GroupUnbanned,
    InvitationClosed,
    MembershipEnded,
    MembershipStarted,
    RequestAccepted,
    RequestCancelled,
    RequestDeclined,
    RequestExpired,
    RequestSent,
    RequestsForgotten,
    RoomCreated,
)
from kith.messaging import store
from kith.messaging.group_membership import manages
from kith.people.connections import pair


def _sent(tx: Tx, event: RequestSent) -> None:
    tx.put(
        store.requests,
        request=event.request,
        requester=event.requester,
        target=event.target,
        invited=int(event.invited),
        sent_ms=tx.now,
    )


def _accepted(tx: Tx, event: RequestAccepted) -> None:
    tx.run(store.CLOSE, id=event.request, what="accepted", at=tx.now, in_room=event.room)


def _declined(tx: Tx, event: RequestDeclined) -> None:
    tx.run(store.CLOSE, id=event.request, what="declined", at=tx.now, in_room=None)


def _expired(tx: Tx, event: RequestExpired) -> None:
    tx.run(store.CLOSE, id=event.request, what="expired", at=tx.now, in_room=None)


def _cancelled(tx: Tx, event: RequestCancelled) -> None:
    tx.run(store.CANCEL, id=event.request, at=tx.now)


def _blocked(tx: Tx, event: Blocked) -> None:
    """A block wins every race: what was pending between the two ends with it, both ways."""
    tx.run(store.CLOSE_BETWEEN, a=event.by, b=event.account, what="blocked", at=tx.now)
    tx.run(store.INVITATIONS_BETWEEN, a=event.by, b=event.account, what="blocked", at=tx.now)


def _forgotten(tx: Tx, event: RequestsForgotten) -> None:
    tx.run(store.FORGET_REQUESTS, before=event.requests_before_ms)
    tx.run(store.FORGET_INVITATIONS, before=event.requests_before_ms)
    tx.run(store.FORGET_MEMBERSHIPS, before=event.memberships_before_ms)


def _room(tx: Tx, event: RoomCreated) -> None:
    one, other = pair(event.one, event.other)
    tx.put(store.rooms, room=event.room, one=one, other=other, created_ms=tx.now)


def _started(tx: Tx, event: MembershipStarted) -> None:
    tx.put(store.memberships, room=event.room, account=event.account, first_seq=event.first_seq)


def _ended(tx: Tx, event: MembershipEnded) -> None:
    tx.run(store.MEMBERSHIP_ENDED, id=event.room, who=event.account, seq=event.last_seq, at=tx.now)
    tx.run(store.MEMBERSHIP_EMPTY, id=event.room, who=event.account)


def _epoch(tx: Tx, event: EpochAdvanced) -> None:
    for device in event.removed:
        tx.run(store.LEAF_GONE, id=event.room, which=device)
    for device, account in event.added.items():
        tx.put(store.leaves, room=event.room, device=device, account=account, live=1)


def _signed_out(tx: Tx, event: DeviceRemoved) -> None:
    """In the transaction of the sign-out itself: from here on nothing is delivered to it."""
    tx.run(store.LEAF_SIGNED_OUT, which=event.device)


def _first_message(tx: Tx, event: FirstMessage) -> None:
    tx.put(store.writers, room=event.room, account=event.account)


def _group(tx: Tx, event: GroupCreated) -> None:
    tx.put(store.groups, room=event.room, created_ms=tx.now, posting="everyone", approval=1)


def _rules(tx: Tx, event: GroupRulesChanged) -> None:
    tx.run(store.GROUP_RULES, id=event.room, who_writes=event.posting, waits=int(event.approval))


def _invited(tx: Tx, event: GroupInvited) -> None:
    tx.put(
        store.invitations,
        invitation=event.invitation,
        room=event.room,
        inviter=event.inviter,
        target=event.target,
        sent_ms=tx.now,
    )


def _invitation_closed(tx: Tx, event: InvitationClosed) -> None:
    if event.outcome == "cancelled":
        tx.run(store.INVITATION_CANCEL, id=event.invitation, at=tx.now)
    else:
        tx.run(store.INVITATION_CLOSE, id=event.invitation, what=event.outcome, at=tx.now)


def _entered(tx: Tx, event: GroupEntered) -> None:
    tx.put(
        store.participants,
        room=event.room,
        account=event.account,
        role=event.role,
        since_ms=tx.now,
        brought_by=event.by,
        vouched=int(event.vouched),
    )


def _role(tx: Tx, event: GroupRoleChanged) -> None:
    tx.run(store.ROLE_SET, id=event.room, who=event.account, new_role=event.role)
    if not manages(event.role):
        _out_of_office(tx, event)


def _out_of_office(tx: Tx, event: GroupRoleChanged | GroupLeft) -> None:
    """Her invitations end with her office: a later one must not bring them to life again."""
    tx.run(store.INVITATIONS_OF_OFFICE, id=event.room, who=event.account, at=tx.now)


def _left(tx: Tx, event: GroupLeft) -> None:
    """In this transaction fan-out to the account's leaves stops; the next commit has to remove them."""
    tx.run(store.PARTICIPANT_GONE, id=event.room, who=event.account)
    tx.run(store.LEAVES_DUE, id=event.room, who=event.account)
    _out_of_office(tx, event)
    if event.how == "banned":
        _ban(tx, event)


def _ban(tx: Tx, event: GroupBanned | GroupLeft) -> None:
    tx.run(store.BAN_GONE, id=event.room, who=event.account)
    tx.put(store.bans, room=event.room, account=event.account, since_ms=tx.now)


def _unbanned(tx: Tx, event: GroupUnbanned) -> None:
    tx.run(store.BAN_GONE, id=event.room, who=event.account)


PROJECTORS: Projectors = {
    RequestSent: (_sent,),
    RequestAccepted: (_accepted,),
    RequestDeclined: (_declined,),
    RequestExpired: (_expired,),
    RequestCancelled: (_cancelled,),
    RequestsForgotten: (_forgotten,),
    Blocked: (_blocked,),
    RoomCreated: (_room,),
    MembershipStarted: (_started,),
    MembershipEnded: (_ended,),
    EpochAdvanced: (_epoch,),
    DeviceRemoved: (_signed_out,),
    FirstMessage: (_first_message,),
    GroupCreated: (_group,),
    GroupRulesChanged: (_rules,),
    GroupInvited: (_invited,),
    InvitationClosed: (_invitation_closed,),
    GroupEntered: (_entered,),
    GroupRoleChanged: (_role,),
    GroupBanned: (_ban,),
    GroupLeft: (_left,),
    GroupUnbanned: (_unbanned,),
}
