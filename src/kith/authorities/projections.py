"""What this room's events leave in its projections."""

from __future__ import annotations

import msgspec

from kith.authorities import store
from kith.ledger.database import Projectors, Tx
from kith.ledger.events import (
    PreservationEnded,
    PreservationStarted,
    TipApproved,
    TipDrafted,
    TipEdited,
    TipMoved,
)


def _drafted(tx: Tx, event: TipDrafted) -> None:
    tx.put(
        store.tips,
        tip=event.tip,
        case=event.case,
        account=event.account,
        wrote=_json((event.staff,)),
        drafted_ms=tx.now,
        state="DRAFT",
        since_ms=tx.now,
    )


def _edited(tx: Tx, event: TipEdited) -> None:
    row = tx.one(store.TIP, id=event.tip)
    if row is not None:
        wrote = msgspec.json.decode(row.wrote, type=tuple[str, ...])
        tx.run(store.TIP_EDITED, id=event.tip, who=_json(tuple(dict.fromkeys((*wrote, event.staff)))))


def _approved(tx: Tx, event: TipApproved) -> None:
    tx.run(store.TIP_APPROVED, id=event.tip, by=event.staff, at=tx.now, hash_=event.paper)


def _moved(tx: Tx, event: TipMoved) -> None:
    tx.run(
        store.TIP_MOVED,
        id=event.tip,
        new_state=event.state,
        at=tx.now,
        last_call=event.call,
        last_code=event.code,
        number=event.report_id,
        is_test=None if event.test is None else int(event.test),
    )
    if event.state == "FINISHED":
        tx.run(store.TIP_FINISHED, id=event.tip, at=tx.now)
    if event.state == "DRAFT":  # opened again: what comes is another report
        tx.run(store.TIP_STARTED_OVER, id=event.tip, none=None)


def _preserved(tx: Tx, event: PreservationStarted) -> None:
    tx.put(
        store.preservations,
        preservation=event.preservation,
        tip=event.tip,
        case=event.case,
        since_ms=tx.now,
        until_ms=event.until_ms,
    )


def _ended(tx: Tx, event: PreservationEnded) -> None:
    tx.run(store.PRESERVATION_ENDED, id=event.preservation, at=tx.now)


def _json(staff: tuple[str, ...]) -> str:
    return msgspec.json.encode(staff).decode()


PROJECTORS: Projectors = {
    TipDrafted: (_drafted,),
    TipEdited: (_edited,),
    TipApproved: (_approved,),
    TipMoved: (_moved,),
    PreservationStarted: (_preserved,),
    PreservationEnded: (_ended,),
}
