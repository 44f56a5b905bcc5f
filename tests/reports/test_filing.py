"""Filing a report: never refused for being unproven, joined to the open case, and never counted against anybody."""

from __future__ import annotations

import pytest

from kith.ledger.database import Row
from kith.ledger.decision import Decision
from kith.ledger.limits import DAY
from kith.people import enforcement
from kith.reports import flows, review, store
from kith.reports.consequences import Choice
from kith.reports.desk import Desk
from kith.reports.evidence import Examined
from kith.reports.limits import Limits
from kith.reports.sealing import EvidenceKey
from kith.reports.taxonomy import BY_ID
from reports.world import World


def count(world: World, table: str) -> int:
    """Rows of a table."""
    return int(world.raw(f"select count(*) from {table}")[0][0])  # noqa: S608  names of our own tables


def test_a_true_report_is_full_and_an_invented_one_is_taken_all_the_same(world: World) -> None:
    """Class NONE is an answer, not a refusal."""
    me, them = world.account("me"), world.account("them")
    chat, elsewhere = world.hub.chat(me, them), world.hub.chat(me, them)
    world.hub.say(chat, them, "one", "two")
    world.hub.say(elsewhere, them, "three")
    assert world.report(chat, me, them).report_class == "FULL"
    assert world.report(chat, me, them, [*chat.items, *elsewhere.items]).report_class == "PARTIAL"
    assert world.report(chat, me, them, elsewhere.items).report_class == "NONE"
    assert world.report(None, me, them).report_class == "NONE"


def test_reports_about_one_person_join_one_open_case_per_queue(world: World) -> None:
    """Three reporters, two queues, two cases."""
    them = world.account("them")
    for name in ("a", "b", "c"):
        world.report(None, world.account(name), them, category="scam")
    world.report(None, world.account("d"), them, category="other", minor_involved=True)
    assert sorted(case.queue for case in world.open_cases()) == ["child-safety", "general"]


def test_ten_thousand_reports_would_stand_where_one_stands(world: World) -> None:
    """A hundred brigaded accounts with ten reports each: same place, no measure, no event but the reports."""
    them = world.account("them")
    world.report(None, world.account("first"), them, category="bullying")
    [before] = world.open_cases()
    for number in range(100):
        someone = world.account(f"b{number}")
        for _ in range(10):
            world.report(None, someone, them, category="bullying")
    [after] = world.open_cases()
    assert (after.case, after.priority, after.due_ms) == (before.case, before.priority, before.due_ms)
    assert world.ask(enforcement.measures_of, them) == []


def test_a_graver_report_raises_the_case_and_brings_it_forward(world: World) -> None:
    """Up by what it shows; a lesser one afterwards changes nothing."""
    me, them = world.account("me"), world.account("them")
    world.report(None, me, them, category="other")
    [low] = world.open_cases()
    world.report(None, me, them, category="drugs_weapons")
    [high] = world.open_cases()
    world.report(None, me, them, category="other")
    assert high.case == low.case
    assert high.priority > low.priority
    assert high.due_ms < low.due_ms
    assert world.open_cases() == [high]


def test_over_budget_reports_wait_behind_others_but_child_safety_never_does(world: World) -> None:
    """The eleventh report of a day stands lower, unless a child may be involved."""
    eager, calm = world.account("eager"), world.account("calm")
    for number in range(world.desk.limits.reports_per_day):
        world.report(None, eager, world.account(f"x{number}"), category="scam")
    one, other, child = world.account("one"), world.account("other"), world.account("child")
    world.report(None, eager, one, category="scam")
    world.report(None, calm, other, category="scam")
    world.report(None, eager, child, category="other", minor_involved=True)
    cases = {case.account: case for case in world.open_cases()}
    assert cases[one].priority < cases[other].priority
    assert cases[child] == world.open_cases()[0]


def test_a_flood_is_slowed_and_made_up_items_do_not_fill_the_disk(world: World) -> None:
    """Far over budget: general reports wait until tomorrow; child-safety ones come in, with what is proven."""
    me, them = world.account("me"), world.account("them")
    for _ in range(world.desk.limits.reports_per_day_at_most):
        world.report(None, me, them)
    filing = flows.Filing(reporter=me, account=them, category="scam", minor_involved=False)
    refused = world.do(flows.file, filing, Examined(), world.desk)
    assert isinstance(refused, Decision)
    assert refused.reasons[0].rule == "report-flood"
    chat, elsewhere = world.hub.chat(me, them), world.hub.chat(me, them)
    world.hub.say(chat, them, "true")
    world.hub.say(elsewhere, them, *["made up"] * 9)
    filed = world.report(chat, me, them, [*chat.items, *elsewhere.items], minor_involved=True)
    assert filed.report_class == "PARTIAL"
    assert count(world, "exhibits") == 1
    world.desk = Desk(world.desk.key, Limits(reports_per_day_ever=world.desk.limits.reports_per_day_at_most + 1))
    filing = flows.Filing(reporter=me, account=them, category="other", minor_involved=True)
    assert isinstance(world.do(flows.file, filing, Examined(), world.desk), Decision)
    world.clock.now += DAY
    world.report(None, me, them, category="scam")


def test_a_flood_is_answered_alike_whatever_the_age_of_the_reported_person(world: World) -> None:
    """An adult far over budget learns nobody's age by reporting; a minor's own report is taken."""
    them = {band: world.account(f"them{number}", band) for number, band in enumerate(("18+", "13-15", "unknown"))}

    def answers(reporter: str) -> list[bool]:
        for _ in range(world.desk.limits.reports_per_day_at_most):
            world.report(None, reporter, world.account(f"x{world.hub.new_id()}"), category="scam")
        filings = [
            flows.Filing(reporter=reporter, account=account, category="sexual", minor_involved=False)
            for account in them.values()
        ]
        return [isinstance(world.do(flows.file, filing, Examined(), world.desk), Decision) for filing in filings]

    assert answers(world.account("adult")) == [True, True, True]
    assert answers(world.account("teen", "13-15")) == [False, False, False]


@pytest.mark.parametrize(
    ("band", "minor_involved", "first"),
    [("18+", False, False), ("13-15", False, False), ("18+", True, True), ("13-15", True, True)],
)
def test_what_the_reporter_is_told_depends_on_the_reporter_alone(
    world: World, band: str, minor_involved: bool, first: bool
) -> None:
    """An adult who reports something sexual must not learn from the answer that the other is a child."""
    me, them = world.account("me"), world.account("them", band)
    assert world.report(None, me, them, category="sexual", minor_involved=minor_involved).first is first


def test_nobody_reports_themself_or_who_does_not_exist(world: World) -> None:
    """Both get the one answer for what is not there."""
    me = world.account("me")
    for account in (me, world.hub.new_id()):
        filing = flows.Filing(reporter=me, account=account, category="scam", minor_involved=False)
        assert world.do(flows.file, filing, Examined(), world.desk) == flows.NOT_FOUND
    assert count(world, "reports") == count(world, "cases") == 0


def test_your_reports_show_status_and_outcome_and_nobody_who_decided(world: World) -> None:
    """received, reviewing, closed; action or no action; only one's own."""
    me, them = world.account("me"), world.account("them")
    world.report(None, me, them, category="scam")
    [mine] = world.ask(flows.your_reports, me)
    assert (mine["status"], mine["outcome"], mine["handle"]) == ("received", None, "them")
    ada = world.staff("ada", "reviewer")
    [case] = world.open_cases()
    assert world.do(review.claim, ada, case.case, world.desk.limits).allowed
    [mine] = world.ask(flows.your_reports, me)
    assert mine["status"] == "reviewing"
    choice = Choice(action="no_action", policy=BY_ID["spam"], severity="low")
    assert world.do(review.decide, ada, case.case, choice, world.desk).allowed
    [mine] = world.ask(flows.your_reports, me)
    assert (mine["status"], mine["outcome"]) == ("closed", "no_action")
    assert world.ask(flows.your_reports, them) == []
    assert ada.id not in str(mine)
    assert set(mine) == {"report", "sent_ms", "category", "account", "handle", "status", "outcome", "missing"}


def test_after_closing_a_new_report_opens_a_new_case(world: World) -> None:
    """The old one stays closed and is listed beside it."""
    me, them = world.account("me"), world.account("them")
    world.report(None, me, them)
    [first] = world.open_cases()
    ada = world.staff("ada", "reviewer")
    world.do(review.claim, ada, first.case, world.desk.limits)
    world.do(
        review.decide, ada, first.case, Choice(action="no_action", policy=BY_ID["spam"], severity="low"), world.desk
    )
    world.report(None, me, them)
    [second] = world.open_cases()
    assert second.case != first.case
    assert len(_cases_about(world, them)) == 2


def test_after_the_evidence_key_was_replaced_a_report_opens_a_new_case(world: World) -> None:
    """What was sealed stays shut; reports and proven messages are taken all the same, and join the new case."""
    me, them = world.account("me"), world.account("them")
    world.report(None, me, them, note="before")
    [old] = world.open_cases()
    world.desk = Desk(EvidenceKey(b"another key, of thirty-two bytes"))
    world.clock.now += 1
    for _ in range(2):
        world.report(None, me, them, note="after")
    [new] = [case for case in world.open_cases() if case.case != old.case]
    assert (len(world.notes(old.case)), len(world.notes(new.case))) == (1, 2)
    world.do(flows.propose, them, "many-unanswered", world.desk.limits, child=False)
    assert len(world.open_cases()) == 2


def test_a_case_whose_key_does_not_open_is_escalated_alone(world: World) -> None:
    """Nothing is moved out of it or into it; the case itself changes its queue."""
    me, them = world.account("me"), world.account("them")
    world.report(None, me, them, note="before")
    [old] = world.open_cases()
    world.desk = Desk(EvidenceKey(b"another key, of thirty-two bytes"))
    world.report(None, me, them, minor_involved=True, note="after")
    ada = world.staff("ada", "reviewer")
    world.do(review.claim, ada, old.case, world.desk.limits)
    assert world.do(review.escalate, ada, old.case, world.desk).allowed
    cases = world.open_cases()
    assert [case.queue for case in cases] == ["child-safety", "child-safety"]
    assert [len(world.notes(case.case)) for case in cases] == [1, 1]


def test_a_rule_opens_one_case_and_asking_again_changes_nothing(world: World) -> None:
    """What behaviour rules propose joins the open case too."""
    them = world.account("them")
    for _ in range(3):
        world.do(flows.propose, them, "many-unanswered", world.desk.limits, child=False)
    [case] = world.open_cases()
    assert case.source == "rule:many-unanswered"
    world.do(flows.propose, world.hub.new_id(), "many-unanswered", world.desk.limits, child=False)
    assert len(world.open_cases()) == 1


def _cases_about(world: World, account: str) -> list[Row]:
    return world.database.read_now(lambda reader: reader.all(store.CASES_ABOUT, about=account))


def test_an_export_names_ones_own_reports_and_appeals_only(world: World) -> None:
    """What this room holds about a person, as far as it is hers to see."""
    me, them = world.account("me"), world.account("them")
    world.report(None, me, them, note="mine")
    mine, theirs = world.ask(flows.held, me), world.ask(flows.held, them)
    assert [row["account"] for row in mine["reports_sent"]] == [them]
    assert theirs == {"reports_sent": [], "appeals": []}
    assert me not in str(theirs)
