"""A group's photo, a public surface like its name: who sets it, and who may see it."""

from __future__ import annotations

from typing import NamedTuple

from kith.ledger.database import Reader, Tx
from kith.ledger.events import GroupPhotoChanged
from kith.messaging import group_membership as policy
from kith.messaging import store
from kith.messaging.flows import inviting, joining
from kith.messaging.flows.roster import inside, no
from kith.messaging.limits import DEFAULTS, Limits
from kith.messaging.outcomes import ABSENT, Refusal
from kith.messaging.pictures import Picture
from kith.people import enforcement
from kith.people.buckets import Charge, charge
from kith.people.limits import Rate


class Found(NamedTuple):
    """A photo, and which version it is."""

    picture: Picture
    version: int


def change(
    tx: Tx, account: str, room: str, picture: Picture | None, *, key: bytes, limits: Limits = DEFAULTS
) -> Refusal | None:
    """Set the photo, or remove it (None). The bytes before are gone; the version counts on, so no cache is wrong.

    `key` blinds whose changes are counted (`buckets.charge`).
    """
    me = inside(tx, account, room)
    if me is None:
        return ABSENT
    decision = policy.may_speak_for(me.role, may_send=enforcement.standing(tx, account).can_send)
    if decision.refused:
        return no(tx, account, room, decision)
    row = tx.one(store.GROUP_PHOTO, id=room)
    if picture is None and (row is None or row.media_type is None):
        return None
    pace = Rate(limits.group_photos_at_once, limits.group_photo_again_ms)
    wait = None if picture is None else charge(tx, key, (Charge("group-photo", account, pace),))
    if wait is not None:
        return Refusal("limited", "You've changed photos many times. Wait a little.", retry_after_ms=wait)
    media_type, data = (None, None) if picture is None else picture
    if row is None:
        tx.put(store.group_photos, room=room, version=1, media_type=media_type, photo=data)
    else:
        tx.run(store.GROUP_PHOTO_SET, id=room, new_type=media_type, new_photo=data)
    tx.append(GroupPhotoChanged(room=room, by=account))
    return None


def seen_by(reader: Reader, account: str, room: str) -> Found | None:
    """The photo for members and people who are invited: whoever may see the name. None for everybody else."""
    if inside(reader, account, room) is None and not inviting.invited_into(reader, account, room):
        return None
    return _photo(reader, room)


def by_link(reader: Reader, account: str, token: str) -> Found | None:
    """The photo for the holder of a link that shows her the name; None alike for everybody else."""
    seen = joining.look(reader, account, token)
    return None if seen is None else _photo(reader, seen.room)


def _photo(reader: Reader, room: str) -> Found | None:
    row = reader.one(store.GROUP_PHOTO, id=room)
    return None if row is None or row.media_type is None else Found(Picture(row.media_type, row.photo), row.version)
