"""Inviting into a group, and the yes without which nobody is in it.

As with requests, whether an invitation reaches somebody changes what its rows and events say, never which or how many
there are, and every question about the target is put to the database also when there is no target.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import uuid4

from kith.ledger.database import Reader, Row, Tx
from kith.ledger.decision import Decision
from kith.ledger.events import GroupInvited, InvitationClosed
from kith.ledger.limits import DAY
from kith.ledger.log import record
from kith.ledger.signals import Changed
from kith.messaging import group_membership as policy
from kith.messaging import store
from kith.messaging.flows.groups import Shown, shown
from kith.messaging.flows.limiting import begun_today, refused
from kith.messaging.flows.requests import NOBODY
from kith.messaging.flows.roster import POLICY, Seat, enter, inside, no, seat_of
from kith.messaging.limits import DEFAULTS, Limits
from kith.messaging.outcomes import ABSENT, Refusal
from kith.people import blocks, connections, enforcement, facts
from kith.people.facts import Card, Person
from kith.people.standing import in_the_way


class Invited(NamedTuple):
    """What every invitation within the inviter's own limits gets."""

    invitation: str


def invite(
    tx: Tx, account: str, room: str, *, handle: str | None = None, target: str | None = None, limits: Limits = DEFAULTS
) -> Invited | Refusal:
    """Invite the owner of a handle, or an account that one knows, into a group."""
    inviter, me = facts.load(tx, account), inside(tx, account, room)
    if inviter is None or me is None:
        return ABSENT
    refusal = _own_limits(tx, inviter, me.role, room, limits)
    if refusal is not None:
        return refusal
    typed = (handle or "").strip()
    if handle is not None:
        target = facts.by_handle(tx, typed)
    else:
        known = None if target is None or not connections.connected(tx, account, target) else facts.card(tx, target)
        typed = target or "" if known is None else known.handle
        target = None if known is None else target  # an id outlives a handle: it leads to nobody but contacts
    decision = policy.reach(pair_of(tx, inviter, target, room), limits)
    return _store(tx, me, target or NOBODY, typed.lower(), decision)


def _own_limits(tx: Tx, inviter: Person, role: str, room: str, limits: Limits) -> Refusal | None:
    """Decided before anybody is looked up: a refusal here can say nothing about anybody else."""
    on_roster, today = len(tx.all(store.PARTICIPANTS, id=room)), begun_today(tx, inviter.account)
    about = policy.Inviting(
        role=role,
        may_start=inviter.standing.can_start_conversations,
        invited_today=today.invitations,
        otherwise_today=today.requests + today.joins,
        accounts=on_roster
        + int(tx.value(store.INVITATIONS_SHOWN_OPEN, id=room, since=tx.now - limits.request_life_ms)),
        daily_limit=inviter.standing.daily_limit,
    )
    decision = policy.may_invite(about, limits)
    if not decision.refused:
        return None
    if decision.reasons[0].rule != "standing":
        answer = no(tx, inviter.account, room, decision)
        return answer._replace(retry_after_ms=DAY) if answer.code == "limited" else answer
    measure = in_the_way(inviter.standing, "start")
    cause = "" if measure is None else measure.id
    known = {"room": room, "measure": cause}
    return refused(tx, POLICY, inviter.account, decision, known, code="restricted", cause=cause)


def pair_of(reader: Reader, inviter: Person, target: str | None, room: str) -> policy.Pair:
    """What is known of a person and of whoever brings her in. Nobody answers every question like a stranger."""
    other, me = target or NOBODY, inviter.account
    person = facts.load(reader, other)
    standing = person.standing if person else enforcement.standing(reader, other)
    seat, declined_ms = seat_of(reader, other, room), reader.value(store.INVITED_DECLINED, id=room, whom=other)
    own_seat = seat_of(reader, me, room)
    by_me, by_other = blocks.blocked(reader, me, other), blocks.blocked(reader, other, me)
    return policy.Pair(
        inviter_minor=inviter.minor_as_actor,
        exists=person is not None,
        oneself=me == other,
        protected=person is None or person.minor_as_target,
        connected=connections.connected(reader, me, other),
        blocked=by_me or by_other,
        suspended=not standing.can_send,
        inviter_suspended=not inviter.standing.can_send,
        inviter_role=None if own_seat is None else own_seat.role,
        inviter_protected=inviter.minor_as_target,
        inside=seat is not None,
        banned=reader.one(store.BAN, id=room, who=other) is not None,
        closed=person is not None and person.controls.requests == "nobody",
        asked_before=reader.one(store.INVITED_OPEN, id=room, whom=other) is not None,
        since_declined_ms=None if declined_ms is None else reader.now - int(declined_ms),
    )


def _store(tx: Tx, me: Seat, target: str, typed: str, decision: Decision) -> Invited:
    account, room = me.account, me.room
    reached, invitation = not decision.refused, str(uuid4())
    known = {"room": room, "target": target, "invitation": invitation}
    made = record(tx, POLICY, account, decision, known)
    reaches = target if reached else None
    tx.append(GroupInvited(invitation=invitation, room=room, inviter=account, target=reaches, decision=made))
    tx.put(store.invitation_words, invitation=invitation, typed=typed)
    tx.publish(Changed(target if reached else NOBODY, "requests"))
    return Invited(invitation)


# --- the answer -------------------------------------------------------------------------------------------------------


class Waiting(NamedTuple):
    """An open invitation as the invited person sees it."""

    invitation: str
    room: str
    inviter: str
    card: Card
    connected: bool
    group: Shown
    sent_ms: int


def waiting(reader: Reader, account: str, most: int, limits: Limits = DEFAULTS) -> list[Waiting]:
    """Invitations that could be accepted now; others are not shown."""
    since = reader.now - limits.request_life_ms
    rows = reader.all(store.INVITATIONS_RECEIVED, who=account, since=since, most=most)
    return [one for row in rows if (one := _waiting(reader, account, row, limits)) is not None]


def _waiting(reader: Reader, account: str, row: Row, limits: Limits) -> Waiting | None:
    card, group = facts.card(reader, row.inviter), shown(reader, account, row.room)
    if card is None or group is None or _judged(reader, account, row, limits)[0].refused:
        return None
    known = connections.connected(reader, account, row.inviter)
    return Waiting(row.invitation, row.room, row.inviter, card, known, group, row.sent_ms)


def invited_into(reader: Reader, account: str, room: str, limits: Limits = DEFAULTS) -> bool:
    """Whether she is shown an invitation into this group now (`waiting`), and so what the group shows of itself."""
    ids = [row.invitation for row in reader.all(store.INVITED_OPEN, id=room, whom=account)]
    rows = [row for one in ids if (row := _open_for(reader, account, one, limits)) is not None]
    return any(_waiting(reader, account, row, limits) is not None for row in rows)


def _judged(reader: Reader, account: str, row: Row, limits: Limits) -> tuple[Decision, policy.Pair | None]:
    inviter = facts.load(reader, row.inviter)
    pair = None if inviter is None else pair_of(reader, inviter, account, row.room)
    return judge_entry(reader, account, row.room, pair, limits), pair


def judge_entry(
    reader: Reader,
    account: str,
    room: str,
    pair: policy.Pair | None,
    limits: Limits,
    *,
    link: bool = False,
    waited: bool = False,
) -> Decision:
    """Whether somebody may come in now; `pair` None when whoever brings her exists no more.

    `waited`: she stands outside already, which counts among her groups and joins.
    """
    groups = int(reader.value(store.GROUPS_COUNT, who=account)) - int(waited)
    today, standing = begun_today(reader, account), enforcement.standing(reader, account)
    about = policy.Entering(
        pair=policy.Pair(inviter_minor=False) if pair is None else pair,
        may_send=standing.can_send,
        groups=groups,
        members=len(reader.all(store.ACCOUNTS_INSIDE, id=room)),
        link=link,
        joins_today=0 if waited else today.joins,
        otherwise_today=0 if waited else today.requests + today.invitations,
        daily_limit=standing.daily_limit,
    )
    return policy.may_enter(about, limits)


def accept(tx: Tx, account: str, invitation: str, limits: Limits = DEFAULTS) -> str | Refusal:
    """Say yes: every rule is asked again in the transaction that puts her on the roster. The room's id."""
    row = _open_for(tx, account, invitation, limits)
    if row is None:
        return ABSENT
    decision, pair = _judged(tx, account, row, limits)
    if decision.refused:
        return refusal_of(tx, account, row.room, decision, by=row.inviter)
    tx.append(InvitationClosed(invitation=invitation, room=row.room, outcome="accepted"))
    vouched = pair is not None and pair.connected
    enter(tx, account, row.room, "member", by=row.inviter, vouched=vouched, decision=decision)
    tx.publish(Changed(row.inviter, "requests"))
    return str(row.room)


def refusal_of(tx: Tx, account: str, room: str, decision: Decision, *, by: str) -> Refusal:
    """Her own causes by name; what concerns others as if there were nothing, recorded about whoever brings her in."""
    if decision.reasons[0].audience == "person":
        return no(tx, account, room, decision)
    refused(tx, POLICY, by, decision, {"room": room}, code="absent", cause=room)
    return ABSENT


def _open_for(reader: Reader, account: str, invitation: str, limits: Limits) -> Row | None:
    row = reader.one(store.INVITATION, id=invitation)
    if row is None or row.target != account or row.outcome is not None or row.cancelled_ms is not None:
        return None
    return row if row.sent_ms > reader.now - limits.request_life_ms else None


def decline(tx: Tx, account: str, invitation: str, limits: Limits = DEFAULTS) -> Refusal | None:
    """Say no. The inviter is not told and sees "sent" as before."""
    row = _open_for(tx, account, invitation, limits)
    if row is None:
        return ABSENT
    tx.append(InvitationClosed(invitation=invitation, room=row.room, outcome="declined"))
    tx.publish(Changed(account, "requests"))
    return None


def cancel(tx: Tx, account: str, invitation: str) -> Refusal | None:
    """Take an own invitation back; whatever became of it unseen, it looks the same."""
    row = tx.one(store.INVITATION, id=invitation)
    if row is None or row.inviter != account or row.cancelled_ms is not None or row.outcome == "accepted":
        return ABSENT
    tx.append(InvitationClosed(invitation=invitation, room=row.room, outcome="cancelled"))
    if row.outcome is None:
        tx.publish(Changed(row.target or NOBODY, "requests"))
    return None


def expire(tx: Tx, limits: Limits = DEFAULTS, most: int = 100) -> int:
    """Close invitations that nobody answered in time, those that reached nobody alike; how many there were."""
    due = tx.all(store.INVITATIONS_DUE, before=tx.now - limits.request_life_ms, most=most)
    for row in due:
        tx.append(InvitationClosed(invitation=row.invitation, room=row.room, outcome="expired"))
    return len(due)
