"""Draft, change, approve, send, resume: load facts, decide, append.

Every act and every read by staff is an entry in the staff log, in the same transaction; so is every call.
A call is journalled before it is made (`begin`) and after it is answered (`settle`); what stands without an
answer when the server starts again was lost in a crash (`recover`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias
from uuid import uuid4

import msgspec

from kith.authorities import casefile, preservation, sealed, store
from kith.authorities.cybertip import InvalidTip, report_xml
from kith.authorities.draft import Choices, Paper, assemble, first_paper
from kith.authorities.journal import (
    CALLING,
    NEXT_CALL,
    Answered,
    Call,
    Lost,
    NotSent,
    Outcome,
    State,
    after,
    may_approve,
    may_close,
    may_edit,
    may_reopen,
    wait_ms,
)
from kith.authorities.office import Office
from kith.ledger import audit
from kith.ledger.database import Reader, Row, Tx
from kith.ledger.decision import ALLOW, Decision, refuse
from kith.ledger.events import TipApproved, TipDrafted, TipEdited, TipMoved
from kith.reports.sealing import CannotOpen
from kith.reports.staffing import Staff

NOT_FOUND = refuse("not-found", "There is nothing here, or it is not yours to see.", "staff")
NOT_YOURS = refuse("tip-role", "CyberTips are for the role child-safety.", "staff")
DESTROYED = refuse("tip-destroyed", "What this CyberTip said was destroyed when its time of keeping ended.", "staff")
LISTED = 200
"""CyberTips on one page."""
_Judge: TypeAlias = Callable[[Row], Decision]


# Drafting ----------------------------------------------------------------------------------------


def draft(tx: Tx, case: str, staff: str, office: Office) -> str | None:
    """Draft a CyberTip from a decided case; its id, or None when there is one already or nothing to say."""
    if tx.one(store.TIP_OF_CASE, of_case=case) is not None:
        return None
    facts = casefile.case_facts(tx, case, server=office.server, key=office.key)
    if facts is None:
        return None
    tip = str(uuid4())
    key = sealed.new_key(tx, tip, office.key)
    tx.put(store.papers, tip=tip, sealed=sealed.seal_paper(key, first_paper(facts)))
    tx.append(TipDrafted(tip=tip, case=case, account=facts.reported.id, staff=staff))
    _enter_server(tx, "tip.evidence-read", case, case, purpose="drafting a CyberTip")
    _enter_server(tx, "tip.drafted", tip, case)
    return tip


# Staff -------------------------------------------------------------------------------------------


class Reading(NamedTuple):
    """A CyberTip opened by staff. `body` is the XML, approved or as it would be; None while it is not valid."""

    tip: Row
    paper: Paper
    body: bytes | None
    fault: str
    """Why the XML cannot be made, in words for staff."""

    @property
    def hash(self) -> str:
        """SHA-256 of the XML, hex."""
        return "" if self.body is None else hashlib.sha256(self.body).hexdigest()


def read(tx: Tx, staff: Staff, tip: str, office: Office) -> Reading | Decision:
    """Open a CyberTip; one entry in the staff log."""
    row = tx.one(store.TIP, id=tip)
    found = _read(tx, staff, row, office)
    _enter(tx, staff, row, "tip.read", found if isinstance(found, Decision) else ALLOW)
    return found


def _read(tx: Tx, staff: Staff, row: Row | None, office: Office) -> Reading | Decision:
    if not staff.may("child-safety"):
        return NOT_YOURS
    if row is None:
        return NOT_FOUND
    stored = tx.one(store.PAPER, id=row.tip)
    if stored is None:
        return DESTROYED
    key = sealed.key_of(tx, row.tip, office.key)
    paper = sealed.open_paper(key, stored.sealed)
    if stored.sealed_xml is not None:
        return Reading(row, paper, sealed.open_xml(key, stored.sealed_xml), "")
    try:
        return Reading(row, paper, _xml(paper, office, tx.now), "")
    except InvalidTip as fault:
        return Reading(row, paper, None, str(fault))


def _xml(paper: Paper, office: Office, now: int) -> bytes:
    report = assemble(paper, office.operator, now_ms=now)
    return report_xml(report, now=datetime.fromtimestamp(now / 1000, UTC))


def edit(tx: Tx, staff: Staff, tip: str, choices: Choices, office: Office) -> Decision:
    """Change what people choose or write in a draft; whoever does so may not approve it."""
    row = tx.one(store.TIP, id=tip)
    decision = _may(staff, row, lambda found: may_edit(found.state))
    stored = tx.one(store.PAPER, id=tip)
    if decision.allowed and stored is not None:
        key = sealed.key_of(tx, tip, office.key)
        paper = msgspec.structs.replace(sealed.open_paper(key, stored.sealed), choices=choices)
        try:
            _xml(paper, office, tx.now)
        except InvalidTip as fault:
            decision = refuse("tip-invalid", f"That cannot be sent: {fault}.", "staff")
        else:
            tx.run(store.PAPER_SET, id=tip, new_sealed=sealed.seal_paper(key, paper))
            tx.append(TipEdited(tip=tip, staff=staff.id))
    _enter(tx, staff, row, "tip.edited", decision)
    return decision


def approve(tx: Tx, staff: Staff, tip: str, read_hash: str, office: Office) -> Decision:
    """A second person approves exactly the XML that was read (`read_hash`); from here on it is sent by itself."""
    row = tx.one(store.TIP, id=tip)
    decision = _may(staff, row, lambda found: _may_approve(found, staff, office))
    if decision.allowed and row is not None:
        decision = _approve(tx, staff, row, read_hash, office)
    _enter(tx, staff, row, "tip.approved", decision)
    return decision


def _may_approve(row: Row, staff: Staff, office: Office) -> Decision:
    decision = may_approve(row.state, staff=staff.id, wrote=_wrote(row))
    if decision.allowed and not office.operator.complete:
        return refuse("tip-operator", "Enter the operator's first name, last name and e-mail in kith.toml.", "staff")
    return office.may_send() if decision.allowed else decision


def _approve(tx: Tx, staff: Staff, row: Row, read_hash: str, office: Office) -> Decision:
    stored = tx.one(store.PAPER, id=row.tip)
    if stored is None:
        return DESTROYED
    key = sealed.key_of(tx, row.tip, office.key)
    try:
        body = _xml(sealed.open_paper(key, stored.sealed), office, tx.now)
    except InvalidTip as fault:
        return refuse("tip-invalid", f"This cannot be sent: {fault}.", "staff")
    digest = hashlib.sha256(body).hexdigest()
    if digest != read_hash:
        return refuse("tip-changed", "The draft changed since you read it. Read it again, then approve.", "staff")
    tx.run(store.PAPER_XML, id=row.tip, new_xml=sealed.seal_xml(key, body))
    tx.append(TipApproved(tip=row.tip, staff=staff.id, paper=digest))
    tx.append(TipMoved(tip=row.tip, state="APPROVED"))
    return ALLOW


def reopen(tx: Tx, staff: Staff, tip: str, office: Office) -> Decision:
    """Make a draft of a CyberTip again that failed, expired, or can no longer stand open at the receiver."""
    row = tx.one(store.TIP, id=tip)
    decision = _may(
        staff, row, lambda found: may_reopen(found.state, since_ms=found.since_ms, now=tx.now, limits=office.limits)
    )
    if decision.allowed:
        tx.run(store.PAPER_XML, id=tip, new_xml=None)
        tx.run(store.WAIT_OVER, of_tip=tip)
        tx.append(TipMoved(tip=tip, state="DRAFT"))
    _enter(tx, staff, row, "tip.reopened", decision)
    return decision


def close(tx: Tx, staff: Staff, tip: str) -> Decision:
    """Decide, as a second person, not to send it; what it said is destroyed, the case keeps its evidence."""
    row = tx.one(store.TIP, id=tip)
    decision = _may(staff, row, lambda found: may_close(found.state, staff=staff.id, wrote=_wrote(found)))
    if decision.allowed:
        preservation.destroy_sealed(tx, tip)
        tx.append(TipMoved(tip=tip, state="CLOSED"))
    _enter(tx, staff, row, "tip.closed", decision)
    return decision


def _may(staff: Staff, row: Row | None, judge: _Judge) -> Decision:
    if not staff.may("child-safety"):
        return NOT_YOURS
    return NOT_FOUND if row is None else judge(row)


def _wrote(row: Row) -> tuple[str, ...]:
    return msgspec.json.decode(row.wrote, type=tuple[str, ...])


def list_tips(reader: Reader) -> list[Row]:
    """Every CyberTip without its words, newest first."""
    return reader.all(store.TIPS, most=LISTED)


def journal_of(reader: Reader, tip: str) -> list[Row]:
    """Every call about a CyberTip, oldest first, without what was said."""
    return reader.all(store.CALLS_OF, of_tip=tip)


def holds_case(reader: Reader, case: str) -> bool:
    """Whether a case's evidence must stay: a CyberTip about it is neither finished nor closed."""
    return any(row.state != "CLOSED" for row in reader.all(store.UNFINISHED_OF_CASE, of_case=case))


def counts(reader: Reader) -> dict[str, int]:
    """How many CyberTips stand where; test reports apart, as `test …`."""
    return {f"{'test ' if row.test else ''}{row.state}": row.many for row in reader.all(store.COUNTS)}


# Sending -----------------------------------------------------------------------------------------


class ToSend(NamedTuple):
    """A call that is now in the journal and has to be made."""

    entry: str
    call: Call
    body: bytes

    def __repr__(self) -> str:
        return f"ToSend({self.call}, …)"


def due(reader: Reader) -> list[str]:
    """CyberTips whose next call is due."""
    return [row.tip for row in reader.all(store.DUE, now=reader.now)]


def begin(tx: Tx, tip: str, office: Office) -> ToSend | None:
    """Write the intent down and say what to send; None when nothing is due, allowed, or a call is under way."""
    row = tx.one(store.TIP, id=tip)
    if row is None or row.state not in NEXT_CALL or tx.one(store.UNANSWERED_OF, of_tip=tip) is not None:
        return None
    if office.may_send().refused:
        return None
    call = NEXT_CALL[row.state]
    body = _approved_xml(tx, row, office) if call == "submit" else f"id={row.report_id}".encode()
    if body is None:
        tx.append(TipMoved(tip=tip, state="FAILED", call=call))
        _enter_server(tx, "tip.altered", tip, row.case, outcome="refused")
        return None
    entry, digest = str(uuid4()), hashlib.sha256(body)
    tx.put(
        store.calls,
        entry=entry,
        tip=tip,
        call=call,
        attempt=1 + int(tx.value(store.ATTEMPTS, of_tip=tip, which=call, since=_counted_from(row, tx.now, office))),
        intent_ms=tx.now,
        request_hash=digest.hexdigest(),
        test=int(office.destination.is_test),
    )
    tx.append(TipMoved(tip=tip, state=CALLING[call], call=call, test=office.destination.is_test))
    _enter_server(tx, f"tip.{call}", tip, row.case, after=digest.digest())
    return ToSend(entry, call, body)


def _counted_from(row: Row, now: int, office: Office) -> int:
    return max(row.approved_ms or 0, now - office.limits.attempts_within_ms)


def _approved_xml(tx: Tx, row: Row, office: Office) -> bytes | None:
    """Exactly the bytes that were approved; None when the stored ones are not those."""
    stored = tx.one(store.PAPER, id=row.tip)
    if stored is None or stored.sealed_xml is None:
        return None
    try:
        body = sealed.open_xml(sealed.key_of(tx, row.tip, office.key), stored.sealed_xml)
    except CannotOpen:
        return None
    return body if hashlib.sha256(body).hexdigest() == row.paper else None


def settle(tx: Tx, entry: str, outcome: Outcome, office: Office, chance: float) -> State | None:
    """Write the answer down and move on; `chance` (0 to 1) spreads the back-off. None when it was settled before."""
    call = tx.one(store.CALL, id=entry)
    if call is None or call.answered_ms is not None:
        return None
    row = tx.one(store.TIP, id=call.tip)
    if row is None:
        raise LookupError("a journal entry without its CyberTip")
    _write_answer(tx, call, outcome, office)
    step = after(call.call, outcome, call.attempt, office.limits)
    tx.run(store.WAIT_OVER, of_tip=call.tip)
    if step.again:
        until = tx.now + wait_ms(call.attempt, chance, office.limits)
        tx.put(store.waits, tip=call.tip, until_ms=until)
    answered = outcome if isinstance(outcome, Answered) else None
    tx.append(
        TipMoved(
            tip=call.tip,
            state=step.state,
            call=call.call,
            code=answered.code if answered else None,
            report_id=answered.report_id if answered and call.call == "submit" else None,
        )
    )
    _enter_server(tx, f"tip.{step.state.lower()}", call.tip, row.case, outcome="done" if answered else "failed")
    if step.state == "FINISHED":
        preservation.start(tx, row, office)
    return step.state


def _write_answer(tx: Tx, call: Row, outcome: Outcome, office: Office) -> None:
    words = outcome.description if isinstance(outcome, Answered) else outcome.why
    tx.run(
        store.ANSWERED,
        id=call.entry,
        at=tx.now,
        what={Answered: "answered", NotSent: "not sent", Lost: "lost"}[type(outcome)],
        status=None if isinstance(outcome, NotSent) else outcome.http_status,
        number=outcome.code if isinstance(outcome, Answered) else None,
        their_id=None if isinstance(outcome, NotSent) else outcome.request_id,
        words=sealed.key_of(tx, call.tip, office.key).seal(call.entry, words.encode()),
    )


def recover(tx: Tx, office: Office, chance: float = 1.0) -> int:
    """Settle calls whose answer was lost because the server stopped; only while no call is under way."""
    lost = tx.all(store.UNANSWERED)
    for row in lost:
        settle(tx, row.entry, Lost("the server stopped before an answer was written down"), office, chance)
    return len(lost)


# The staff log -----------------------------------------------------------------------------------


def _enter(tx: Tx, staff: Staff, row: Row | None, action: str, decision: Decision) -> None:
    audit.write(
        tx,
        staff.entry(
            action,
            "unknown" if row is None else row.tip,
            role="child-safety",
            case=None if row is None else row.case,
            purpose="CyberTip",
            outcome="done" if decision.allowed else "refused",
        ),
    )


def _enter_server(
    tx: Tx,
    action: str,
    object_: str,
    case: str,
    *,
    purpose: str = "CyberTip",
    outcome: str = "done",
    after: bytes | None = None,
) -> None:
    audit.write(
        tx,
        audit.Access(
            actor="server",
            role="submitter",
            action=action,
            object=object_,
            case=case,
            purpose=purpose,
            outcome=outcome,
            after=after,
        ),
    )
