"""Groups themselves: made, named, ruled; and what their members and invited people may see of them."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple
from uuid import uuid4

from kith.ledger.database import Reader, Tx
from kith.ledger.events import GroupCreated, GroupDescribed, GroupRulesChanged
from kith.ledger.limits import DAY
from kith.messaging import group_membership as policy
from kith.messaging import store
from kith.messaging.flows.roster import enter, inside, no
from kith.messaging.limits import DEFAULTS, Limits
from kith.messaging.outcomes import ABSENT, Refusal
from kith.people import enforcement, facts, handles


class Words(NamedTuple):
    """A group's public surface; None leaves a field as it is."""

    name: str | None
    description: str | None


def words(name: str | None, description: str | None, limits: Limits = DEFAULTS) -> Words | str:
    """The words as they are kept, or a sentence on what is wrong with them."""
    name = None if name is None else unicodedata.normalize("NFC", " ".join(name.split()))
    description = None if description is None else unicodedata.normalize("NFC", description.strip())
    if name is not None and not 1 <= len(name) <= limits.group_name_characters:
        return f"Give the group a name of 1 to {limits.group_name_characters} characters."
    if description is not None and len(description) > limits.group_description_characters:
        return f"A description has at most {limits.group_description_characters} characters."
    lines = [name or "", *(description or "").split("\n")]
    if not all(handles.is_shown(line) for line in lines if line.strip()):
        return "Leave out characters that nobody can see."
    return Words(name, description)


def create(tx: Tx, account: str, said: Words, limits: Limits = DEFAULTS) -> str | Refusal:
    """Make a group; its maker owns it and is in it alone. The room's id."""
    person = facts.load(tx, account)
    if person is None:
        return ABSENT
    made = int(tx.value(store.JOINS_SINCE, who=account, own=1, since=tx.now - DAY))
    groups = int(tx.value(store.GROUPS_COUNT, who=account))
    creating = policy.Creating(person.standing.can_start_conversations, made, groups)
    decision = policy.may_create(creating, limits)
    if decision.refused:
        return no(tx, account, "", decision)
    room = str(uuid4())
    tx.append(GroupCreated(room=room, by=account))
    tx.put(store.group_profiles, room=room, name=said.name or "", description=said.description or "")
    tx.put(store.heads, room=room, room_pos=0, room_seq=0, last_ms=0)
    tx.put(store.joins, account=account, made=1, at_ms=tx.now)
    enter(tx, account, room, "owner", by=account, vouched=True)
    return room


def describe(
    tx: Tx, account: str, room: str, said: Words, *, posting: str | None = None, approval: bool | None = None
) -> Refusal | None:
    """Change what a group is called, or its rules."""
    me, group, profile = inside(tx, account, room), tx.one(store.GROUP, id=room), tx.one(store.GROUP_PROFILE, id=room)
    if me is None or group is None or profile is None:
        return ABSENT
    decision = policy.may_speak_for(me.role, may_send=enforcement.standing(tx, account).can_send)
    if decision.refused:
        return no(tx, account, room, decision)
    name = profile.name if said.name is None else said.name
    description = profile.description if said.description is None else said.description
    if (name, description) != (profile.name, profile.description):
        tx.run(store.GROUP_PROFILE_SET, id=room, new_name=name, new_description=description)
        tx.append(GroupDescribed(room=room, by=account))
    who, waits = posting or group.posting, bool(group.approval) if approval is None else approval
    if (who, waits) != (group.posting, bool(group.approval)):
        tx.append(GroupRulesChanged(room=room, by=account, posting=who, approval=waits))
    return None


class Shown(NamedTuple):
    """What somebody is told before she says yes: never who, always how many, and how many of them she knows."""

    name: str
    description: str
    created_ms: int
    members: int
    known: int
    photo: int | None
    """Version of its photo, when it has one."""


def shown(reader: Reader, viewer: str, room: str) -> Shown | None:
    """The group as an invited person or the holder of a link sees it; None when nobody is in it any more."""
    group, profile = reader.one(store.GROUP, id=room), reader.one(store.GROUP_PROFILE, id=room)
    members = len(reader.all(store.ACCOUNTS_INSIDE, id=room))
    if group is None or profile is None or not members:
        return None
    known = int(reader.value(store.KNOWN_INSIDE, id=room, me=viewer))
    photo = reader.value(store.GROUP_PHOTO_VERSION, id=room)
    return Shown(profile.name, profile.description, group.created_ms, members, known, photo)
