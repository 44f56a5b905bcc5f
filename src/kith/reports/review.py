"""What staff do with cases: take, read, judge, decide, move, and look again at appeals.

Every flow here writes its entry in the staff log in the same transaction, refused acts too; opening evidence writes
exactly one entry for each exhibit or note that is opened.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal, NamedTuple
from uuid import uuid4

from kith.ledger import audit
from kith.ledger.database import Reader, Row, Tx
from kith.ledger.decision import ALLOW, Decision, Facts, Reason, refuse
from kith.ledger.events import (
    AppealDecided,
    CaseClaimed,
    CaseDecided,
    CaseEscalated,
    CaseRaised,
    CaseReleased,
    VerdictGiven,
)
from kith.ledger.log import record
from kith.ledger.signals import Changed
from kith.people import enforcement
from kith.reports import attachments, keeping, store, triage
from kith.reports.consequences import Choice, Grounds, Verdict, may_follow, may_work_on, step_of
from kith.reports.desk import Desk
from kith.reports.evidence import read_exhibit
from kith.reports.flows import NOT_FOUND
from kith.reports.keeping import Opened
from kith.reports.limits import Limits
from kith.reports.staff_roles import Queue, acting_role, may_open
from kith.reports.staffing import Staff
from kith.reports.taxonomy import because

_NOT_HELD: Final = refuse("case-not-held", "Take this case first; nobody opens cases of others.", "staff")

# Working on a case -------------------------------------------------------------------------------


def claim(tx: Tx, staff: Staff, case: str, limits: Limits) -> Decision:
    """Take a case for some minutes. Of two who try at once, one gets it."""
    row = tx.one(store.CASE, id=case)
    decision = NOT_FOUND if row is None or row.closed_ms is not None else _may_claim(tx, staff, row, limits)
    if row is not None and decision.allowed:
        tx.append(CaseClaimed(case=case, staff=staff.id, until_ms=tx.now + limits.claim_ms))
        _tell_reporters(tx, case)
    _enter(tx, staff, row, ("case.claimed", case), decision)
    return decision


def _may_claim(tx: Tx, staff: Staff, row: Row, limits: Limits) -> Decision:
    original = _origin_of(tx, row)
    decision = may_open(staff.roles, row.queue, origin=_queue_of(original))
    if decision.allowed:
        decision = may_work_on(staff.id, None if original is None else original.decided_by)
    if decision.allowed and _held_by(row, tx.now) not in (None, staff.id):
        decision = refuse("case-held", "A colleague is working on this case.", "staff")
    if decision.allowed and row.queue == "child-safety" and exposure(tx, staff.id, limits).full:
        decision = refuse("exposure-full", "You have read enough for this shift. A colleague can take it.", "staff")
    return decision


def _queue_of(row: Row | None) -> Queue | None:
    return None if row is None else row.queue


def _held_by(row: Row, now: int) -> str | None:
    held = row.claimed_by is not None and row.claim_until_ms > now
    return str(row.claimed_by) if held else None


def _origin_of(reader: Reader, row: Row) -> Row | None:
    return None if row.origin is None else reader.one(store.CASE, id=row.origin)


def release(tx: Tx, staff: Staff, case: str) -> Decision:
    """Give a case back undecided; no reason is asked for."""
    row = _held(tx, staff, case)
    decision = _NOT_HELD if row is None else ALLOW
    if decision.allowed:
        tx.append(CaseReleased(case=case, staff=staff.id))
    _enter(tx, staff, row, ("case.released", case), decision)
    return decision


def _held(tx: Tx, staff: Staff, case: str, *, grace_ms: int = 0) -> Row | None:
    """The open case, if this person holds it and still has the role for it.

    `grace_ms`: how long a lapsed claim still counts while nobody else has taken the case.
    """
    row = tx.one(store.CASE, id=case)
    if row is None or row.closed_ms is not None or _held_by(row, tx.now - grace_ms) != staff.id:
        return None
    original = _origin_of(tx, row)
    return row if may_open(staff.roles, row.queue, origin=_queue_of(original)).allowed else None


def _extend(tx: Tx, staff: Staff, row: Row, limits: Limits) -> None:
    """Working on a case keeps it; an event only when half of the time is gone."""
    if row.claim_until_ms - tx.now < limits.claim_ms // 2:
        tx.append(CaseClaimed(case=row.case, staff=staff.id, until_ms=tx.now + limits.claim_ms))


def _enter(tx: Tx, staff: Staff, row: Row | None, act: tuple[str, str], decision: Decision) -> None:
    """Write the entry of an act (what, on which object), done or refused."""
    action, object_ = act
    queue: Queue = "general" if row is None else row.queue
    known = None if row is None else str(row.case)
    audit.write(
        tx,
        staff.entry(
            action,
            object_ if known is not None else "unknown",
            role=acting_role(staff.roles, queue),
            case=known,
            outcome="done" if decision.allowed else "refused",
        ),
    )


# Reading evidence --------------------------------------------------------------------------------


def open_evidence(
    tx: Tx, staff: Staff, case: str, wanted: Collection[str] | None, desk: Desk
) -> list[Opened] | Decision:
    """Open exhibits of a case that this person holds, or of the case that the appeal at hand is about.

    `wanted` None opens all. One entry in the staff log for each that is opened, in this transaction; if one does not
    open, none is shown and nothing is entered (CannotOpen).
    """
    row = _held(tx, staff, case)
    if row is None:
        _enter(tx, staff, tx.one(store.CASE, id=case), ("evidence.read", case), _NOT_HELD)
        return _NOT_HELD
    opened: list[Opened] = []
    for source in _sources(row):
        found = [e for e in tx.all(store.EXHIBITS, of_case=source) if wanted is None or e.exhibit in wanted]
        opened += keeping.open_things(tx, source, [(e.exhibit, e.sealed) for e in found], desk.key, read_exhibit)
    return _entered(tx, staff, row, opened, action="evidence.read", limits=desk.limits)


class Attachment(NamedTuple):
    """What a reviewer is about to look at; `blob` None when its bytes are not here."""

    opened: attachments.Opened
    blob: str | None


def open_attachment(tx: Tx, staff: Staff, case: str, which: tuple[str, int], desk: Desk) -> Attachment | Decision:
    """Open one attachment of an exhibit, with the key that its message commits to; as `open_evidence`.

    `which`: exhibit and part.
    """
    exhibit, part = which
    row = _held(tx, staff, case)
    if row is None:
        _enter(tx, staff, tx.one(store.CASE, id=case), ("attachment.read", case), _NOT_HELD)
        return _NOT_HELD
    for source in _sources(row):
        item = keeping.raw(tx, source, exhibit, desk.key)
        found = None if item is None else attachments.open_part(item, exhibit, part, desk.server)
        if found is not None:
            _enter(tx, staff, row, ("attachment.read", exhibit), ALLOW)
            tx.put(store.views, staff=staff.id, case=row.case, object=exhibit, at_ms=tx.now)
            _extend(tx, staff, row, desk.limits)
            return Attachment(found, attachments.blob_of(tx, source, exhibit, part))
    return NOT_FOUND


def holds(reader: Reader, staff: Staff, case: str) -> bool:
    """Whether this person works on this case now; a page that is still open shows nothing more when she does not."""
    row = reader.one(store.CASE, id=case)
    return row is not None and row.closed_ms is None and _held_by(row, reader.now) == staff.id


def open_note(tx: Tx, staff: Staff, case: str, note: str, desk: Desk) -> list[Opened] | Decision:
    """Open what a reporter, an appellant or a colleague wrote; as `open_evidence`."""
    row = _held(tx, staff, case)
    if row is None:
        _enter(tx, staff, tx.one(store.CASE, id=case), ("note.read", case), _NOT_HELD)
        return _NOT_HELD
    opened: list[Opened] = []
    for source in _sources(row):
        found = tx.one(store.NOTE, id=note, of_case=source)
        # What the first reviewer wrote stays hidden from the second until both have decided.
        if found is not None and not (found.kind == "decision" and source == row.origin):
            opened += keeping.open_things(tx, source, [(note, found.sealed)], desk.key, keeping.read_note)
    return _entered(tx, staff, row, opened, action="note.read", limits=desk.limits)


def _sources(row: Row) -> list[str]:
    return [row.case] if row.origin is None else [row.case, row.origin]


def _entered(
    tx: Tx, staff: Staff, row: Row, opened: list[Opened], *, action: str, limits: Limits
) -> list[Opened] | Decision:
    if not opened:
        return NOT_FOUND
    for thing in opened:
        _enter(tx, staff, row, (action, thing.id), ALLOW)
        tx.put(store.views, staff=staff.id, case=row.case, object=thing.id, at_ms=tx.now)
    _extend(tx, staff, row, limits)
    return opened


class Exposure(NamedTuple):
    """How much somebody has read in the last shift."""

    views: int
    most: int

    @property
    def much(self) -> bool:
        """From 80 % on a warning is due."""
        return self.views * 5 >= self.most * 4

    @property
    def full(self) -> bool:
        """The shift's number is used up."""
        return self.views >= self.most


def exposure(reader: Reader, staff: str, limits: Limits) -> Exposure:
    """What somebody has read since their shift began; shown to themself alone."""
    views = int(reader.value(store.VIEWS_SINCE, by=staff, since=reader.now - limits.shift_ms))
    return Exposure(views, limits.views_per_shift)


# Deciding ----------------------------------------------------------------------------------------


def give_verdicts(tx: Tx, staff: Staff, case: str, verdicts: dict[str, Verdict], limits: Limits) -> Decision:
    """Judge exhibits one by one. Only those of a case that this person holds."""
    row = _held(tx, staff, case, grace_ms=limits.claim_grace_ms)
    if row is None or row.measure is not None:
        _enter(tx, staff, tx.one(store.CASE, id=case), ("verdict.given", case), _NOT_HELD)
        return _NOT_HELD
    for found in tx.all(store.EXHIBITS, of_case=case):
        verdict = verdicts.get(found.exhibit)
        if verdict is not None and verdict != found.verdict:
            tx.append(VerdictGiven(case=case, exhibit=found.exhibit, verdict=verdict, staff=staff.id))
            _enter(tx, staff, row, ("verdict.given", found.exhibit), ALLOW)
    _extend(tx, staff, row, limits)
    return ALLOW


def decide(tx: Tx, staff: Staff, case: str, choice: Choice, desk: Desk) -> Decision:
    """Close a case with a decision; a measure goes through `people.enforcement` alone."""
    row = _held(tx, staff, case, grace_ms=desk.limits.claim_grace_ms)
    if row is None or row.measure is not None:
        _enter(tx, staff, tx.one(store.CASE, id=case), ("case.decided", case), _NOT_HELD)
        return _NOT_HELD
    grounds = _grounds(tx, row)
    decision = may_follow(choice, grounds, desk.limits)
    _enter(tx, staff, row, ("case.decided", case), decision)
    if not decision.allowed:
        return decision
    known = _decision_facts(row, choice, grounds)
    measure = _impose(tx, row, choice, known)
    if choice.reason:
        keeping.put_note(tx, keeping.key_of(tx, case, desk.key), str(uuid4()), "decision", choice.reason)
    tx.append(
        CaseDecided(
            case=case,
            account=row.account,
            staff=staff.id,
            action=choice.action,
            policy=choice.policy.id,
            severity=choice.severity,
            decision=record(tx, "reports.review", row.account, _as_answer(choice, decision), known),
            measure=measure,
        )
    )
    _tell_reporters(tx, case)
    return ALLOW


def _grounds(tx: Tx, row: Row) -> Grounds:
    found = tx.all(store.EXHIBITS, of_case=row.case)
    proven = [e for e in found if e.flaw is None and e.side == "reported" and e.verdict == "breaks-standards"]
    return Grounds(queue=row.queue, proven=len(proven), unverified=sum(e.flaw is not None for e in found))


def _decision_facts(row: Row, choice: Choice, grounds: Grounds) -> Facts:
    return {
        "case": row.case,
        "queue": row.queue,
        "action": choice.action,
        "policy": choice.policy.id,
        "severity": choice.severity,
        "days": choice.days,
        "proven": grounds.proven,
        "unverified": grounds.unverified,
        "own_reason": bool(choice.reason),
    }


def _as_answer(choice: Choice, decision: Decision) -> Decision:
    """As it limits the person: no action and a warning allow her to go on."""
    return Decision("allow" if choice.action in ("no_action", "warn") else "refuse", decision.reasons)


def _impose(tx: Tx, row: Row, choice: Choice, known: Facts) -> str | None:
    step = step_of(choice, tx.now)
    if step is None:
        return None
    return enforcement.impose(
        tx,
        row.account,
        step,
        rule=choice.policy.id,
        because=because(choice.policy),
        source=f"case:{row.case}",
        facts=known,
    )


def _tell_reporters(tx: Tx, case: str) -> None:
    for row in tx.all(store.REPORTERS_OF_CASE, of_case=case):
        tx.publish(Changed(row.reporter, "reports"))


def escalate(tx: Tx, staff: Staff, case: str, desk: Desk) -> Decision:
    """Move a general case to child safety. If one about the same person is open there, it takes the evidence over."""
    row = _held(tx, staff, case)
    decision = _NOT_HELD if row is None or row.queue != "general" else ALLOW
    _enter(tx, staff, row or tx.one(store.CASE, id=case), ("case.escalated", case), decision)
    if row is None or decision.refused:
        return decision
    other = _takes_over(tx, row, desk)
    if other is not None:
        keeping.move(tx, case, other.case, desk.key)
    tx.append(
        CaseEscalated(case=case, queue="child-safety", staff=staff.id, into=None if other is None else other.case)
    )
    now_about = row if other is None else other
    place = triage.of_escalation(tx.now, desk.limits)
    if place.above(now_about.priority):
        due = min(place.due_ms, now_about.due_ms)
        tx.append(CaseRaised(case=now_about.case, priority=place.priority, because=place.because, due_ms=due))
    return ALLOW


def _takes_over(tx: Tx, row: Row, desk: Desk) -> Row | None:
    """The open case into which this one's evidence can go; what does not open is moved nowhere and stands alone."""
    if not keeping.usable(tx, row.case, desk.key):
        return None
    standing = tx.all(store.OPEN_CASE, about=row.account, in_queue="child-safety")
    return next((case for case in standing if keeping.usable(tx, case.case, desk.key)), None)


class Ruling(NamedTuple):
    """What the second reviewer found, and why in their own words (sealed)."""

    outcome: Literal["upheld", "overturned"]
    reason: str = ""


def decide_appeal(tx: Tx, staff: Staff, case: str, ruling: Ruling, desk: Desk) -> Decision:
    """Uphold or overturn; overturning takes the measure back in the same transaction."""
    row = _held(tx, staff, case, grace_ms=desk.limits.claim_grace_ms)
    decision = _NOT_HELD if row is None or row.measure is None else _may_decide_appeal(tx, staff, row)
    _enter(tx, staff, row or tx.one(store.CASE, id=case), (f"appeal.{ruling.outcome}", case), decision)
    if row is None or decision.refused:
        return decision
    outcome, reason = ruling
    asked = tx.one(store.APPEAL, of_measure=row.measure)
    if asked is None:
        raise LookupError("an appeal's case without its appeal")
    if reason:
        keeping.put_note(tx, keeping.key_of(tx, case, desk.key), str(uuid4()), "decision", reason)
    known: Facts = {"case": case, "measure": row.measure, "outcome": outcome, "own_reason": bool(reason)}
    answer = Decision("allow" if outcome == "overturned" else "refuse", (Reason("appeal", _ANSWER[outcome]),))
    tx.append(
        AppealDecided(
            appeal=asked.appeal,
            measure=row.measure,
            account=row.account,
            outcome=outcome,
            staff=staff.id,
            decision=record(tx, "reports.appeal", row.account, answer, known),
        )
    )
    if outcome == "overturned":
        enforcement.reverse(tx, row.measure, _ANSWER[outcome])
    tx.publish(Changed(row.account, "standing"))
    return ALLOW


_ANSWER: Final[dict[str, str]] = {
    "upheld": "Somebody else looked at it again, and it stays.",
    "overturned": "Somebody else looked at it again and took it back.",
}
"""What the person reads about her appeal."""


def _may_decide_appeal(tx: Tx, staff: Staff, row: Row) -> Decision:
    original = _origin_of(tx, row)
    return may_work_on(staff.id, None if original is None else original.decided_by)
