"""Appeals: once, in time, by somebody else, and overturning gives everything back at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kith.ledger.decision import Decision
from kith.ledger.limits import DAY
from kith.people import enforcement, ladder
from kith.reports import casebook, flows, keeping, review, store
from kith.reports.review import Ruling
from kith.reports.staffing import Staff
from reports.test_review import SUSPEND, Open
from reports.world import World


class Suspended(Open):
    """They were suspended by ada on a verified message."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        true = next(row.exhibit for row in self.exhibits() if row.side == "reported" and not row.flaw)
        self.judge("breaks-standards", true)
        assert self.decide(SUSPEND).allowed
        [measure] = world.ask(enforcement.measures_of, self.them)
        self.measure = measure.id

    def appeal(self, account: str | None = None, words: str = "It was a joke.") -> Any:
        """They appeal."""
        return self.world.do(flows.appeal, account or self.them, self.measure, words, self.world.desk)

    def appealed(self) -> str:
        """The case of the appeal."""
        assert isinstance(self.appeal(), str)
        [row] = self.world.open_cases()
        return str(row.case)

    def rule(self, staff: Staff, case: str, outcome: Any) -> Decision:
        """Decide the appeal."""
        ruling = Ruling(outcome, "looked again")
        decision: Decision = self.world.do(review.decide_appeal, staff, case, ruling, self.world.desk)
        return decision


def test_overturning_restores_at_once_and_upholding_does_not(world: World) -> None:
    """Sending works again in the same transaction; the standing shows what became of it."""
    scene = Suspended(world)
    assert not world.ask(enforcement.standing, scene.them).can_send
    case = scene.appealed()
    ben = world.staff("ben", "reviewer")
    assert world.do(review.claim, ben, case, world.desk.limits).allowed
    assert scene.rule(ben, case, "overturned").allowed
    standing = world.ask(enforcement.standing, scene.them)
    assert standing.can_send
    assert standing.history[0].appeal == "overturned"
    assert world.open_cases() == []


def test_an_upheld_measure_stays(world: World) -> None:
    """Until its end."""
    scene = Suspended(world)
    case = scene.appealed()
    ben = world.staff("ben", "reviewer")
    world.do(review.claim, ben, case, world.desk.limits)
    assert scene.rule(ben, case, "upheld").allowed
    standing = world.ask(enforcement.standing, scene.them)
    assert not standing.can_send
    assert standing.measures[0].appeal == "upheld"


def test_nobody_judges_their_own_decision(world: World) -> None:
    """The first reviewer neither sees nor takes nor decides the appeal, even holding the row by force."""
    scene = Suspended(world)
    case = scene.appealed()
    assert world.ask(casebook.queue, scene.ada, world.desk.limits).waiting == []
    assert world.ask(casebook.head, scene.ada, case) is None
    assert world.do(review.claim, scene.ada, case, world.desk.limits).reasons[0].rule == "appeal-other-reviewer"
    until = world.clock.now + DAY
    world.do(lambda tx: tx.run(store.SET_CLAIM, id=case, by=scene.ada.id, until=until))
    assert scene.rule(scene.ada, case, "upheld").reasons[0].rule == "appeal-other-reviewer"
    assert len(world.open_cases()) == 1


def test_the_second_reviewer_reads_the_evidence_but_not_what_the_first_wrote(world: World) -> None:
    """Exhibits and the appellant's words open; the first reviewer's reason and name do not."""
    scene = Suspended(world)
    first = world.notes(scene.case)
    case = scene.appealed()
    ben = world.staff("ben", "reviewer")
    world.do(review.claim, ben, case, world.desk.limits)
    view = world.do(casebook.show, ben, case, world.desk.limits)
    assert scene.ada.id not in str(view)
    [words] = world.do(review.open_note, ben, case, view.appeal.note, world.desk)
    assert words.said.text == "It was a joke."
    assert len(world.do(review.open_evidence, ben, case, None, world.desk)) == 5
    for note in first:
        opened = world.do(review.open_note, ben, case, note.note, world.desk)
        assert isinstance(opened, Decision) is (note.kind == "decision")


def test_the_reason_of_a_first_decision_stays_closed(world: World) -> None:
    """Control for the test above: here there is one to hide."""
    scene = Open(world)
    assert scene.decide(replace(SUSPEND, reason="Seen in other cases as well.")).allowed
    [measure] = world.ask(enforcement.measures_of, scene.them)
    world.do(flows.appeal, scene.them, measure.id, "Look again, please.", world.desk)
    [case] = world.open_cases()
    ben = world.staff("ben", "reviewer")
    world.do(review.claim, ben, case.case, world.desk.limits)
    notes = world.notes(scene.case)
    [hidden] = [note.note for note in notes if note.kind == "decision"]
    assert world.do(review.open_note, ben, case.case, hidden, world.desk) == flows.NOT_FOUND


def test_a_measure_is_appealed_once_by_its_person_in_time(world: World) -> None:
    """A stranger finds nothing; a second appeal and a late one are told why."""
    scene = Suspended(world)
    assert scene.appeal(account=scene.me) == flows.NOT_FOUND
    assert world.do(flows.appeal, scene.them, world.hub.new_id(), "x", world.desk) == flows.NOT_FOUND
    assert isinstance(scene.appeal(), str)
    assert scene.appeal().reasons[0].rule == "appeal-once"


@pytest.mark.parametrize(("days", "rule"), [(19, None), (20, "appeal-in-time"), (400, "appeal-in-time")])
def test_twenty_days_to_appeal(world: World, days: int, rule: str | None) -> None:
    """Also after the measure itself has run out."""
    scene = Suspended(world)
    world.clock.now += days * DAY
    answer = scene.appeal()
    assert isinstance(answer, str) if rule is None else answer.reasons[0].rule == rule


def test_what_was_taken_back_needs_no_appeal(world: World) -> None:
    """There is nothing left to look at."""
    scene = Suspended(world)
    world.do(enforcement.reverse, scene.measure, "mistake")
    assert scene.appeal().reasons[0].rule == "appeal-reversed"


def test_a_measure_by_a_rule_may_be_decided_by_any_reviewer(world: World) -> None:
    """There was no first reviewer, and there is no evidence: people look for the first time."""
    them = world.account("them")
    step = ladder.daily_limit(3, world.clock.now + DAY)
    measure = world.do(
        enforcement.impose, them, step, rule="many-unanswered", because="…", source="rule:many-unanswered", facts={}
    )
    world.do(flows.appeal, them, measure, "I run the choir.", world.desk)
    [case] = world.open_cases()
    ada = world.staff("ada", "reviewer")
    assert world.do(review.claim, ada, case.case, world.desk.limits).allowed
    assert world.do(review.decide_appeal, ada, case.case, Ruling("overturned"), world.desk).allowed
    assert world.ask(enforcement.standing, them).daily_limit is None


def test_an_open_appeal_keeps_the_evidence_it_is_about(world: World) -> None:
    """However long it takes; the time of keeping begins when the appeal is closed."""
    scene = Suspended(world)
    case = scene.appealed()
    world.clock.now += world.desk.limits.evidence_kept_ms + DAY

    def forget() -> int:
        return int(world.do(keeping.forget, world.desk.limits, world.desk.blobs, lambda *_: False))

    assert forget() == 0
    ben = world.staff("ben", "reviewer")
    world.do(review.claim, ben, case, world.desk.limits)
    scene.rule(ben, case, "upheld")
    assert forget() == 0
    world.clock.now += world.desk.limits.evidence_kept_ms + 1
    assert forget() == 2
