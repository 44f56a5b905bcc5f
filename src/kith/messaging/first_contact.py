"""Who may ask whom to be connected, and who may say yes: one pure policy for every door.

The requester learns only of limits on herself, decided before anybody is looked up. Whatever concerns the other
side gives the same answer as for somebody who does not exist: a refusal would reveal a block, an age or a setting.
"""

from __future__ import annotations

from typing import NamedTuple

from kith.ledger.decision import ALLOW, Decision, ask, refuse
from kith.messaging.limits import DEFAULTS, Limits


class Asking(NamedTuple):
    """What is known of a requester before anybody is looked up."""

    may_start: bool
    """Her standing lets her begin conversations."""
    sent_today: int
    """Requests in the last 24 hours."""
    unanswered: int
    """Her requests that nobody answered or that reached nobody; she cannot tell which."""
    otherwise_today: int = 0
    """Conversations that she began by invitations into groups or links."""
    daily_limit: int | None = None
    """A measure's own limit on all of these per day, when one is in force."""


def used_up(begun_today: int, daily_limit: int | None) -> bool:
    """Whether a measure lets somebody begin no further conversation today, by whichever door."""
    return daily_limit is not None and begun_today >= daily_limit


def may_ask(facts: Asking, limits: Limits = DEFAULTS) -> Decision:
    """The requester's own standing and limits: the only refusals she ever sees."""
    if not facts.may_start:
        return refuse("standing", "You can't start new conversations at the moment. See your standing for the reason.")
    most = limits.requests_per_day if facts.daily_limit is None else min(facts.daily_limit, limits.requests_per_day)
    if facts.sent_today >= most:
        return refuse("requests-per-day", f"You've sent {facts.sent_today} requests today; the limit is {most} a day.")
    begun = facts.sent_today + facts.otherwise_today
    if used_up(begun, facts.daily_limit):
        return refuse("begun-per-day", f"You've begun {begun} conversations today, groups included. Go on tomorrow.")
    if facts.unanswered >= limits.requests_open:
        return refuse("requests-open", f"{facts.unanswered} of your requests are unanswered. Wait, or take some back.")
    return ALLOW


class Meeting(NamedTuple):
    """What is known of two people when one asks for the other. Defaults describe somebody who does not exist."""

    asker_minor: bool
    """The asker is judged as a minor in what she does towards minors; unknown and lowered ages are not."""
    target_protected: bool = True
    """The target is protected as a minor: below 18, or not known to be older."""
    exists: bool = False
    oneself: bool = False
    suspended: bool = False
    """The target is suspended."""
    connected: bool = False
    blocked: bool = False
    """Either has blocked the other."""
    closed: bool = False
    """The target takes requests from nobody."""
    invited: bool = False
    """The asker holds an unused invite that the target made."""
    asked_before: bool = False
    """The asker's earlier request is open."""
    asked_back: bool = False
    """The target's own request to the asker is open."""
    since_declined_ms: int | None = None
    """How long ago the target last declined the asker."""


def reach(facts: Meeting, limits: Limits = DEFAULTS) -> Decision:  # noqa: PLR0911  a table of rules
    """allow = both have asked, so they are connected; ask = the target decides; refuse = it reaches nobody."""
    hindrance = _hindrance(facts)
    if hindrance is not None:
        return hindrance
    if facts.asked_back:
        return ALLOW
    if facts.asked_before:
        return refuse("asked-before", "an earlier request to this person is still open", "staff")
    if facts.invited:
        return ask("invited", "the person made this invite and confirms who used it", "staff")
    if facts.closed:
        return refuse("closed", "the person takes requests from nobody", "staff")
    if facts.since_declined_ms is not None and facts.since_declined_ms < limits.decline_holds_ms:
        return refuse("declined", "the person declined a request of this account not long ago", "staff")
    return ask("request", "the person decides", "staff")


def _hindrance(facts: Meeting) -> Decision | None:  # noqa: PLR0911  a table of rules
    """What stops a request whatever the target's own wishes are. The minors' rule comes before crossed requests."""
    if not facts.exists:
        return refuse("nobody", "no such account, or the invite is used up or expired", "staff")
    if facts.oneself:
        return refuse("oneself", "the account asked for itself", "staff")
    if facts.suspended:
        return refuse("target-suspended", "the other account is suspended", "staff")
    if facts.blocked:
        return refuse("blocked", "one of the two has blocked the other", "staff")
    if facts.connected:
        return refuse("connected", "the two are connected already", "staff")
    if facts.target_protected and not facts.asker_minor and not facts.invited:
        return refuse("adult-to-minor", "an adult cannot ask an unconnected minor", "staff")
    return None


class Answering(NamedTuple):
    """What is known of two people when one says yes to the other's open request."""

    asker_minor: bool
    answerer_protected: bool = True
    invited: bool = False
    """The request came by an invite that the answerer made."""
    blocked: bool = False
    asker_suspended: bool = False
    answerer_suspended: bool = False


def may_accept(facts: Answering) -> Decision:
    """The same rules again at the moment of saying yes: ages, blocks and standing may have changed since."""
    if facts.answerer_suspended:
        return refuse("standing", "Your account is suspended. See your standing for the reason.")
    if facts.blocked:
        return refuse("blocked", "one of the two has blocked the other", "staff")
    if facts.asker_suspended:
        return refuse("asker-suspended", "the account that asked is suspended", "staff")
    if facts.answerer_protected and not facts.asker_minor and not facts.invited:
        return refuse("adult-to-minor", "an adult's request to a minor can't be accepted", "staff")
    return ALLOW
