"""Load facts, decide, append: filing a report, following it, appealing. What staff do is in `review`.

A refusal is a `Decision`; `NOT_FOUND` is the one for what is absent and for what is not this person's.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple
from uuid import uuid4

import msgspec

from kith.ledger.database import Reader, Row, Tx
from kith.ledger.decision import Decision, refuse
from kith.ledger.events import AppealFiled, CaseOpened, CaseRaised, ReportFiled
from kith.ledger.limits import DAY
from kith.ledger.signals import Changed
from kith.people import enforcement, facts
from kith.reports import attachments, keeping, store, triage
from kith.reports.attachments import Missing
from kith.reports.consequences import may_appeal
from kith.reports.desk import Desk
from kith.reports.evidence import Examined
from kith.reports.limits import Limits
from kith.reports.sealing import EvidenceKey
from kith.reports.triage import Category, Place, ReportFacts

NOT_FOUND: Final = refuse("not-found", "There is nothing here, or it is not yours to see.")
TAKEN: Final = refuse("report-id", "Another report has this id. Send it again with a fresh one.")


class Filing(msgspec.Struct, frozen=True, kw_only=True):
    """A report as the person made it; what was said in it is in `Examined`."""

    reporter: str
    account: str
    category: Category
    minor_involved: bool
    room: str | None = None
    note: str = ""
    report: str | None = None
    """The id that the device chose, so that the same report sent twice is one report."""

    def __repr__(self) -> str:
        return f"Filing({self.category}, …)"


class Filed(NamedTuple):
    """What the reporter is told."""

    report: str
    report_class: Literal["FULL", "PARTIAL", "NONE"]
    first: bool
    missing: tuple[Missing, ...] = ()
    """Attachments that the server has no more; the device may hand them in."""


# Filing ------------------------------------------------------------------------------------------


def file(tx: Tx, filing: Filing, examined: Examined, desk: Desk) -> Filed | Decision:
    """File a report: into the open case about this person, or a new one. Never refused for being unproven."""
    reporter, reported = facts.load(tx, filing.reporter), facts.load(tx, filing.account)
    if reporter is None or reported is None or filing.reporter == filing.account:
        return NOT_FOUND
    limits = desk.limits
    today = int(tx.value(store.REPORTS_SINCE, by=filing.reporter, since=tx.now - DAY))
    known = ReportFacts(
        category=filing.category,
        minor_involved=filing.minor_involved,
        reported_is_minor=reported.minor_as_target,
        reporter_is_minor=reporter.minor_as_target,
        proven=examined.against_reported > 0,
        over_budget=today >= limits.reports_per_day,
    )
    first = triage.first_as_told(known)  # by what the reporter said and is: it must not tell the other's age
    if filing.report is not None and (earlier := tx.one(store.REPORT, which=filing.report)) is not None:
        same = (earlier.reporter, earlier.account) == (filing.reporter, filing.account)
        lacking = tuple(attachments.missing(tx, filing.report))
        return Filed(filing.report, examined.report_class, first, lacking) if same else TAKEN
    flooding = today >= limits.reports_per_day_at_most
    if today >= limits.reports_per_day_ever or (flooding and not first):
        return refuse("report-flood", "You have sent very many reports today. Try again tomorrow.")
    case = _case_for(tx, filing.account, triage.of_report(known, tx.now, limits), "report", desk.key)
    report = filing.report or str(uuid4())
    case_key = keeping.key_of(tx, case, desk.key)
    keeping.keep_report(tx, case_key, report, filing.note, examined, blobs=desk.blobs, proven_only=flooding)
    tx.append(
        ReportFiled(
            report=report,
            case=case,
            reporter=filing.reporter,
            account=filing.account,
            category=filing.category,
            minor_involved=filing.minor_involved,
            items=len(examined.exhibits),
            verified=examined.verified,
            room=filing.room,
        )
    )
    return Filed(report, examined.report_class, first, tuple(attachments.missing(tx, report)))


def _case_for(tx: Tx, account: str, place: Place, source: str, key: EvidenceKey | None = None) -> str:
    """The open case about this person in this queue, moved up if this calls for it; else a new one.

    With `key` it is one that evidence can be put into: a case from before the evidence key was replaced takes none.
    """
    standing = tx.all(store.OPEN_CASE, about=account, in_queue=place.queue)
    row = next((case for case in standing if key is None or keeping.usable(tx, case.case, key)), None)
    if row is None:
        case = str(uuid4())
        tx.append(
            CaseOpened(
                case=case,
                account=account,
                queue=place.queue,
                priority=place.priority,
                because=place.because,
                due_ms=place.due_ms,
                source=source,
            )
        )
        return case
    if place.above(row.priority):
        due = min(place.due_ms, row.due_ms)
        tx.append(CaseRaised(case=row.case, priority=place.priority, because=place.because, due_ms=due))
    return str(row.case)


def propose(tx: Tx, account: str, rule: str, limits: Limits, *, child: bool) -> None:
    """Open or raise a case that a behaviour rule asks for."""
    if facts.load(tx, account) is not None:
        _case_for(tx, account, triage.of_rule(rule, tx.now, limits, child=child), f"rule:{rule}")


# What the reporter sees --------------------------------------------------------------------------

YOUR_REPORTS: Final = 200
"""Reports listed for their reporter, newest first."""


def your_reports(reader: Reader, account: str) -> list[dict[str, object]]:
    """A person's own reports with status and outcome, and nothing about who decided or how."""
    return [_own_report(reader, row) for row in reader.all(store.REPORTS_BY, by=account, most=YOUR_REPORTS)]


def _own_report(reader: Reader, row: Row) -> dict[str, object]:
    card = facts.card(reader, row.account)
    working = row.claimed_by is not None and row.claim_until_ms > reader.now
    status = "closed" if row.closed_ms is not None else "reviewing" if working else "received"
    outcome = None if row.closed_ms is None else "no_action" if row.action == "no_action" else "action"
    return {
        "report": row.report,
        "sent_ms": row.filed_ms,
        "category": row.category,
        "account": row.account,
        "handle": None if card is None else card.handle,
        "status": status,
        "outcome": outcome,
        "missing": [one.as_named() for one in attachments.missing(reader, row.report)],
    }


def held(reader: Reader, account: str) -> object:
    """What this room holds about an account, as far as it is hers to see: for her export."""
    asked = [
        {"appeal": row.appeal, "measure": row.measure, "sent_ms": row.filed_ms, "outcome": row.outcome}
        for row in reader.all(store.APPEALS_OF, about=account)
    ]
    return {"reports_sent": your_reports(reader, account), "appeals": asked}


# Appeals -----------------------------------------------------------------------------------------


def appeal(tx: Tx, account: str, measure: str, words: str, desk: Desk) -> str | Decision:
    """Ask for one's own measure to be looked at again; returns the appeal's id."""
    found = enforcement.measure_of(tx, measure)
    if found is None or found[0] != account:
        return NOT_FOUND
    imposed = found[1]
    decision = may_appeal(
        state=imposed.appeal, until_ms=imposed.appeal_until_ms, reversed_ms=imposed.reversed_ms, now=tx.now
    )
    if decision.refused:
        return decision
    place = triage.of_appeal(imposed.what, tx.now, desk.limits)
    case, made = str(uuid4()), str(uuid4())
    origin = tx.one(store.CASE_THAT_IMPOSED, measure_=measure)
    tx.append(
        CaseOpened(
            case=case,
            account=account,
            queue="appeals",
            priority=place.priority,
            because=place.because,
            due_ms=place.due_ms,
            source="appeal",
            measure=measure,
            origin=None if origin is None else origin.case,
        )
    )
    keeping.put_note(tx, keeping.key_of(tx, case, desk.key), made, "appeal", words)
    tx.append(AppealFiled(appeal=made, measure=measure, account=account, case=case))
    tx.publish(Changed(account, "standing"))
    return made
