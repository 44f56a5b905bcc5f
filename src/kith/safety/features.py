"""What an account's first contacts look like, kept up event by event: pure, bounded, integer time.

Windows are left-open and right-closed, (now - window, now], in milliseconds; events of the same
millisecond count in ledger order. Only events already recorded are known at a decision. Every feature is
made of ledger events, which hold no text; a feature that cannot be known is None, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import msgspec

from kith.ledger.events import (
    AccountCreated,
    Blocked,
    DecisionMade,
    Event,
    FirstMessage,
    RequestAccepted,
    RequestCancelled,
    RequestDeclined,
    RequestSent,
)
from kith.ledger.limits import DAY
from kith.safety.limits import DEFAULT, Limits

MINORS_GATES = frozenset({"adult-to-minor"})
"""Rules of the first-contact policy that protect minors; refusals by them are counted, never whom they protected."""


class Contact(msgspec.Struct, array_like=True):
    """One first contact that an account asked for.

    `target` is None where it reached nobody. `answer` is "" while there is none, else accepted, declined,
    blocked or cancelled.
    """

    request: str
    at_ms: int
    target: str | None
    answer: str = ""
    replied: bool = False


class State(msgspec.Struct):
    """What is remembered of one account; `contacts` oldest first."""

    born_ms: int | None = None
    contacts: list[Contact] = msgspec.field(default_factory=list)
    gate_refusals_ms: list[int] = msgspec.field(default_factory=list)


class Memory(Protocol):
    """Where states are kept: rows on a server, a dict in tests and simulations."""

    def recall(self, account: str) -> State:
        """The account's state; an empty one at first."""

    def remember(self, account: str, state: State) -> None:
        """Keep it."""

    def open_room(self, room: str, requester: str, target: str) -> None:
        """A first contact was accepted and led to this room."""

    def take_room(self, room: str, writer: str) -> str | None:
        """The requester, when `writer` is the target of a room not yet taken; then forget the room."""


class Features(NamedTuple):
    """An account at one moment. Shares are None while too few first contacts are settled."""

    first_contacts_1d: int
    reached_7d: int
    unreached_7d: int
    settled_7d: int
    accepted_share: float | None
    replied_share: float | None
    account_age_ms: int | None
    gate_refusals_7d: int
    contacts_since_limit: int | None
    accepted_share_since_limit: float | None

    def known(self) -> dict[str, float]:
        """The features that could be told, for the record of a firing."""
        return {name: float(value) for name, value in self._asdict().items() if value is not None}


class FeatureNote(NamedTuple):
    """What a feature is, for `docs/rules.md`."""

    name: str
    window: str
    meaning: str


FEATURES = (
    FeatureNote("first_contacts_1d", "1 day", "message requests sent"),
    FeatureNote("reached_7d", "7 days", "distinct accounts that a request reached"),
    FeatureNote("unreached_7d", "7 days", "requests that reached nobody, for whatever cause; the cause is not kept"),
    FeatureNote("settled_7d", "7 days", "requests answered, cancelled, or older than the patience"),
    FeatureNote("accepted_share", "7 days", "accepted among settled requests; a block counts as a no"),
    FeatureNote("replied_share", "7 days", "settled requests whose target wrote back at least once"),
    FeatureNote("account_age_ms", "life", "time since sign-up"),
    FeatureNote("gate_refusals_7d", "7 days", "refusals by the minors' gate: a number, never whom it protected"),
    FeatureNote("contacts_since_limit", "since the limit in force", "message requests sent in spite of a limit"),
    FeatureNote("accepted_share_since_limit", "since the limit in force", "accepted among those that are settled"),
)


def observe(memory: Memory, event: Event, at_ms: int, limits: Limits = DEFAULT) -> str | None:
    """Take in one event; returns the account to judge now, when the event is one that rules look at."""
    match event:
        case AccountCreated():
            with _changing(memory, event.account) as state:
                state.born_ms = at_ms
        case RequestSent(invited=False):  # whoever made an invite wished to be asked
            with _changing(memory, event.requester) as state:
                _add(state, Contact(event.request, at_ms, event.target), limits)
            return event.requester
        case RequestAccepted():
            _answered(memory, event, "accepted")
            memory.open_room(event.room, event.requester, event.target)
        case RequestDeclined():
            _answered(memory, event, "declined")
            return event.requester
        case RequestCancelled():
            _answered(memory, event, "cancelled")
        case FirstMessage():
            _replied(memory, event.room, event.account)
        case Blocked():
            return event.account if _blocked(memory, event) else None
        case DecisionMade(outcome="refuse") if any(r.rule in MINORS_GATES for r in event.reasons):
            with _changing(memory, event.about) as state:
                state.gate_refusals_ms = [*state.gate_refusals_ms[-(limits.contacts_kept - 1) :], at_ms]
    return None


@contextmanager
def _changing(memory: Memory, account: str) -> Iterator[State]:
    state = memory.recall(account)
    yield state
    memory.remember(account, state)


def _add(state: State, contact: Contact, limits: Limits) -> None:
    """Append, and let go what no window reaches any more: amortised O(1), never more than `contacts_kept`."""
    oldest = contact.at_ms - limits.feature_window_ms
    stale = next((n for n, known in enumerate(state.contacts) if known.at_ms > oldest), len(state.contacts))
    excess = len(state.contacts) + 1 - limits.contacts_kept
    del state.contacts[: max(stale, excess)]
    state.contacts.append(contact)


def _answered(memory: Memory, event: RequestAccepted | RequestDeclined | RequestCancelled, answer: str) -> None:
    with _changing(memory, event.requester) as state:
        for contact in reversed(state.contacts):
            if contact.request == event.request:
                contact.answer = answer
                return


def _replied(memory: Memory, room: str, writer: str) -> None:
    requester = memory.take_room(room, writer)
    if requester is not None:
        with _changing(memory, requester) as state:
            for contact in state.contacts:
                contact.replied = contact.replied or contact.target == writer


def _blocked(memory: Memory, event: Blocked) -> bool:
    """A block by somebody whom the account had approached; other blocks say nothing about first contacts."""
    with _changing(memory, event.account) as state:
        approached = [contact for contact in state.contacts if contact.target == event.by]
        for contact in approached:
            contact.answer = "blocked"
    return bool(approached)


def features_of(state: State, now: int, limited_since: int | None = None, limits: Limits = DEFAULT) -> Features:
    """An account's features at `now`; `limited_since` = when the limit in force was imposed (ms)."""
    week = _within(state.contacts, now - limits.feature_window_ms, now)
    settled = [contact for contact in week if _settled(contact, now, limits)]
    since = None if limited_since is None else _within(state.contacts, limited_since, now)
    settled_since = [contact for contact in since or () if _settled(contact, now, limits)]
    return Features(
        first_contacts_1d=len(_within(week, now - DAY, now)),
        reached_7d=len({contact.target for contact in week if contact.target is not None}),
        unreached_7d=sum(contact.target is None for contact in week),
        settled_7d=len(settled),
        accepted_share=_share(settled, _accepted, fewest=limits.fewest_settled),
        replied_share=_share(settled, _has_reply, fewest=limits.fewest_settled),
        account_age_ms=None if state.born_ms is None else now - state.born_ms,
        gate_refusals_7d=sum(now - limits.feature_window_ms < at <= now for at in state.gate_refusals_ms),
        contacts_since_limit=None if since is None else len(since),
        accepted_share_since_limit=_share(settled_since, _accepted, fewest=limits.contacts_after_limit),
    )


def settles_ms(state: State, limits: Limits = DEFAULT) -> int | None:
    """When the newest unanswered first contact counts as a no; None when nothing is open."""
    waiting = [contact.at_ms for contact in state.contacts if not contact.answer]
    return waiting[-1] + limits.patience_ms if waiting else None


def _within(contacts: Sequence[Contact], after: int, until: int) -> list[Contact]:
    return [contact for contact in contacts if after < contact.at_ms <= until]


def _settled(contact: Contact, now: int, limits: Limits) -> bool:
    return bool(contact.answer) or now - contact.at_ms >= limits.patience_ms


def _accepted(contact: Contact) -> bool:
    return contact.answer == "accepted"


def _has_reply(contact: Contact) -> bool:
    return contact.replied


def _share(contacts: Sequence[Contact], holds: Callable[[Contact], bool], *, fewest: int) -> float | None:
    return sum(map(holds, contacts)) / len(contacts) if len(contacts) >= fewest else None
