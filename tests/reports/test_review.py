"""Working on cases: one holder, evidence only for the holder, measures only on evidence or a written reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kith.ledger import audit, log
from kith.ledger.audit import Intact
from kith.ledger.database import Row, Tx
from kith.ledger.decision import Decision
from kith.ledger.events import CaseProposed
from kith.ledger.limits import DAY
from kith.people import enforcement
from kith.reports import casebook, flows, keeping, reactions, review, store
from kith.reports.consequences import Choice, Grounds, may_follow
from kith.reports.desk import Desk
from kith.reports.keeping import Opened
from kith.reports.limits import Limits
from kith.reports.review import Exposure
from kith.reports.sealing import CannotOpen, EvidenceKey
from kith.reports.staffing import Staff
from kith.reports.taxonomy import BY_ID, POLICIES
from reports.world import World

SUSPEND = Choice(action="suspend", policy=BY_ID["fraud-deception"], severity="moderate", days=7)


class Open:
    """One case with three messages of them and two of mine, one of them forged, held by ada."""

    def __init__(self, world: World, *roles: str, **how: Any) -> None:
        self.world = world
        self.me, self.them = world.account("me"), world.account("them")
        self.chat = world.hub.chat(self.me, self.them)
        world.hub.say(self.chat, self.them, "one", "two", "three")
        world.hub.say(self.chat, self.me, "four")
        forged = replace(self.chat.items[0], server_frank=bytes(32))
        world.report(self.chat, self.me, self.them, [*self.chat.items, forged], note="my note", **how)
        self.ada = world.staff("ada", *(roles or ("reviewer",)))
        [row] = world.open_cases()
        self.case = str(row.case)
        assert world.do(review.claim, self.ada, self.case, world.desk.limits).allowed

    def exhibits(self) -> list[Row]:
        """Rows of the case's exhibits."""
        return self.world.exhibits(self.case)

    def open(self, *ids: str, staff: Staff | None = None) -> Any:
        """Open these, or all."""
        return self.world.do(review.open_evidence, staff or self.ada, self.case, set(ids) or None, self.world.desk)

    def claim(self, staff: Staff) -> Decision:
        """Somebody tries to take the case."""
        decision: Decision = self.world.do(review.claim, staff, self.case, self.world.desk.limits)
        return decision

    def judge(self, verdict: str, *ids: str) -> Decision:
        """The same verdict on these."""
        given = dict.fromkeys(ids, verdict)
        decision: Decision = self.world.do(review.give_verdicts, self.ada, self.case, given, self.world.desk.limits)
        return decision

    def decide(self, choice: Choice) -> Decision:
        """Decide as ada."""
        decision: Decision = self.world.do(review.decide, self.ada, self.case, choice, self.world.desk)
        return decision


def entries(world: World, action: str) -> list[Any]:
    """Entries of the staff log of one kind."""
    return [row for row in world.ask(audit.recent, 10_000) if row.action == action]


# Claims ------------------------------------------------------------------------------------------


def test_of_two_reviewers_one_gets_the_case_until_the_claim_lapses(world: World) -> None:
    """Ten minutes, extended by work; afterwards it is anybody's."""
    scene = Open(world)
    ben = world.staff("ben", "reviewer")

    def claim() -> Decision:
        return scene.claim(ben)

    assert claim().reasons[0].rule == "case-held"
    world.clock.now += 7 * 60_000
    scene.open()
    world.clock.now += 7 * 60_000
    assert claim().refused
    world.clock.now += 10 * 60_000
    assert claim().allowed
    assert isinstance(scene.open(), Decision)


def test_a_case_given_back_is_free_at_once(world: World) -> None:
    """And only its holder can give it back."""
    scene = Open(world)
    ben = world.staff("ben", "reviewer")
    assert world.do(review.release, ben, scene.case).refused
    assert world.do(review.release, scene.ada, scene.case).allowed
    assert world.do(review.claim, ben, scene.case, world.desk.limits).allowed


@pytest.mark.parametrize(("roles", "may"), [(("reviewer",), False), (("admin",), False), (("child-safety",), True)])
def test_child_safety_needs_its_role(world: World, roles: tuple[str, ...], may: bool) -> None:
    """Neither a reviewer nor an admin takes, sees or opens such a case."""
    world.report(None, world.account("me"), world.account("them"), minor_involved=True)
    [case] = world.open_cases()
    someone = world.staff("someone", *roles)
    assert world.do(review.claim, someone, case.case, world.desk.limits).allowed is may
    assert (world.ask(casebook.head, someone, case.case) is not None) is may
    assert bool(world.ask(casebook.queue, someone, world.desk.limits).waiting) is may


def test_an_admin_is_no_reviewer(world: World) -> None:
    """No queue, no case."""
    world.report(None, world.account("me"), world.account("them"))
    [case] = world.open_cases()
    boss = world.staff("boss", "admin")
    assert world.ask(casebook.queue, boss, world.desk.limits).waiting == []
    assert world.do(review.claim, boss, case.case, world.desk.limits).refused


def test_a_decision_written_while_the_claim_lapsed_still_counts_unless_somebody_took_over(world: World) -> None:
    """Nobody loses what they typed; but evidence stays closed until the case is taken again."""
    scene = Open(world)
    world.clock.now += 30 * 60_000
    assert isinstance(scene.open(), Decision)
    choice = Choice(action="no_action", policy=BY_ID["spam"], severity="low")
    ben = world.staff("ben", "reviewer")
    scene.claim(ben)
    assert scene.decide(choice).refused
    world.do(review.release, ben, scene.case)
    scene.claim(scene.ada)
    world.clock.now += 30 * 60_000
    assert scene.decide(choice).allowed


def test_an_old_claim_decides_nothing(world: World) -> None:
    """A tab left open overnight."""
    scene = Open(world)
    world.clock.now += world.desk.limits.claim_ms + world.desk.limits.claim_grace_ms
    assert scene.decide(Choice(action="no_action", policy=BY_ID["spam"], severity="low")).refused


# Evidence ----------------------------------------------------------------------------------------


def test_every_read_is_exactly_one_entry_in_an_unbroken_log(world: World) -> None:
    """One exhibit, one entry; all five, five entries; a note, one; nothing read, none."""
    scene = Open(world)
    [first, *_] = scene.exhibits()
    assert entries(world, "evidence.read") == []
    assert [thing.id for thing in scene.open(first.exhibit)] == [first.exhibit]
    assert len(entries(world, "evidence.read")) == 1
    assert len(scene.open()) == 5
    read = entries(world, "evidence.read")
    assert len(read) == 6
    assert {row.object for row in read} == {row.exhibit for row in scene.exhibits()}
    assert {(row.actor, row.role, row.case, row.outcome) for row in read} == {
        (scene.ada.id, "reviewer", scene.case, "done")
    }
    [(report,)] = world.raw("select report from reports")
    [note] = world.do(review.open_note, scene.ada, scene.case, report, world.desk)
    assert note.said.text == "my note"
    assert len(entries(world, "note.read")) == 1
    assert isinstance(world.ask(audit.verify), Intact)


def test_who_does_not_hold_the_case_reads_nothing_and_the_attempt_is_entered(world: World) -> None:
    """A colleague, an admin, and the holder once the claim has lapsed."""
    scene = Open(world)
    for someone in (world.staff("ben", "reviewer"), world.staff("boss", "admin")):
        assert isinstance(scene.open(staff=someone), Decision)
    world.clock.now += DAY
    assert isinstance(scene.open(), Decision)
    assert [row.outcome for row in entries(world, "evidence.read")] == ["refused"] * 3
    assert world.ask(review.exposure, scene.ada.id, world.desk.limits).views == 0


def test_exhibits_of_other_cases_do_not_open_here(world: World) -> None:
    """Asking under one's own case for another's exhibit finds nothing."""
    scene = Open(world)
    other = world.account("other")
    chat = world.hub.chat(scene.me, other)
    world.hub.say(chat, other, "elsewhere")
    world.report(chat, scene.me, other)
    [elsewhere] = [case.case for case in world.open_cases() if case.account == other]
    [foreign] = world.exhibits(elsewhere)
    assert scene.open(foreign.exhibit) == flows.NOT_FOUND
    assert entries(world, "evidence.read") == []


def test_altered_evidence_is_not_shown_and_leaves_no_entry(world: World) -> None:
    """A database that was tampered with: the read fails whole."""
    scene = Open(world)
    [first, *_] = scene.exhibits()
    broken = first.sealed[:-1] + bytes([first.sealed[-1] ^ 1])
    world.do(lambda tx: tx.run(store.SET_EXHIBIT, id=first.exhibit, to_case=scene.case, new_sealed=broken))
    with pytest.raises(CannotOpen):
        scene.open()
    assert entries(world, "evidence.read") == []


def test_another_evidence_key_opens_nothing(world: World) -> None:
    """The database alone is not enough."""
    scene = Open(world)
    stolen = Desk(EvidenceKey(bytes(32)))
    with pytest.raises(CannotOpen):
        world.do(review.open_evidence, scene.ada, scene.case, None, stolen)


def test_a_case_page_shows_holes_and_never_words(world: World) -> None:
    """Gap, tail, claim and proof are there; what was said is not."""
    me, them = world.account("me"), world.account("them")
    chat = world.hub.chat(me, them)
    world.hub.say(chat, them, *[f"word{number}" for number in range(10)])
    elsewhere = world.hub.chat(me, them)
    world.hub.say(elsewhere, them, "wordx")
    world.report(chat, me, them, [chat.items[1], chat.items[5], chat.items[6], *elsewhere.items])
    ada = world.staff("ada", "reviewer")
    [case] = world.open_cases()
    assert world.do(casebook.show, ada, case.case, world.desk.limits) is None
    world.do(review.claim, ada, case.case, world.desk.limits)
    view = world.do(casebook.show, ada, case.case, world.desk.limits)
    rows = view.reports[0].rows
    assert [row.kind for row in rows] == ["exhibit", "exhibit", "gap", "exhibit", "exhibit", "tail"]
    assert [row.messages for row in rows if row.kind in ("gap", "tail")] == [3, 3]
    assert [row.flaw is None for row in rows if row.kind == "exhibit"] == [False, True, True, True]
    assert "word" not in str(view).replace("words", "")
    assert view.subject.band is None
    assert len(entries(world, "case.viewed")) == 1


def test_the_age_band_shows_to_child_safety_alone(world: World) -> None:
    """For others it is not in the view at all."""
    scene = Open(world, "reviewer", "child-safety")
    view = world.do(casebook.show, scene.ada, scene.case, world.desk.limits)
    assert view.subject.band == "18+"


def test_exposure_warns_at_four_fifths_and_then_assigns_no_more_child_safety(world: World) -> None:
    """Counted over the shift; general cases go on, and a day later it starts again."""
    world.desk = Desk(world.desk.key, Limits(views_per_shift=5))
    scene = Open(world, "reviewer", "child-safety")

    def count() -> Exposure:
        exposure: Exposure = world.ask(review.exposure, scene.ada.id, world.desk.limits)
        return exposure

    assert not count().much
    scene.open(*[row.exhibit for row in scene.exhibits()][:4])
    assert count().much
    assert not count().full
    scene.open(scene.exhibits()[4].exhibit)
    assert count().full
    world.report(None, scene.me, world.account("third"), minor_involved=True)
    grave = world.open_cases()[0]
    refused = world.do(review.claim, scene.ada, grave.case, world.desk.limits)
    assert refused.reasons[0].rule == "exposure-full"
    world.clock.now += DAY
    assert world.do(review.claim, scene.ada, grave.case, world.desk.limits).allowed


# Decisions ---------------------------------------------------------------------------------------


def test_a_measure_needs_a_verified_message_of_the_person_or_a_written_reason(world: World) -> None:
    """Not a claim, not the reporter's own message, not an unclear one."""
    scene = Open(world)
    rows = scene.exhibits()
    forged = next(row.exhibit for row in rows if row.flaw)
    own = next(row.exhibit for row in rows if row.side == "reporter")
    true = next(row.exhibit for row in rows if row.side == "reported" and not row.flaw)
    assert scene.decide(SUSPEND).reasons[0].rule == "evidence-or-reason"
    assert scene.judge("breaks-standards", forged, own).allowed
    assert scene.decide(SUSPEND).reasons[0].rule == "evidence-or-reason"
    assert scene.judge("unclear", true).allowed
    assert scene.decide(SUSPEND).refused
    assert world.ask(enforcement.measures_of, scene.them) == []
    assert scene.judge("breaks-standards", true).allowed
    assert scene.decide(SUSPEND).allowed
    [measure] = world.ask(enforcement.measures_of, scene.them)
    assert (measure.what, measure.rule, measure.until_ms) == ("suspended", "fraud-deception", world.clock.now + 7 * DAY)
    assert "Scams" in measure.because


def test_a_written_reason_carries_a_measure_too_and_is_sealed(world: World) -> None:
    """For what was seen elsewhere; a short one does not do."""
    scene = Open(world)
    assert scene.decide(replace(SUSPEND, reason="because")).refused
    assert scene.decide(replace(SUSPEND, reason="Seen in three other cases this week.")).allowed
    kinds = {row.kind for row in world.notes(scene.case)}
    assert kinds == {"report", "decision"}


@pytest.mark.parametrize(
    ("choice", "rule"),
    [
        (Choice(action="restrict", policy=BY_ID["spam"], severity="low"), "days"),
        (Choice(action="restrict", policy=BY_ID["spam"], severity="low", days=0), "days"),
        (Choice(action="suspend", policy=BY_ID["spam"], severity="low", days=10**6), "days"),
        (Choice(action="suspend", policy=BY_ID["suicide-self-injury"], severity="low", days=1), "action-of-policy"),
        (Choice(action="suspend", policy=BY_ID["child-safety"], severity="low", days=1), "child-safety-queue"),
    ],
)
def test_what_may_not_follow_says_why(choice: Choice, rule: str) -> None:
    """Whatever the evidence."""
    decision = may_follow(choice, Grounds(queue="general", proven=3, unverified=0), Limits())
    assert decision.reasons[0].rule == rule


@pytest.mark.parametrize(
    ("choice", "what"),
    [
        (Choice(action="warn", policy=BY_ID["spam"], severity="low"), "warning"),
        (Choice(action="restrict", policy=BY_ID["spam"], severity="low", days=3), "no_new_conversations"),
        (Choice(action="suspend", policy=BY_ID["spam"], severity="severe"), "suspended"),
        (Choice(action="no_action", policy=BY_ID["spam"], severity="low"), None),
    ],
)
def test_each_action_is_its_step_of_the_ladder(world: World, choice: Choice, what: str | None) -> None:
    """Imposed by people's enforcement, with the case as its source."""
    scene = Open(world)
    true = next(row.exhibit for row in scene.exhibits() if row.side == "reported" and not row.flaw)
    scene.judge("breaks-standards", true)
    assert scene.decide(choice).allowed
    measures = world.ask(enforcement.measures_of, scene.them)
    assert [m.what for m in measures] == ([] if what is None else [what])
    assert world.open_cases() == []


def test_a_decided_case_is_closed_to_everybody(world: World) -> None:
    """No second decision, no verdict, no reading, no claim."""
    scene = Open(world)
    assert scene.decide(Choice(action="no_action", policy=BY_ID["spam"], severity="low")).allowed
    assert scene.decide(SUSPEND).refused
    assert scene.judge("allowed", scene.exhibits()[0].exhibit).refused
    assert isinstance(scene.open(), Decision)
    assert world.do(review.claim, scene.ada, scene.case, world.desk.limits).refused


def test_every_decision_is_recorded_with_its_facts(world: World) -> None:
    """`kith why` finds the case, the grounds and the reasons."""
    scene = Open(world)
    assert scene.decide(Choice(action="no_action", policy=BY_ID["spam"], severity="low")).allowed
    [row] = world.raw("select policy, facts from decisions")
    assert row[0] == "reports.review"
    assert scene.case in row[1]


# Moving and forgetting ---------------------------------------------------------------------------


def test_a_case_moved_to_child_safety_keeps_its_evidence(world: World) -> None:
    """And leaves the reviewer's hands."""
    scene = Open(world)
    assert world.do(review.escalate, scene.ada, scene.case, world.desk).allowed
    assert isinstance(scene.open(), Decision)
    cleo = world.staff("cleo", "child-safety")
    assert world.do(review.claim, cleo, scene.case, world.desk.limits).allowed
    assert len(scene.open(staff=cleo)) == 5


def test_a_moved_case_stands_where_child_safety_stands(world: World) -> None:
    """Not with the points of a lesser category."""
    scene = Open(world, category="other")
    [before] = world.open_cases()
    world.do(review.escalate, scene.ada, scene.case, world.desk)
    [after] = world.open_cases()
    assert after.priority >= 70 > before.priority
    assert after.due_ms < before.due_ms


def test_a_case_moved_beside_another_hands_its_evidence_over(world: World) -> None:
    """One open case per person and queue: exhibits, verdicts, notes and reports go into the one that is there."""
    scene = Open(world)
    rows = scene.exhibits()
    true = next(row.exhibit for row in rows if row.side == "reported" and not row.flaw)
    scene.judge("breaks-standards", true)
    world.report(None, world.account("third"), scene.them, minor_involved=True)
    grave = world.open_cases()[0]
    assert world.do(review.escalate, scene.ada, scene.case, world.desk).allowed
    assert [case.case for case in world.open_cases()] == [grave.case]
    cleo = world.staff("cleo", "child-safety")
    world.do(review.claim, cleo, grave.case, world.desk.limits)
    opened = world.do(review.open_evidence, cleo, grave.case, None, world.desk)
    assert {thing.id for thing in opened} == {row.exhibit for row in rows}
    assert all(isinstance(thing, Opened) for thing in opened)
    choice = Choice(action="suspend", policy=BY_ID["child-safety"], severity="imminent")
    assert world.do(review.decide, cleo, grave.case, choice, world.desk).allowed
    [mine] = world.ask(flows.your_reports, scene.me)
    assert (mine["status"], mine["outcome"]) == ("closed", "action")


def test_evidence_is_destroyed_in_time_not_early_not_late_and_not_when_held(world: World) -> None:
    """180 days after closing; held cases wait; the destruction is an event and an entry."""
    scene = Open(world)
    scene.decide(Choice(action="no_action", policy=BY_ID["spam"], severity="low"))

    def forget(*, held: bool) -> int:
        return int(world.do(keeping.forget, world.desk.limits, world.desk.blobs, lambda *_: held))

    world.clock.now += world.desk.limits.evidence_kept_ms
    assert forget(held=False) == 0
    world.clock.now += 1
    assert forget(held=True) == 0
    assert len(scene.exhibits()) == 5
    assert forget(held=False) == 1
    assert scene.exhibits() == []
    assert world.raw("select * from case_keys") == world.raw("select * from sealed_notes") == []
    assert len(entries(world, "evidence.destroyed")) == 1
    assert forget(held=False) == 0


def test_every_standard_has_guidance_and_ids_are_unique() -> None:
    """Reviewers decide under the same standards that people read."""
    assert len({policy.id for policy in POLICIES}) == len(POLICIES)
    for policy in POLICIES:
        assert policy.looks_for
        assert "no_action" in policy.actions
        assert policy.actions == ("no_action",) or not policy.standard.support


# No entry, no act --------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["open", "note", "claim", "decide", "escalate", "release", "show"])
def test_without_an_entry_nothing_happens(world: World, monkeypatch: pytest.MonkeyPatch, act: str) -> None:
    """If the staff log cannot be written, nothing is read, taken, moved or decided."""
    scene = Open(world)
    true = next(row.exhibit for row in scene.exhibits() if row.side == "reported" and not row.flaw)
    scene.judge("breaks-standards", true)
    [(report,)] = world.raw("select report from reports")
    before = _everything(world)

    def full(*_: object) -> None:
        raise OSError("no space for the staff log")

    monkeypatch.setattr(audit, "write", full)
    acts: dict[str, Callable[[], object]] = {
        "open": scene.open,
        "note": lambda: world.do(review.open_note, scene.ada, scene.case, report, world.desk),
        "claim": lambda: scene.claim(scene.ada),
        "decide": lambda: scene.decide(SUSPEND),
        "escalate": lambda: world.do(review.escalate, scene.ada, scene.case, world.desk),
        "release": lambda: world.do(review.release, scene.ada, scene.case),
        "show": lambda: world.do(casebook.show, scene.ada, scene.case, world.desk.limits),
    }
    with pytest.raises(OSError, match="no space"):
        acts[act]()
    assert _everything(world) == before
    monkeypatch.undo()
    acts[act]()
    assert _everything(world) != before


def _everything(world: World) -> list[Any]:
    tables = ("events", "cases", "evidence_views", "verdicts", "measures", "audit")
    return [world.raw(f"select * from {name}") for name in tables]  # noqa: S608  names of tables


def test_a_proposed_case_is_opened_from_the_ledger(world: World) -> None:
    """The reaction reads what safety wrote; rules about children go to their queue."""
    one, other = world.account("one"), world.account("other")

    def propose(tx: Tx) -> None:
        tx.append(CaseProposed(account=one, rule="many-unanswered", features={}))
        tx.append(CaseProposed(account=other, rule="adults-to-children", features={}))

    world.do(propose)
    react = reactions.reaction({"adults-to-children"})

    def advance(tx: Tx) -> None:
        for recorded in log.read_from(tx, 0):
            react(tx, recorded)

    world.do(advance)
    world.do(advance)
    assert {row.account: row.queue for row in world.open_cases()} == {one: "general", other: "child-safety"}
