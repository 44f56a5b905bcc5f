"""Who may write to a room, or change its group: one pure policy for messages, commits and key packages."""

from __future__ import annotations

from typing import NamedTuple

from kith.ledger.decision import ALLOW, Decision, refuse

NOT_ALLOWED = "You can't send messages in this chat."
"""The one sentence for every cause that concerns the other side: block, end of a connection, suspension."""


class Between(NamedTuple):
    """What is known of a room's two people when one of them writes."""

    member: bool
    connected: bool
    blocked: bool
    """Either has blocked the other."""
    other_suspended: bool
    own_measure: str | None
    """Id of the decision that suspended the writer, when one did."""


def may_write(facts: Between) -> Decision:
    """Refusals for `standing` are the writer's own; all others are told alike."""
    if not facts.member:
        return refuse("not-a-member", "the account is not in this room", "staff")
    if facts.own_measure is not None:
        return refuse("standing", "Your account is suspended. See your standing for the reason.")
    if facts.blocked:
        return refuse("blocked", "one of the two has blocked the other", "staff")
    if not facts.connected:
        return refuse("not-connected", "the two are not connected", "staff")
    if facts.other_suspended:
        return refuse("other-suspended", "the other account is suspended", "staff")
    return ALLOW
