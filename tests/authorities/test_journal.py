"""The life of a CyberTip: what each answer leads to, who may do what, and how long to wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kith.authorities.environment import Destination, may_send_to
from kith.authorities.journal import (
    CALLING,
    NEXT_CALL,
    RETRIED_CODES,
    Answered,
    Call,
    Lost,
    NotSent,
    Outcome,
    State,
    Step,
    after,
    may_approve,
    may_close,
    may_edit,
    may_reopen,
    wait_ms,
)
from kith.authorities.limits import DEFAULT
from kith.ledger.limits import HOUR


def answered(code: int, report_id: str | None = None) -> Answered:
    """An answer with this code."""
    return Answered(200, code, report_id)


@pytest.mark.parametrize(
    ("call", "outcome", "step"),
    [
        ("submit", answered(0, "4500001"), Step("OPEN")),
        ("submit", answered(0), Step("IN_DOUBT")),
        ("submit", Lost("timeout"), Step("IN_DOUBT")),
        ("submit", NotSent("refused"), Step("SUBMITTING", again=True)),
        ("submit", answered(1000), Step("SUBMITTING", again=True)),
        ("submit", answered(1100), Step("SUBMITTING", again=True)),
        ("submit", answered(2000), Step("FAILED")),
        ("submit", answered(3100), Step("FAILED")),
        ("submit", answered(4100), Step("FAILED")),
        ("submit", answered(987654), Step("FAILED")),
        ("finish", answered(0), Step("FINISHED")),
        ("finish", answered(5102), Step("FINISHED")),
        ("finish", answered(5001), Step("EXPIRED")),
        ("finish", answered(5101), Step("RETRACTED")),
        ("finish", answered(4000), Step("RETRACTING")),
        ("finish", answered(1300), Step("FINISHING", again=True)),
        ("finish", Lost("timeout"), Step("FINISHING", again=True)),
        ("finish", NotSent("refused"), Step("FINISHING", again=True)),
        ("retract", answered(0), Step("RETRACTED")),
        ("retract", answered(5101), Step("RETRACTED")),
        ("retract", answered(5001), Step("EXPIRED")),
        ("retract", answered(5102), Step("FINISHED")),
        ("retract", answered(3300), Step("FAILED")),
        ("retract", Lost("timeout"), Step("RETRACTING", again=True)),
    ],
)
def test_each_answer_leads_to_its_state(call: Call, outcome: Outcome, step: Step) -> None:
    """The table of the protocol, failures included."""
    assert after(call, outcome, 1) == step


@pytest.mark.parametrize(("call", "state"), [("submit", "FAILED"), ("finish", "RETRACTING"), ("retract", "IN_DOUBT")])
def test_after_ten_attempts_somebody_else_goes_on(call: Call, state: State) -> None:
    """The ninth still tries again."""
    assert after(call, NotSent("refused"), 9).again
    assert after(call, NotSent("refused"), 10) == Step(state)


outcomes = st.one_of(
    st.builds(Answered, st.integers(200, 599), st.integers(0, 9999), st.one_of(st.none(), st.just("1"))),
    st.builds(NotSent, st.just("why")),
    st.builds(Lost, st.just("why")),
)


@given(st.lists(st.tuples(outcomes, st.integers(1, 10)), max_size=60))
def test_whatever_comes_back_a_tip_is_submitted_at_most_once_unless_it_was_certainly_not_taken(
    story: list[tuple[Outcome, int]],
) -> None:
    """The law of the journal: after a doubtful or successful submit there is no second one by itself."""
    state: State = "APPROVED"
    may_be_there = False
    for outcome, attempt in story:
        if state not in NEXT_CALL:
            break
        call = NEXT_CALL[state]
        assert not (call == "submit" and may_be_there)
        taken = isinstance(outcome, Lost) or (isinstance(outcome, Answered) and outcome.code == 0)
        may_be_there = may_be_there or (call == "submit" and taken)
        state = after(call, outcome, attempt).state
    assert state in {*NEXT_CALL, "IN_DOUBT", "FINISHED", "RETRACTED", "FAILED", "EXPIRED"}


@given(outcomes, st.sampled_from(["submit", "finish", "retract"]), st.integers(1, 10))
def test_finished_is_never_guessed(outcome: Outcome, call: Call, attempt: int) -> None:
    """Only the receiver's own word makes a report finished."""
    if after(call, outcome, attempt).state == "FINISHED":
        assert isinstance(outcome, Answered)
        assert outcome.code in (0, 5102)
        assert call != "submit"


@given(st.sampled_from(sorted(RETRIED_CODES)), st.sampled_from(["submit", "finish", "retract"]))
def test_codes_for_later_are_tried_again_by_the_same_call(code: int, call: Call) -> None:
    """Server trouble is not a verdict."""
    assert after(call, answered(code), 1) == Step(CALLING[call], again=True)


@given(st.integers(1, 10), st.floats(0, 1))
def test_waits_double_up_to_a_cap_and_are_spread(attempt: int, chance: float) -> None:
    """At least half, at most the whole of the doubled wait."""
    whole = min(DEFAULT.first_wait_ms * 2 ** (attempt - 1), DEFAULT.longest_wait_ms)
    assert whole // 2 <= wait_ms(attempt, chance) <= whole


def test_ten_attempts_end_before_an_open_report_is_deleted() -> None:
    """Back-off that outlives the report would only finish a ghost."""
    assert sum(wait_ms(attempt, 1.0) for attempt in range(1, 10)) < DEFAULT.deletion_window_ms


@pytest.mark.parametrize(
    ("state", "staff", "allowed"),
    [("DRAFT", "second", True), ("DRAFT", "drafter", False), ("DRAFT", "editor", False), ("OPEN", "second", False)],
)
def test_the_second_person_is_nobody_who_wrote(state: State, staff: str, *, allowed: bool) -> None:
    """For sending and for deciding not to send."""
    assert may_approve(state, staff=staff, wrote=("drafter", "editor")).allowed is allowed
    assert may_close(state, staff=staff, wrote=("drafter", "editor")).allowed is allowed


@pytest.mark.parametrize(
    ("state", "after_ms", "allowed"),
    [
        ("FAILED", 0, True),
        ("RETRACTED", 0, True),
        ("EXPIRED", 0, True),
        ("IN_DOUBT", 24 * HOUR - 1, False),
        ("IN_DOUBT", 24 * HOUR, True),
        ("FINISHED", 99 * HOUR, False),
        ("OPEN", 99 * HOUR, False),
        ("APPROVED", 99 * HOUR, False),
    ],
)
def test_a_doubtful_report_is_opened_again_only_when_it_cannot_stand_open_there(
    state: State, after_ms: int, *, allowed: bool
) -> None:
    """So that no child's case is filed twice."""
    assert may_reopen(state, since_ms=0, now=after_ms).allowed is allowed


def test_only_drafts_can_be_changed() -> None:
    """What was approved is what is sent."""
    assert may_edit("DRAFT").allowed
    assert may_edit("APPROVED").refused


@pytest.mark.parametrize(
    ("endpoint", "production", "credentials", "rule"),
    [
        ("", False, True, "tipline-off"),
        ("https://exttest.cybertip.org/ispws", False, False, "tipline-off"),
        ("https://exttest.cybertip.org/ispws", False, True, None),
        ("https://report.cybertip.org/ispws", True, True, None),
        ("https://report.cybertip.org/ispws", False, True, "tipline-mode"),
        ("https://REPORT.cybertip.org/ispws", False, True, "tipline-mode"),
        ("https://exttest.cybertip.org/ispws", True, True, "tipline-mode"),
        ("http://127.0.0.1:9/ispws", True, True, "tipline-mode"),
        ("http://127.0.0.1:9/ispws", False, True, None),
        ("http://exttest.cybertip.org/ispws", False, True, "tipline-https"),
        ("http://127.0.0.1.example.org/ispws", False, True, "tipline-https"),
        ("https://[half", False, True, "tipline-endpoint"),
    ],
)
def test_nothing_is_sent_in_the_wrong_mode_or_in_clear(
    endpoint: str, rule: str | None, *, production: bool, credentials: bool
) -> None:
    """The mode must match the address, or nothing goes out."""
    decision = may_send_to(Destination(endpoint, production), has_credentials=credentials)
    assert [reason.rule for reason in decision.reasons] == ([rule] if rule else [])


@pytest.mark.parametrize(
    ("destination", "mode"),
    [
        (Destination(), "off"),
        (Destination("http://localhost:9/ispws"), "practice"),
        (Destination("https://exttest.cybertip.org/ispws"), "test"),
        (Destination("https://report.cybertip.org/ispws", production=True), "production"),
    ],
)
def test_the_console_can_name_where_reports_go(destination: Destination, mode: str) -> None:
    """Everything but production counts as a test."""
    assert destination.mode() == mode
    assert destination.is_test is (mode != "production")
