"""What reviewers are shown: the queue without anybody's name, and a case to the one who holds it.

Showing a case writes its entry in the staff log in the same transaction. Words that people wrote are not here: they
are opened one deliberate click at a time (`review.open_evidence`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import msgspec

from kith.ledger import audit
from kith.ledger.database import Reader, Row, Tx, decode_json
from kith.people import enforcement, facts
from kith.people.standing import Measure
from kith.reports import store
from kith.reports.evidence import FLAWS
from kith.reports.limits import Limits
from kith.reports.review import Exposure, exposure
from kith.reports.staff_roles import acting_role, may_open
from kith.reports.staffing import Staff

LISTED = 200
"""Cases on one page of the queue."""


class Waiting(NamedTuple):
    """A case in the queue; it names nobody."""

    case: str
    queue: str
    priority: int
    because: str
    opened_ms: int
    due_ms: int
    late: bool
    claimed_by: str | None
    mine: bool


class QueuePage(NamedTuple):
    """The queue as somebody may see it, gravest first."""

    waiting: list[Waiting]
    exposure: Exposure


class Card(NamedTuple):
    """A closed exhibit: who sent it, when, and whether it is proof."""

    kind: Literal["exhibit"]
    id: str
    side: str
    accepted_ms: int | None
    flaw: str | None
    verdict: str | None


class Missing(NamedTuple):
    """Messages that the report leaves out, here (`gap`) or after its end (`tail`); `unkept` were not stored."""

    kind: Literal["gap", "tail", "unkept", "equivocation"]
    messages: int


class ReportView(NamedTuple):
    """One report of a case, with its exhibits and holes in order."""

    report: str
    number: int
    category: str
    minor_involved: bool
    filed_ms: int
    reporter_since_ms: int | None
    items: int
    verified: int
    rows: list[Card | Missing]
    note: str | None


class Subject(NamedTuple):
    """Whom a case is about. `band` only for the child-safety role."""

    handle: str
    display_name: str
    joined_ms: int
    band: str | None
    current: tuple[Measure, ...]
    history: tuple[Measure, ...]


class Prior(NamedTuple):
    """An earlier or parallel case about the same person."""

    case: str
    queue: str
    opened_ms: int
    closed_ms: int | None
    action: str | None
    policy: str | None


class AppealView(NamedTuple):
    """What an appeal is about; nothing of the first reviewer."""

    measure: Measure
    note: str | None
    filed_ms: int


class CaseView(NamedTuple):
    """A case for the one who holds it."""

    case: str
    queue: str
    because: str
    opened_ms: int
    due_ms: int
    until_ms: int
    source: str
    subject: Subject | None
    reports: list[ReportView]
    prior: list[Prior]
    appeal: AppealView | None
    exposure: Exposure


def queue(reader: Reader, staff: Staff, limits: Limits) -> QueuePage:
    """Every open case of the queues that this person may see."""
    names = (*staff.queues(), "", "", "")[:3]
    rows = reader.all(store.QUEUE, one=names[0], two=names[1], three=names[2], most=LISTED)
    shown = [_waiting(row, staff, reader.now) for row in rows if _may_see(reader, staff, row)]
    return QueuePage(shown, exposure(reader, staff.id, limits))


def next_case(reader: Reader, staff: Staff, limits: Limits) -> str | None:
    """The first case that nobody else works on."""
    waiting = queue(reader, staff, limits).waiting
    return next((case.case for case in waiting if case.mine or case.claimed_by is None), None)


def _may_see(reader: Reader, staff: Staff, row: Row) -> bool:
    origin = None if row.origin is None else reader.one(store.CASE, id=row.origin)
    if origin is not None and origin.decided_by == staff.id:
        return False  # an appeal against one's own decision is somebody else's
    return may_open(staff.roles, row.queue, origin=None if origin is None else origin.queue).allowed


def _waiting(row: Row, staff: Staff, now: int) -> Waiting:
    held = row.claimed_by is not None and row.claim_until_ms > now
    return Waiting(
        case=row.case,
        queue=row.queue,
        priority=row.priority,
        because=row.because,
        opened_ms=row.opened_ms,
        due_ms=row.due_ms,
        late=now > row.due_ms,
        claimed_by=row.claimed_by if held else None,
        mine=held and row.claimed_by == staff.id,
    )


def head(reader: Reader, staff: Staff, case: str) -> Waiting | None:
    """A case from outside, for somebody who may take it but does not hold it."""
    row = reader.one(store.CASE, id=case)
    if row is None or row.closed_ms is not None or not _may_see(reader, staff, row):
        return None
    return _waiting(row, staff, reader.now)


def show(tx: Tx, staff: Staff, case: str, limits: Limits) -> CaseView | None:
    """A case for its holder, with one entry in the staff log; None for everybody else."""
    row = tx.one(store.CASE, id=case)
    if (
        row is None
        or row.closed_ms is not None
        or not _waiting(row, staff, tx.now).mine
        or not _may_see(tx, staff, row)
    ):
        return None
    audit.write(tx, staff.entry("case.viewed", case, role=acting_role(staff.roles, row.queue), case=case))
    source = row.case if row.origin is None else row.origin
    return CaseView(
        case=row.case,
        queue=row.queue,
        because=row.because,
        opened_ms=row.opened_ms,
        due_ms=row.due_ms,
        until_ms=row.claim_until_ms,
        source=row.source,
        subject=_subject(tx, staff, row.account),
        reports=_reports(tx, source),
        prior=_prior(tx, staff, row),
        appeal=_appeal(tx, row),
        exposure=exposure(tx, staff.id, limits),
    )


def _subject(reader: Reader, staff: Staff, account: str) -> Subject | None:
    card, person = facts.card(reader, account), facts.load(reader, account)
    if card is None or person is None:
        return None
    return Subject(
        handle=card.handle,
        display_name=card.display_name,
        joined_ms=card.joined_ms,
        band=person.band if staff.may("child-safety") else None,
        current=person.standing.measures,
        history=person.standing.history,
    )


def _reports(reader: Reader, case: str) -> list[ReportView]:
    exhibits = reader.all(store.EXHIBITS, of_case=case)
    coverage = {row.report: row for row in reader.all(store.COVERAGE, of_case=case)}
    notes = {row.note for row in reader.all(store.NOTES, of_case=case)}
    return [
        ReportView(
            report=row.report,
            number=number,
            category=row.category,
            minor_involved=bool(row.minor_involved),
            filed_ms=row.filed_ms,
            reporter_since_ms=_since(reader, row.reporter),
            items=row["items"],
            verified=row.verified,
            rows=_rows([e for e in exhibits if e.report == row.report], coverage.get(row.report)),
            note=row.report if row.report in notes else None,
        )
        for number, row in enumerate(reader.all(store.REPORTS_OF_CASE, of_case=case), 1)
    ]


def _since(reader: Reader, account: str) -> int | None:
    person = facts.load(reader, account)
    return None if person is None else person.created_ms


def _rows(exhibits: Sequence[Row], coverage: Row | None) -> list[Card | Missing]:
    """Exhibits in order, with every hole where it is. Holes are counted over verified messages alone."""
    gaps = [] if coverage is None else decode_json(coverage.gaps, list[tuple[int, int]])
    rows: list[Card | Missing] = []
    for exhibit in exhibits:
        if exhibit.flaw is None:
            rows += _holes_before(gaps, exhibit.room_seq)
        rows.append(_card(exhibit))
    if coverage is not None:
        rows += _at_the_end(coverage)
    return rows


def _holes_before(gaps: list[tuple[int, int]], seq: int) -> Iterable[Missing]:
    while gaps and gaps[0][1] < seq:
        first, last = gaps.pop(0)
        yield Missing("gap", last - first + 1)


def _at_the_end(coverage: Row) -> Iterable[Missing]:
    if coverage.omitted_tail:
        yield Missing("tail", coverage.omitted_tail)
    if coverage.unkept:
        yield Missing("unkept", coverage.unkept)
    twice = len(msgspec.json.decode(coverage.equivocations, type=list[int]))
    if twice:
        yield Missing("equivocation", twice)


def _card(row: Row) -> Card:
    return Card(
        kind="exhibit",
        id=row.exhibit,
        side=row.side,
        accepted_ms=row.accepted_ms,
        flaw=None if row.flaw is None else FLAWS[row.flaw],
        verdict=row.verdict,
    )


def _prior(reader: Reader, staff: Staff, current: Row) -> list[Prior]:
    rows = reader.all(store.CASES_ABOUT, about=current.account)
    return [
        Prior(row.case, row.queue, row.opened_ms, row.closed_ms, row.action, row.policy)
        for row in rows
        # An appeal is looked at afresh: the decision it is about is not shown.
        if row.case not in (current.case, current.origin) and row.into is None and _may_see(reader, staff, row)
    ]


def _appeal(reader: Reader, row: Row) -> AppealView | None:
    if row.measure is None:
        return None
    found = enforcement.measure_of(reader, row.measure)
    asked = reader.one(store.APPEAL, of_measure=row.measure)
    if found is None or asked is None:
        return None
    notes = {note.note for note in reader.all(store.NOTES, of_case=row.case)}
    return AppealView(found[1], asked.appeal if asked.appeal in notes else None, asked.filed_ms)


class Decided(NamedTuple):
    """One's own decision, without anybody's name."""

    case: str
    queue: str
    closed_ms: int
    action: str
    policy: str | None
    severity: str | None
    appeal: str | None


def decisions(reader: Reader, staff: Staff, most: int = 100) -> list[Decided]:
    """What this person decided lately, and what became of it."""
    return [_decided(reader, row) for row in reader.all(store.DECIDED, by=staff.id, most=most)]


def _decided(reader: Reader, row: Row) -> Decided:
    asked = None if row.imposed is None else reader.one(store.APPEAL, of_measure=row.imposed)
    outcome = None if asked is None else asked.outcome or "open"
    return Decided(row.case, row.queue, row.closed_ms, row.action, row.policy, row.severity, outcome)


class Colleague(NamedTuple):
    """A member of staff, for the admin's page; by pseudonym."""

    staff: str
    roles: tuple[str, ...]
    added_ms: int
    me: bool


def colleagues(tx: Tx, staff: Staff) -> list[Colleague]:
    """Everybody on staff, with one entry in the staff log."""
    audit.write(tx, staff.entry("staff.listed", "staff", role="admin", purpose="staffing"))
    return [
        Colleague(row.staff, decode_json(row.roles, tuple[str, ...]), row.added_ms, row.staff == staff.id)
        for row in tx.all(store.ALL_STAFF)
        if row.ended_ms is None
    ]
