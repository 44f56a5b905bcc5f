"""First contact: asking, inviting, saying yes or no, and the direct room that a yes makes.

Whether a request reaches somebody changes what its rows and events say, never which or how many there are, and
every question about the target is put to the database also when there is no target.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import NamedTuple
from uuid import uuid4

from kith.ledger.database import Reader, Row, Tx
from kith.ledger.decision import Decision
from kith.ledger.events import (
    RequestAccepted,
    RequestCancelled,
    RequestDeclined,
    RequestExpired,
    RequestSent,
    RoomCreated,
)
from kith.ledger.limits import DAY
from kith.ledger.log import record
from kith.ledger.signals import Changed
from kith.messaging import first_contact, store
from kith.messaging.flows.limiting import begun_today, refused
from kith.messaging.limits import DEFAULTS, Limits
from kith.messaging.outcomes import ABSENT, Refusal
from kith.people import blocks, connections, enforcement, facts
from kith.people.connections import pair
from kith.people.facts import Person
from kith.people.standing import in_the_way

POLICY = "messaging.first_contact"
NOBODY = "00000000-0000-4000-8000-000000000000"
"""Stands in for a target that does not exist, so that the same questions are asked about it."""
TOKEN_BYTES = 24


class Sent(NamedTuple):
    """What every request that is within the requester's own limits gets."""

    request: str


class Connected(NamedTuple):
    """Two people agreed; their room."""

    account: str
    room: str


class Invite(NamedTuple):
    """A link's token, shown once, and until when it works (ms)."""

    token: str
    expires_ms: int


def hash_of(token: str) -> bytes:
    """What is stored of an invite."""
    return hashlib.sha256(token.encode()).digest()


def ask(
    tx: Tx, account: str, *, handle: str | None = None, token: str | None = None, limits: Limits = DEFAULTS
) -> Sent | Refusal:
    """Ask to be connected with the owner of a handle, or with whoever made an invite."""
    asker = facts.load(tx, account)
    if asker is None:
        return ABSENT
    refusal = _own_limits(tx, asker, limits)
    if refusal is not None:
        return refusal
    words = "" if handle is None else handle.strip().lower()
    if handle is not None:
        if words:  # requests by invite stand without words, and are not meant by spaces
            _take_back_same(tx, account, words, limits)
        target, hashed = facts.by_handle(tx, handle.strip()), b""
    else:
        hashed = hash_of(token or "")
        target = tx.value(_INVITER, hashed=hashed, now=tx.now)
    meeting = _meeting(tx, asker, target, invited=handle is None)
    decision = first_contact.reach(meeting, limits)
    asked = _Asked(account, target or NOBODY, words, hashed, meeting.invited)
    return _store(tx, asked, decision)


_INVITER = store.INVITE.with_only_columns(store.invites.c.account)


def _own_limits(tx: Tx, asker: Person, limits: Limits) -> Refusal | None:
    """Decided before anybody is looked up: a refusal here can say nothing about anybody else."""
    today = begun_today(tx, asker.account)
    unanswered = tx.value(store.UNANSWERED, who=asker.account, since=tx.now - limits.request_life_ms)
    asking = first_contact.Asking(
        may_start=asker.standing.can_start_conversations,
        sent_today=today.requests,
        otherwise_today=today.invitations + today.joins,
        unanswered=int(unanswered),
        daily_limit=asker.standing.daily_limit,
    )
    decision = first_contact.may_ask(asking, limits)
    if not decision.refused:
        return None
    known = {
        "sent_today": asking.sent_today,
        "otherwise_today": asking.otherwise_today,
        "unanswered": asking.unanswered,
        "daily_limit": asking.daily_limit,
    }
    measure = in_the_way(asker.standing, "start")
    if decision.reasons[0].rule == "standing":
        cause = "" if measure is None else measure.id
        return refused(tx, POLICY, asker.account, decision, {**known, "measure": cause}, code="restricted", cause=cause)
    first = tx.now if today.first_request_ms is None else today.first_request_ms
    wait = max(60_000, first + DAY - tx.now)
    return refused(tx, POLICY, asker.account, decision, known, code="limited", retry_after_ms=wait)


def _take_back_same(tx: Tx, account: str, words: str, limits: Limits) -> None:
    """Asking for the same handle again replaces the earlier request, whether or not it reached anybody."""
    for row in tx.all(store.SAME_WORDS, who=account, words=words, since=tx.now - limits.request_life_ms):
        tx.append(RequestCancelled(request=row.request, requester=account, target=row.target))


def _meeting(tx: Tx, asker: Person, target: str | None, *, invited: bool) -> first_contact.Meeting:
    """Every fact about the two. Nobody answers every question like a stranger; each is asked all the same."""
    other, me = target or NOBODY, asker.account
    person = facts.load(tx, other)
    standing = enforcement.standing(tx, other) if person is None else person.standing
    open_before = tx.all(store.OPEN_BETWEEN, asker=me, asked=other)
    open_back = tx.all(store.OPEN_BETWEEN, asker=other, asked=me)
    declined_ms = tx.value(store.DECLINED_AT, asker=me, asked=other)
    by_me, by_other = blocks.blocked(tx, me, other), blocks.blocked(tx, other, me)
    return first_contact.Meeting(
        asker_minor=asker.minor_as_actor,
        target_protected=person is None or person.minor_as_target,
        exists=person is not None,
        oneself=me == other,
        suspended=not standing.can_send,
        connected=connections.connected(tx, me, other),
        blocked=by_me or by_other,
        closed=person is not None and person.controls.requests == "nobody",
        invited=invited and person is not None,
        asked_before=bool(open_before),
        asked_back=bool(open_back),
        since_declined_ms=None if declined_ms is None else tx.now - int(declined_ms),
    )


class _Asked(NamedTuple):
    """A request about to be stored; `target` may be NOBODY, `hashed` is empty without an invite."""

    account: str
    target: str
    words: str
    hashed: bytes
    invited: bool


def _store(tx: Tx, asked: _Asked, decision: Decision) -> Sent:
    reached = not decision.refused
    request = str(uuid4())
    known: dict[str, str | bool] = {"target": asked.target, "invited": asked.invited, "request": request}
    made = record(tx, POLICY, asked.account, decision, known)
    tx.append(
        RequestSent(
            request=request,
            requester=asked.account,
            target=asked.target if reached else None,
            decision=made,
            invited=asked.invited and reached,
        )
    )
    tx.put(store.request_words, request=request, typed=asked.words)
    # An invite that reached nobody (its maker had blocked the opener) still works for somebody else.
    tx.run(store.INVITE_USED, hashed=asked.hashed if reached else b"", at=tx.now)
    tx.publish(Changed(asked.target if reached else NOBODY, "requests"))
    if decision.allowed:
        _connect(tx, asked.account, asked.target)
    return Sent(request)


def accept(tx: Tx, account: str, request: str) -> Connected | Refusal:
    """Say yes: the policy is asked again, in the transaction that connects the two."""
    row = _open_for(tx, account, request)
    if row is None:
        return ABSENT
    decision, known = answering(tx, row)
    own = decision.refused and decision.reasons[0].audience == "person"
    # A reason for a person is about who answers; recorded about the requester, it would stand in her export.
    made = record(tx, POLICY, account if own else row.requester, decision, known)
    if decision.allowed:
        return Connected(row.requester, _connect(tx, row.requester, account))
    if own:
        return Refusal("restricted", decision.reasons[0].because, made)
    return ABSENT


def answering(reader: Reader, row: Row) -> tuple[Decision, dict[str, str | bool]]:
    """Whether this open request may be accepted now, and the facts that say so."""
    asker, answerer = facts.load(reader, row.requester), facts.load(reader, row.target)
    if asker is None or answerer is None:
        return first_contact.may_accept(first_contact.Answering(asker_minor=False, blocked=True)), {}
    about = first_contact.Answering(
        asker_minor=asker.minor_as_actor,
        answerer_protected=answerer.minor_as_target,
        invited=bool(row.invited),
        blocked=blocks.either(reader, row.requester, row.target),
        asker_suspended=not asker.standing.can_send,
        answerer_suspended=not answerer.standing.can_send,
    )
    known = {"request": row.request, "requester": row.requester, "target": row.target, "invited": about.invited}
    return first_contact.may_accept(about), known


def _open_for(tx: Tx, account: str, request: str) -> Row | None:
    row = tx.one(store.REQUEST, id=request)
    waits = row is not None and row.target == account and row.outcome is None and row.cancelled_ms is None
    return row if waits else None


def _connect(tx: Tx, one: str, other: str) -> str:
    """Connect two people and say so to every request that was open between them; their room."""
    connections.grant(tx, one, other)
    room = room_for(tx, one, other)
    for asker, asked in ((one, other), (other, one)):
        for row in tx.all(store.OPEN_BETWEEN, asker=asker, asked=asked):
            tx.append(RequestAccepted(request=row.request, requester=asker, target=asked, room=room))
    for account in (one, other):
        tx.publish(Changed(account, "requests"))
        tx.publish(Changed(account, "connections"))
    return room


def room_for(tx: Tx, one: str, other: str) -> str:
    """The direct room of two people, made when they have none. Its group is made by a device later."""
    a, b = pair(one, other)
    found = tx.one(store.ROOM_OF, a=a, b=b)
    if found is not None:
        return str(found.room)
    room = str(uuid4())
    tx.append(RoomCreated(room=room, one=a, other=b))
    tx.put(store.heads, room=room, room_pos=0, room_seq=0, last_ms=0)
    return room


def decline(tx: Tx, account: str, request: str) -> Refusal | None:
    """Say no. The requester is not told and sees "sent" as before."""
    row = _open_for(tx, account, request)
    if row is None:
        return ABSENT
    tx.append(RequestDeclined(request=request, requester=row.requester, target=account))
    tx.publish(Changed(account, "requests"))
    return None


def cancel(tx: Tx, account: str, request: str) -> Refusal | None:
    """Take a request back; whatever became of it unseen, it looks the same."""
    row = tx.one(store.REQUEST, id=request)
    if row is None or row.requester != account or row.cancelled_ms is not None or row.outcome == "accepted":
        return ABSENT
    tx.append(RequestCancelled(request=request, requester=account, target=row.target))
    if row.outcome is None:
        tx.publish(Changed(row.target or NOBODY, "requests"))
    return None


def invite(tx: Tx, account: str, limits: Limits = DEFAULTS) -> Invite | Refusal:
    """Make a link with which one person may ask, once, within 7 days."""
    person = facts.load(tx, account)
    if person is None:
        return ABSENT
    measure = in_the_way(person.standing, "start")
    if measure is not None:
        decision = first_contact.may_ask(first_contact.Asking(may_start=False, sent_today=0, unanswered=0))
        known = {"measure": measure.id}
        return refused(tx, POLICY, account, decision, known, code="restricted", cause=measure.id)
    if int(tx.value(store.INVITES_OPEN, who=account, now=tx.now)) >= limits.invites_open:
        sentence = f"You have {limits.invites_open} unused invites. They expire by themselves."
        return Refusal("limited", sentence, retry_after_ms=limits.invite_life_ms)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    expires = tx.now + limits.invite_life_ms
    tx.put(store.invites, token_hash=hash_of(token), account=account, made_ms=tx.now, expires_ms=expires)
    return Invite(token, expires)


def expire(tx: Tx, limits: Limits = DEFAULTS, most: int = 100) -> int:
    """Close requests that nobody answered in time, those that reached nobody alike; how many there were."""
    due = tx.all(store.DUE, before=tx.now - limits.request_life_ms, most=most)
    for row in due:
        tx.append(RequestExpired(request=row.request, requester=row.requester, target=row.target))
    return len(due)
