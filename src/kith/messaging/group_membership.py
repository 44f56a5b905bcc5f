"""Who may be in a group, by whose yes, and in which role: one pure policy for every door. See docs/api.md, Groups.

As in first contact, whoever invites learns only of what concerns herself and her group, decided before anybody is
looked up; whatever concerns the other side looks like somebody who does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from kith.ledger.decision import ALLOW, Decision, ask, refuse
from kith.messaging.first_contact import used_up
from kith.messaging.limits import DEFAULTS, Limits

Role = Literal["joiner", "member", "admin", "owner"]
RANK: Final[dict[str, int]] = {"joiner": 0, "member": 1, "admin": 2, "owner": 3}
INSIDE: Final = frozenset({"member", "admin", "owner"})
"""Roles that belong to the group; a joiner waits outside."""


def manages(role: str | None) -> bool:
    """Whether this role invites, removes, and answers joiners."""
    return role in ("admin", "owner")


def _outranks(role: str | None, other: str) -> bool:
    """Nobody has power over who stands as high as herself."""
    return manages(role) and RANK[role or ""] > RANK[other]


# --- making and inviting ----------------------------------------------------------------------------------------------


class Creating(NamedTuple):
    """What is known of somebody who makes a group."""

    may_start: bool
    made_today: int
    groups: int
    """Groups that she is in."""


def may_create(facts: Creating, limits: Limits = DEFAULTS) -> Decision:
    """Her own standing and limits."""
    if not facts.may_start:
        return _standing()
    if facts.made_today >= limits.groups_per_day:
        return refuse("groups-per-day", f"You've made {facts.made_today} groups today; the limit is a day's worth.")
    return _room_for_one_more(facts.groups, limits)


def _standing() -> Decision:
    return refuse("standing", "You can't start new conversations at the moment. See your standing for the reason.")


def _begun(today: int) -> Decision:
    return refuse("begun-per-day", f"You've begun {today} conversations today, groups included. Go on tomorrow.")


def _room_for_one_more(groups: int, limits: Limits) -> Decision:
    if groups >= limits.groups_of_account:
        return refuse("groups-of-account", f"You are in {groups} groups, which is the most. Leave one first.")
    return ALLOW


class Inviting(NamedTuple):
    """What is known of an inviter and her group before anybody is looked up."""

    role: str | None
    may_start: bool
    invited_today: int
    accounts: int
    """On the roster, joiners included, and open invitations, whether or not they reached anybody."""
    otherwise_today: int = 0
    """Conversations that she began by requests or links."""
    daily_limit: int | None = None
    """A measure's own limit on all of these per day, when one is in force."""


def may_invite(facts: Inviting, limits: Limits = DEFAULTS) -> Decision:
    """The only refusals that an inviter ever sees."""
    if not manages(facts.role):
        return refuse("group-role", "Only admins of this group can invite people.")
    if not facts.may_start:
        return _standing()
    begun = facts.invited_today + facts.otherwise_today
    if used_up(begun, facts.daily_limit):
        return _begun(begun)
    if facts.invited_today >= limits.group_invitations_per_day:
        return refuse(
            "group-invitations-per-day", f"You've invited {facts.invited_today} people today. Go on tomorrow."
        )
    if facts.accounts >= limits.group_accounts:
        return _full(limits)
    return ALLOW


def _full(limits: Limits) -> Decision:
    return refuse("group-full", f"A group has at most {limits.group_accounts} people, open invitations included.")


class Pair(NamedTuple):
    """What is known of a person and whoever brings her in. Defaults describe somebody who does not exist."""

    inviter_minor: bool
    """The inviter is judged as a minor in what she does towards minors."""
    exists: bool = False
    oneself: bool = False
    protected: bool = True
    """The person is protected as a minor: below 18, or not known to be older."""
    connected: bool = False
    blocked: bool = False
    """Either has blocked the other."""
    suspended: bool = False
    """The person is suspended."""
    inviter_suspended: bool = False
    inviter_role: str | None = None
    """Of the inviter in this group, now."""
    inviter_protected: bool = False
    inside: bool = False
    """The person stands on the roster already."""
    banned: bool = False
    closed: bool = False
    """The person takes requests from nobody."""
    asked_before: bool = False
    """An earlier invitation of hers to this group is open."""
    since_declined_ms: int | None = None
    """How long ago she last declined one to this group."""


def _strangers(facts: Pair) -> bool:
    """A protected person is brought in by, and brings in, only people she is connected with, whatever their age."""
    return (facts.protected or facts.inviter_protected) and not facts.connected


def _apart(facts: Pair) -> Decision | None:
    """What stands between the two, or between her and the group."""
    if not facts.exists:
        return refuse("nobody", "no such account, or the invitation or link is void", "staff")
    if facts.banned:
        return refuse("group-banned", "the account is banned from this group", "staff")
    if facts.blocked:
        return refuse("blocked", "one of the two has blocked the other", "staff")
    return None


def reach(facts: Pair, limits: Limits = DEFAULTS) -> Decision:  # noqa: PLR0911  a table of rules
    """ask = the person is invited and decides; refuse = it reaches nobody. Nobody is ever added."""
    if facts.oneself or facts.inside:
        return refuse("in-group", "the account is in this group already", "staff")
    if facts.suspended:
        return refuse("target-suspended", "the other account is suspended", "staff")
    apart = _apart(facts)
    if apart is not None:
        return apart
    if _strangers(facts) and facts.protected and not facts.inviter_minor:  # counted against her: it was her own act
        return refuse("adult-to-minor", "an adult cannot bring an unconnected minor into a group", "staff")
    if _strangers(facts):
        return refuse("stranger-to-minor", "a minor brings in, and is brought in by, connected people only", "staff")
    if facts.closed and not facts.connected:
        return refuse("closed", "the person takes requests from nobody", "staff")
    if facts.asked_before:
        return refuse("asked-before", "an earlier invitation to this group is open", "staff")
    if facts.since_declined_ms is not None and facts.since_declined_ms < limits.decline_holds_ms:
        return refuse("declined", "the person declined an invitation to this group not long ago", "staff")
    return ask("group-invitation", "the person decides", "staff")


# --- saying yes -------------------------------------------------------------------------------------------------------


class Entering(NamedTuple):
    """What is known when somebody says yes to an invitation, opens a link, or is let in by an admin."""

    pair: Pair
    may_send: bool
    """Her own account is not suspended."""
    groups: int
    """Groups that she is in."""
    members: int
    """People in this group, without her."""
    link: bool = False
    """She comes by a link, which wanders to people whom its maker does not know."""
    joins_today: int = 0
    """By links."""
    otherwise_today: int = 0
    """Conversations that she began by requests or invitations."""
    daily_limit: int | None = None
    """A measure's own limit on all of these per day, when one is in force."""


def may_enter(  # noqa: PLR0911  a table of rules
    facts: Entering, limits: Limits = DEFAULTS
) -> Decision:
    """Every rule again at the moment of the yes: ages, blocks, roles and connections may have changed since."""
    pair = facts.pair
    if not facts.may_send:
        return refuse("standing", "Your account is suspended. See your standing for the reason.")
    if pair.inside:
        return refuse("in-group", "You are in this group already.")
    if pair.inviter_suspended or not manages(pair.inviter_role):
        return refuse("inviter-gone", "whoever invited is no admin of the group any more, or suspended", "staff")
    apart = _apart(pair)
    if apart is not None:
        return apart
    if _strangers(pair):  # whoever opens a link acts, not its maker: nothing is counted against anybody
        return refuse("stranger-to-minor", "a minor brings in, and is brought in by, connected people only", "staff")
    too_many = _too_many_joins(facts, limits) if facts.link else None
    if too_many is not None:
        return too_many
    if facts.members >= limits.group_accounts:
        return refuse("group-full", "This group is full.")
    return _room_for_one_more(facts.groups, limits)


def _too_many_joins(facts: Entering, limits: Limits) -> Decision | None:
    if facts.joins_today >= limits.group_joins_per_day:
        return refuse("group-joins-per-day", f"You've joined {facts.joins_today} groups today. Go on tomorrow.")
    begun = facts.joins_today + facts.otherwise_today
    return _begun(begun) if used_up(begun, facts.daily_limit) else None


def may_stay(*, protected: bool, vouched: bool) -> Decision:
    """Asked when an age is corrected: was she brought in by somebody connected with her, or did she make it?"""
    if protected and not vouched:
        return refuse("stranger-to-minor", "a minor stays only where connected people brought her in", "staff")
    return ALLOW


# --- inside -----------------------------------------------------------------------------------------------------------


def may_manage(role: str | None) -> Decision:
    """Revoke links, lift bans: what takes nobody any further."""
    return ALLOW if manages(role) else refuse("group-role", "Only admins of this group can do this.")


def may_speak_for(role: str | None, *, may_send: bool) -> Decision:
    """Name, description and rules, which everybody reads, and the yes to joiners. No door around a suspension."""
    if manages(role) and not may_send:
        return refuse("standing", "Your account is suspended. See your standing for the reason.")
    return may_manage(role)


def may_make_link(role: str | None, *, may_start: bool) -> Decision:
    """A link brings people in as invitations do, so it asks for the same standing."""
    return _standing() if manages(role) and not may_start else may_manage(role)


def may_remove(role: str | None, target: str | None) -> Decision:
    """Remove or ban. `target` None: not on the roster (she may still be banned beforehand)."""
    if not manages(role):
        return refuse("group-role", "Only admins of this group can do this.")
    if target is not None and not _outranks(role, target):
        return refuse("group-rank", "You can't remove somebody whose role is as high as yours.")
    return ALLOW


def may_give_role(  # noqa: PLR0911  a table of rules
    role: str | None, target: str, new: Role, *, oneself: bool, owners: int
) -> Decision:
    """Owners give every role; letting a joiner in asks more (`may_enter`). An owner steps down beside another."""
    if not manages(role):
        return refuse("group-role", "Only admins of this group can do this.")
    if oneself:
        if role == "owner" and owners < 2 and new != "owner":  # noqa: PLR2004  herself and another
            return refuse("last-owner", "A group needs an owner. Make somebody else owner first.")
        if RANK[new] > RANK[role or ""]:
            return refuse("group-rank", "You can't raise your own role.")
        return ALLOW
    if target == "joiner":
        return refuse("group-rank", "Let them in as a member first.")
    if role != "owner" or target == "owner":
        return refuse("group-rank", "Only an owner changes roles, and never another owner's.")
    return ALLOW


class Standing(NamedTuple):
    """Somebody on a roster, for the succession."""

    account: str
    role: str
    since_ms: int


def successor(people: Iterable[Standing]) -> str | None:
    """Who becomes owner when none is left: the longest-serving admin, else member; None when nobody is."""
    inside = [person for person in people if person.role in INSIDE]
    if not inside or any(person.role == "owner" for person in inside):
        return None
    return min(inside, key=lambda one: (-RANK[one.role], one.since_ms, one.account)).account


class Writing(NamedTuple):
    """What is known of somebody who writes to a group or changes its leaves."""

    role: str | None
    posting: str = "everyone"
    handshake: bool = False
    """A commit or a claim of key packages: keys are renewed and due devices removed by everybody."""
    own_measure: str | None = None
    """Id of the decision that suspended the writer, when one did."""


def may_write(facts: Writing) -> Decision:
    """Refusals are the writer's own business: she sees the roster and the rules."""
    if facts.role not in INSIDE:
        return refuse("not-a-member", "the account is not in this group", "staff")
    if facts.own_measure is not None:
        return refuse("standing", "Your account is suspended. See your standing for the reason.")
    if facts.posting == "admins" and not facts.handshake and not manages(facts.role):
        return refuse("admins-only", "Only admins can write in this group.")
    return ALLOW
