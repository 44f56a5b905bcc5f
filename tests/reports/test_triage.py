"""The order in which people look: severity, children, proof; never numbers of reports."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kith.ledger.limits import HOUR
from kith.reports import triage
from kith.reports.limits import Limits
from kith.reports.triage import CATEGORIES, Category, ReportFacts

LIMITS = Limits()
PLAIN = ReportFacts(
    category="bullying",
    minor_involved=False,
    reported_is_minor=False,
    reporter_is_minor=False,
    proven=False,
    over_budget=False,
)
BOOL = st.booleans()
ANY = st.builds(
    ReportFacts,
    category=st.sampled_from(CATEGORIES),
    minor_involved=BOOL,
    reported_is_minor=BOOL,
    reporter_is_minor=BOOL,
    proven=BOOL,
    over_budget=BOOL,
)


@pytest.mark.parametrize(
    ("changes", "queue"),
    [
        ({}, "general"),
        ({"minor_involved": True}, "child-safety"),
        ({"category": "sexual"}, "general"),
        ({"category": "sexual", "reported_is_minor": True}, "child-safety"),
        ({"category": "sexual", "reporter_is_minor": True}, "child-safety"),
        ({"category": "scam", "reported_is_minor": True}, "general"),
        ({"category": "other", "minor_involved": True, "over_budget": True}, "child-safety"),
    ],
)
def test_what_involves_a_child_goes_to_child_safety(changes: dict[str, object], queue: str) -> None:
    """By the reporter's tick, or something sexual with a minor as a party."""
    assert triage.of_report(replace(PLAIN, **changes), 0, LIMITS).queue == queue  # type: ignore[arg-type]


@given(facts=ANY)
def test_a_childs_case_stands_above_every_other_of_its_severity(facts: ReportFacts) -> None:
    """Whatever else is known; and a place is always within 0 to 100."""
    place = triage.of_report(replace(facts, minor_involved=True), 0, LIMITS)
    other = triage.of_report(
        replace(facts, minor_involved=False, reported_is_minor=False, reporter_is_minor=False), 0, LIMITS
    )
    assert 0 < other.priority < place.priority <= 100
    assert place.due_ms <= other.due_ms


@given(facts=ANY)
def test_severity_weighs_more_than_everything_else(facts: ReportFacts) -> None:
    """A grave unproven report over budget still stands above a lesser proven one."""
    adults = {"minor_involved": False, "reported_is_minor": False, "reporter_is_minor": False}
    grave = replace(facts, category="drugs_weapons", **adults)
    lesser = replace(PLAIN, category="scam", proven=True)
    assert triage.of_report(grave, 0, LIMITS).priority > triage.of_report(lesser, 0, LIMITS).priority


@given(facts=ANY)
def test_being_over_budget_never_touches_child_safety(facts: ReportFacts) -> None:
    """For others it only lowers the place; the queue and the due time stay."""
    within, over = replace(facts, over_budget=False), replace(facts, over_budget=True)
    one, other = triage.of_report(within, 0, LIMITS), triage.of_report(over, 0, LIMITS)
    assert (one.queue, one.due_ms) == (other.queue, other.due_ms)
    assert one.priority == other.priority if triage.child_safety(facts) else one.priority > other.priority


@given(facts=ANY)
def test_the_reporter_is_told_nothing_about_the_others_age(facts: ReportFacts) -> None:
    """`first` is the same whether the reported person is a child or not."""
    told = {triage.first_as_told(replace(facts, reported_is_minor=minor)) for minor in (True, False)}
    assert len(told) == 1


def test_the_place_itself_would_tell() -> None:
    """Control: the real place does depend on the reported person's age, so it must not be shown."""
    sexual = replace(PLAIN, category="sexual")
    places = {triage.of_report(replace(sexual, reported_is_minor=minor), 0, LIMITS).queue for minor in (True, False)}
    assert places == {"child-safety", "general"}


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_place_says_why(category: Category) -> None:
    """In words that name the category and the severity."""
    place = triage.of_report(replace(PLAIN, category=category), 0, LIMITS)
    assert category in place.because
    assert "severity" in place.because


def test_a_rules_case_waits_for_people_in_its_turn() -> None:
    """Nothing was said or proven: below every proven report of the same severity."""
    for child in (True, False):
        place = triage.of_rule("many-unanswered", 0, LIMITS, child=child)
        assert place.queue == ("child-safety" if child else "general")
        assert place.priority < triage.of_report(replace(PLAIN, minor_involved=child, proven=True), 0, LIMITS).priority


def test_who_is_suspended_waits_least_for_an_appeal() -> None:
    """Among appeals."""
    assert triage.of_appeal("suspended", 0, LIMITS).priority > triage.of_appeal("warning", 0, LIMITS).priority


def test_due_times_grow_with_less_severity() -> None:
    """Imminent first, low last."""
    due = [triage.due_after(severity, LIMITS) for severity in ("imminent", "severe", "moderate", "low")]
    assert due == sorted(due)
    assert due[0] < HOUR


def test_no_fact_of_triage_is_a_number_of_reports() -> None:
    """The facts are yes or no, or a category: there is nothing to count."""
    kinds = {type(value) for value in (getattr(PLAIN, name) for name in ReportFacts.__dataclass_fields__)}
    assert kinds == {bool, str}
