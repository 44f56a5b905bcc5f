"""Coming into a group by a link: its token stands in the fragment of the address, and only its hash is kept."""

from __future__ import annotations

import secrets
from typing import Literal, NamedTuple
from uuid import uuid4

from kith.ledger.database import Reader, Row, Tx
from kith.ledger.events import GroupRoleChanged
from kith.messaging import group_membership as policy
from kith.messaging import store
from kith.messaging.flows.groups import Shown, shown
from kith.messaging.flows.inviting import judge_entry, pair_of, refusal_of
from kith.messaging.flows.requests import TOKEN_BYTES, hash_of
from kith.messaging.flows.roster import enter, inside, no, seat_of
from kith.messaging.limits import DEFAULTS, Limits
from kith.messaging.outcomes import ABSENT, Refusal
from kith.people import connections, enforcement, facts
from kith.people.facts import Card


class Link(NamedTuple):
    """A new link's token, shown once, the id by which it is revoked, and until when it works (ms)."""

    link: str
    token: str
    expires_ms: int


def make(tx: Tx, account: str, room: str, life_ms: int | None = None, limits: Limits = DEFAULTS) -> Link | Refusal:
    """Make a link into a group."""
    me = inside(tx, account, room)
    if me is None:
        return ABSENT
    may_start = enforcement.standing(tx, account).can_start_conversations
    decision = policy.may_make_link(me.role, may_start=may_start)
    if decision.refused:
        return no(tx, account, room, decision)
    if len(tx.all(store.GROUP_LINKS, id=room, now=tx.now)) >= limits.group_links_open:
        return Refusal("conflict", f"This group has {limits.group_links_open} live links. Revoke one first.")
    token, link = secrets.token_urlsafe(TOKEN_BYTES), str(uuid4())
    expires = tx.now + min(life_ms or limits.group_link_life_ms, limits.group_link_longest_ms)
    row = {"link": link, "room": room, "made_by": account, "made_ms": tx.now, "expires_ms": expires, "joined": 0}
    tx.put(store.group_links, token_hash=hash_of(token), **row)
    return Link(link, token, expires)


def revoke(tx: Tx, account: str, room: str, link: str) -> Refusal | None:
    """The link is dead at once."""
    me = inside(tx, account, room)
    if me is None:
        return ABSENT
    decision = policy.may_manage(me.role)
    if decision.refused:
        return no(tx, account, room, decision)
    tx.run(store.GROUP_LINK_REVOKED, id=room, which=link, now=tx.now)
    return None


def links_of(reader: Reader, account: str, room: str) -> list[Row] | None:
    """The live links of a group, for its admins; None for everybody else."""
    me = inside(reader, account, room)
    return reader.all(store.GROUP_LINKS, id=room, now=reader.now) if me and policy.manages(me.role) else None


class Seen(NamedTuple):
    """What the holder of a link is told before she says yes."""

    room: str
    group: Shown
    by: str
    card: Card
    connected: bool
    approval: bool


class _Opened(NamedTuple):
    room: str
    by: str
    approval: bool
    pair: policy.Pair


def _opened(reader: Reader, account: str, token: str) -> _Opened | None:
    row = reader.one(store.GROUP_LINK, hashed=hash_of(token), now=reader.now)
    maker = None if row is None else facts.load(reader, row.made_by)
    group = None if row is None else reader.one(store.GROUP, id=row.room)
    if row is None or maker is None or group is None:
        return None
    pair = pair_of(reader, maker, account, row.room)
    pair = pair._replace(inviter_suspended=not maker.standing.can_start_conversations)  # as for an invitation of today
    return _Opened(row.room, row.made_by, bool(group.approval), pair)


def look(reader: Reader, account: str, token: str, limits: Limits = DEFAULTS) -> Seen | None:
    """What is behind a link; None alike for unknown, expired, revoked, and not for her."""
    opened = _opened(reader, account, token)
    if opened is None:
        return None
    decision = judge_entry(reader, account, opened.room, opened.pair, limits, link=True)
    if decision.refused and decision.reasons[0].audience == "staff":
        return None
    card, group = facts.card(reader, opened.by), shown(reader, account, opened.room)
    if card is None or group is None:
        return None
    known = connections.connected(reader, account, opened.by)
    return Seen(opened.room, group, opened.by, card, known, opened.approval)


class Joined(NamedTuple):
    """In, or waiting for an admin's yes."""

    room: str
    state: Literal["joined", "asked"]


def join(tx: Tx, account: str, token: str, limits: Limits = DEFAULTS) -> Joined | Refusal:
    """Come in by a link, by one's own will; where joiners need approval, wait outside for it."""
    opened = _opened(tx, account, token)
    if opened is None:
        return ABSENT
    there = seat_of(tx, account, opened.room)
    if there is not None:
        return Joined(opened.room, "asked" if there.role == "joiner" else "joined")
    decision = judge_entry(tx, account, opened.room, opened.pair, limits, link=True)
    if decision.refused:
        return refusal_of(tx, account, opened.room, decision, by=opened.by)
    role: policy.Role = "joiner" if opened.approval else "member"
    enter(tx, account, opened.room, role, by=opened.by, vouched=opened.pair.connected, decision=decision)
    tx.run(store.GROUP_LINK_USED, hashed=hash_of(token))
    tx.put(store.joins, account=account, made=0, at_ms=tx.now)
    return Joined(opened.room, "asked" if opened.approval else "joined")


def let_in(tx: Tx, account: str, room: str, joiner: str, limits: Limits = DEFAULTS) -> Refusal | None:
    """An admin's yes to somebody who came by a link: the rules are asked again about her and who made the link."""
    me, row = inside(tx, account, room), tx.one(store.PARTICIPANT, id=room, who=joiner)
    if me is None or row is None or row.role != "joiner":
        return ABSENT
    decision = policy.may_speak_for(me.role, may_send=enforcement.standing(tx, account).can_send)
    if decision.refused:
        return no(tx, account, room, decision)
    maker = facts.load(tx, row.brought_by)
    if maker is None:
        return ABSENT
    pair = pair_of(tx, maker, joiner, room)._replace(inside=False, inviter_role=me.role)
    decision = judge_entry(tx, joiner, room, pair, limits, link=True, waited=True)
    if decision.refused:
        refusal_of(tx, joiner, room, decision, by=row.brought_by)
        # One sentence for every cause: an admin is told nothing of the joiner's own affairs.
        return Refusal("conflict", "This person can't be let in at the moment.")
    tx.append(GroupRoleChanged(room=room, account=joiner, role="member", by=account))
    return None
