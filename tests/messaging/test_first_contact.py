"""The policy of first contact: every row of the table, and laws that hold for all facts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kith.ledger.limits import DAY
from kith.messaging.first_contact import Answering, Asking, Meeting, may_accept, may_ask, reach
from kith.messaging.limits import DEFAULTS
from kith.messaging.writing import Between, may_write

ADULTS = Meeting(asker_minor=False, target_protected=False, exists=True)
ADULT_TO_MINOR = Meeting(asker_minor=False, target_protected=True, exists=True)
MINOR_TO_ADULT = Meeting(asker_minor=True, target_protected=False, exists=True)
MINORS = Meeting(asker_minor=True, target_protected=True, exists=True)

TABLE = [
    ("nobody has that handle", Meeting(asker_minor=False), "refuse", "nobody"),
    ("an adult asks an adult", ADULTS, "ask", "request"),
    ("a minor asks a minor", MINORS, "ask", "request"),
    ("a minor asks an adult", MINOR_TO_ADULT, "ask", "request"),
    ("an adult asks a minor", ADULT_TO_MINOR, "refuse", "adult-to-minor"),
    ("an adult opens a minor's invite", ADULT_TO_MINOR._replace(invited=True), "ask", "invited"),
    ("an adult asks a minor who asked first", ADULT_TO_MINOR._replace(asked_back=True), "refuse", "adult-to-minor"),
    ("a minor asks an adult who came by invite", MINOR_TO_ADULT._replace(asked_back=True), "allow", None),
    ("two adults ask each other", ADULTS._replace(asked_back=True), "allow", None),
    ("somebody asks herself", ADULTS._replace(oneself=True), "refuse", "oneself"),
    ("the other is suspended", ADULTS._replace(suspended=True), "refuse", "target-suspended"),
    ("one blocked the other", ADULTS._replace(blocked=True), "refuse", "blocked"),
    ("a block beats an invite", ADULTS._replace(blocked=True, invited=True), "refuse", "blocked"),
    ("a block beats a crossed request", ADULTS._replace(blocked=True, asked_back=True), "refuse", "blocked"),
    ("they are connected", ADULTS._replace(connected=True), "refuse", "connected"),
    ("the other takes no requests", ADULTS._replace(closed=True), "refuse", "closed"),
    ("an invite opens a closed door", ADULTS._replace(closed=True, invited=True), "ask", "invited"),
    ("who takes no requests but asked", ADULTS._replace(closed=True, asked_back=True), "allow", None),
    ("a request is open already", ADULTS._replace(asked_before=True), "refuse", "asked-before"),
    ("declined yesterday", ADULTS._replace(since_declined_ms=DAY), "refuse", "declined"),
    ("declined 90 days ago", ADULTS._replace(since_declined_ms=90 * DAY), "ask", "request"),
    ("declined 90 days less a millisecond ago", ADULTS._replace(since_declined_ms=90 * DAY - 1), "refuse", "declined"),
    ("declined, then invited", ADULTS._replace(since_declined_ms=DAY, invited=True), "ask", "invited"),
]


@pytest.mark.parametrize(("facts", "outcome", "rule"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_request_reaches_whom_it_may(facts: Meeting, outcome: str, rule: str | None) -> None:
    """One row of the table."""
    decision = reach(facts)
    assert decision.outcome == outcome
    assert [reason.rule for reason in decision.reasons] == ([] if rule is None else [rule])


flags = st.booleans()
meetings = st.builds(
    Meeting,
    asker_minor=flags,
    target_protected=flags,
    exists=flags,
    oneself=flags,
    suspended=flags,
    connected=flags,
    blocked=flags,
    closed=flags,
    invited=flags,
    asked_before=flags,
    asked_back=flags,
    since_declined_ms=st.none() | st.integers(0, 200 * DAY),
)


@given(meetings)
def test_an_adult_never_reaches_a_minor_who_did_not_invite(facts: Meeting) -> None:
    """Whatever else is true."""
    if facts.target_protected and not facts.asker_minor and not facts.invited:
        assert reach(facts).refused


@given(meetings)
def test_a_block_is_stronger_than_everything(facts: Meeting) -> None:
    """Nothing passes a block."""
    assert reach(facts._replace(blocked=True)).refused


@given(meetings)
def test_nothing_about_the_target_is_said_to_the_person(facts: Meeting) -> None:
    """Every reason is for staff only."""
    assert reach(facts).for_person() == ()


@given(meetings)
def test_being_more_reachable_never_closes_a_door(facts: Meeting) -> None:
    """Opening the controls, or forgetting a decline, never turns a yes into a no."""
    open_door = facts._replace(closed=False, since_declined_ms=None)
    if not reach(facts).refused:
        assert reach(open_door) == reach(facts)


ASKING = Asking(may_start=True, sent_today=0, unanswered=0)


@pytest.mark.parametrize(
    ("facts", "rule"),
    [
        (ASKING, None),
        (ASKING._replace(may_start=False), "standing"),
        (ASKING._replace(sent_today=19), None),
        (ASKING._replace(sent_today=20), "requests-per-day"),
        (ASKING._replace(sent_today=2, daily_limit=3), None),
        (ASKING._replace(sent_today=3, daily_limit=3), "requests-per-day"),
        (ASKING._replace(sent_today=20, daily_limit=500), "requests-per-day"),
        (ASKING._replace(unanswered=49), None),
        (ASKING._replace(unanswered=50), "requests-open"),
    ],
)
def test_the_requester_learns_only_of_her_own_limits(facts: Asking, rule: str | None) -> None:
    """Standing, requests a day, open requests; each with a sentence for the person."""
    decision = may_ask(facts)
    assert decision.refused == (rule is not None)
    assert [reason.rule for reason in decision.for_person()] == ([] if rule is None else [rule])


def test_limits_can_be_tuned() -> None:
    """A smaller default holds."""
    assert may_ask(ASKING._replace(sent_today=1), replace(DEFAULTS, requests_per_day=1)).refused


YES = Answering(asker_minor=False, answerer_protected=False)


@pytest.mark.parametrize(
    ("facts", "rule"),
    [
        (YES, None),
        (YES._replace(answerer_protected=True), "adult-to-minor"),
        (YES._replace(answerer_protected=True, invited=True), None),
        (YES._replace(asker_minor=True, answerer_protected=True), None),
        (YES._replace(asker_minor=True), None),
        (YES._replace(blocked=True), "blocked"),
        (YES._replace(blocked=True, invited=True), "blocked"),
        (YES._replace(asker_suspended=True), "asker-suspended"),
        (YES._replace(answerer_suspended=True), "standing"),
    ],
)
def test_a_yes_is_judged_again(facts: Answering, rule: str | None) -> None:
    """Ages, blocks and standing at the moment of saying yes."""
    assert [reason.rule for reason in may_accept(facts).reasons] == ([] if rule is None else [rule])


def test_only_ones_own_standing_is_told_when_a_yes_is_refused() -> None:
    """The other's age, block or standing stays unsaid."""
    assert may_accept(YES._replace(answerer_suspended=True)).for_person()
    for facts in (
        YES._replace(blocked=True),
        YES._replace(answerer_protected=True),
        YES._replace(asker_suspended=True),
    ):
        assert not may_accept(facts).for_person()


WRITES = Between(member=True, connected=True, blocked=False, other_suspended=False, own_measure=None)


@pytest.mark.parametrize(
    ("facts", "rule", "told"),
    [
        (WRITES, None, False),
        (WRITES._replace(member=False), "not-a-member", False),
        (WRITES._replace(connected=False), "not-connected", False),
        (WRITES._replace(blocked=True), "blocked", False),
        (WRITES._replace(other_suspended=True), "other-suspended", False),
        (WRITES._replace(own_measure="m"), "standing", True),
        (WRITES._replace(own_measure="m", blocked=True), "standing", True),
    ],
)
def test_who_may_write_in_a_room(facts: Between, rule: str | None, told: bool) -> None:
    """Connected both ways, nobody blocked, neither suspended."""
    decision = may_write(facts)
    assert [reason.rule for reason in decision.reasons] == ([] if rule is None else [rule])
    assert bool(decision.for_person()) == told
