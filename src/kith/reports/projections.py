"""Projections of reports: written here alone, from events and their time alone."""

from __future__ import annotations

import msgspec

from kith.ledger.database import Projectors, Tx
from kith.ledger.events import (
    AppealDecided,
    AppealFiled,
    CaseClaimed,
    CaseDecided,
    CaseEscalated,
    CaseOpened,
    CaseRaised,
    CaseReleased,
    ReportFiled,
    StaffAdded,
    StaffEnded,
    StaffRolesChanged,
    VerdictGiven,
)
from kith.reports import store


def _case_opened(tx: Tx, event: CaseOpened) -> None:
    tx.put(store.cases, opened_ms=tx.now, **msgspec.structs.asdict(event))


def _case_raised(tx: Tx, event: CaseRaised) -> None:
    tx.run(
        store.SET_PLACE,
        id=event.case,
        new_priority=event.priority,
        new_because=event.because,
        new_due=event.due_ms,
    )


def _case_claimed(tx: Tx, event: CaseClaimed) -> None:
    tx.run(store.SET_CLAIM, id=event.case, by=event.staff, until=event.until_ms)


def _case_released(tx: Tx, event: CaseReleased) -> None:
    tx.run(store.SET_CLAIM, id=event.case, by=None, until=None)


def _case_escalated(tx: Tx, event: CaseEscalated) -> None:
    if event.into is None:
        tx.run(store.SET_QUEUE, id=event.case, new_queue=event.queue, none=None)
        return
    tx.run(store.SET_MERGED, id=event.case, other=event.into, at=tx.now, none=None)
    tx.run(store.MOVE_REPORTS, of_case=event.case, to_case=event.into)
    tx.run(store.MOVE_VERDICTS, of_case=event.case, to_case=event.into)


def _case_decided(tx: Tx, event: CaseDecided) -> None:
    tx.run(
        store.SET_DECIDED,
        id=event.case,
        at=tx.now,
        by=event.staff,
        new_action=event.action,
        new_policy=event.policy,
        new_severity=event.severity,
        new_decision=event.decision,
        new_measure=event.measure,
        none=None,
    )


def _report_filed(tx: Tx, event: ReportFiled) -> None:
    fields = msgspec.structs.asdict(event)
    tx.put(store.reports, filed_ms=tx.now, **(fields | {"minor_involved": int(event.minor_involved)}))


def _verdict_given(tx: Tx, event: VerdictGiven) -> None:
    tx.run(store.FORGET_VERDICT, id=event.exhibit)
    tx.put(store.verdicts, at_ms=tx.now, **msgspec.structs.asdict(event))


def _appeal_filed(tx: Tx, event: AppealFiled) -> None:
    tx.put(store.appeals, filed_ms=tx.now, **msgspec.structs.asdict(event))


def _appeal_decided(tx: Tx, event: AppealDecided) -> None:
    tx.run(store.SET_APPEAL, of_measure=event.measure, new_outcome=event.outcome, by=event.staff, at=tx.now)
    asked = tx.one(store.APPEAL, of_measure=event.measure)
    tx.run(
        store.SET_DECIDED,
        id=None if asked is None else asked.case,
        at=tx.now,
        by=event.staff,
        new_action=event.outcome,
        new_policy=None,
        new_severity=None,
        new_decision=event.decision,
        new_measure=None,
        none=None,
    )


def _staff_added(tx: Tx, event: StaffAdded) -> None:
    tx.put(store.staff, staff=event.staff, roles=_json(event.roles), added_ms=tx.now)


def _roles_changed(tx: Tx, event: StaffRolesChanged) -> None:
    tx.run(store.SET_ROLES, id=event.staff, new_roles=_json(event.roles))


def _staff_ended(tx: Tx, event: StaffEnded) -> None:
    tx.run(store.SET_ENDED, id=event.staff, at=tx.now)


def _json(roles: tuple[str, ...]) -> str:
    return msgspec.json.encode(roles).decode()


PROJECTORS: Projectors = {
    CaseOpened: (_case_opened,),
    CaseRaised: (_case_raised,),
    CaseClaimed: (_case_claimed,),
    CaseReleased: (_case_released,),
    CaseEscalated: (_case_escalated,),
    CaseDecided: (_case_decided,),
    ReportFiled: (_report_filed,),
    VerdictGiven: (_verdict_given,),
    AppealFiled: (_appeal_filed,),
    AppealDecided: (_appeal_decided,),
    StaffAdded: (_staff_added,),
    StaffRolesChanged: (_roles_changed,),
    StaffEnded: (_staff_ended,),
}
