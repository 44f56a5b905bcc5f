"""Who on staff may do what: roles, and the rules about giving them. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Final, Literal, TypeAlias, get_args

from kith.ledger.decision import ALLOW, Decision, refuse

Role: TypeAlias = Literal["reviewer", "child-safety", "admin"]
Queue: TypeAlias = Literal["child-safety", "general", "appeals"]

ROLES: Final[tuple[Role, ...]] = get_args(Role)
QUEUES: Final[tuple[Queue, ...]] = get_args(Queue)

_OPENED_BY: Final[dict[Queue, frozenset[Role]]] = {
    "child-safety": frozenset({"child-safety"}),
    "general": frozenset({"reviewer", "child-safety"}),
    "appeals": frozenset({"reviewer", "child-safety"}),
}
_BIRDS: Final = (
    *("Avocet", "Bittern", "Bunting", "Chough", "Curlew", "Dipper", "Dotterel", "Dunlin"),
    *("Fulmar", "Gannet", "Garganey", "Godwit", "Goldcrest", "Grebe", "Heron", "Hobby"),
    *("Kestrel", "Kittiwake", "Lapwing", "Linnet", "Martin", "Merlin", "Nuthatch", "Oriole"),
    *("Osprey", "Petrel", "Pipit", "Plover", "Redstart", "Sanderling", "Siskin", "Wheatear"),
)
"""Thirty-two names that say nothing about anybody."""


def pseudonym(staff: str) -> str:
    """The stable name under which others see a member of staff; computed, so a replay gives the same one."""
    digest = hashlib.sha256(b"kith staff pseudonym" + staff.encode()).digest()
    return f"{_BIRDS[digest[0] % len(_BIRDS)]} {int.from_bytes(digest[1:3], 'big') % 1000:03d}"


def queues_of(roles: Collection[Role]) -> tuple[Queue, ...]:
    """The queues that somebody with these roles may see."""
    return tuple(queue for queue in QUEUES if _OPENED_BY[queue].intersection(roles))


def may_open(roles: Collection[Role], queue: Queue, *, origin: Queue | None = None) -> Decision:
    """May somebody with these roles work on a case of this queue?

    `origin` is the queue of the case that an appeal is about: an appeal of a child-safety decision shows
    child-safety evidence, so it needs the same role. An admin as such reads nothing.
    """
    for needed in (queue, origin):
        if needed is not None and not _OPENED_BY[needed].intersection(roles):
            return refuse("staff-role", f"Your role does not open cases of the queue {needed}.", "staff")
    return ALLOW


def acting_role(roles: Collection[Role], queue: Queue) -> Role:
    """The role under which an act on this queue is logged."""
    fitting = _OPENED_BY[queue].intersection(roles)
    return "child-safety" if queue == "child-safety" or fitting == {"child-safety"} else "reviewer"


def may_change_roles(by: str, by_roles: Collection[Role], target: str, wanted: Collection[str]) -> Decision:
    """May `by` give `target` exactly the roles `wanted`? Nobody changes their own."""
    if "admin" not in by_roles:
        return refuse("staff-roles-admin", "Only an admin changes roles.", "staff")
    if by == target:
        return refuse("staff-roles-own", "Nobody changes their own roles. Ask another admin.", "staff")
    return roles_exist(wanted)


def roles_exist(wanted: Collection[str]) -> Decision:
    """Are these roles, at least one of them?"""
    if not wanted or not set(wanted) <= set(ROLES):
        return refuse("staff-roles-unknown", f"Choose among the roles: {', '.join(ROLES)}.", "staff")
    return ALLOW
