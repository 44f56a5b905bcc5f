"""What the room's events leave in its projections."""

from __future__ import annotations

from kith.ledger.database import Projectors, Tx
from kith.ledger.events import (
    Blocked,
    NoticeDismissed,
    NoticesForgotten,
    NoticeShown,
    NoticeWithdrawn,
    RequestCancelled,
    RequestDeclined,
    RequestExpired,
    RuleFired,
)
from kith.safety import store


def _fired(tx: Tx, event: RuleFired) -> None:
    tx.run(store.FIRING_FORGET, which=event.rule, whom=event.account)
    tx.put(store.firings, rule=event.rule, account=event.account, at_ms=tx.now, live=int(event.live))


def _shown(tx: Tx, event: NoticeShown) -> None:
    tx.put(
        store.notices,
        notice=event.notice,
        shown_to=event.to,
        about=event.about,
        rule=event.rule,
        shown_ms=tx.now,
    )


def _dismissed(tx: Tx, event: NoticeDismissed) -> None:
    tx.run(store.NOTICE_DISMISSED, id=event.notice, at=tx.now)


def _withdrawn(tx: Tx, event: NoticeWithdrawn) -> None:
    tx.run(store.NOTICE_OVER, id=event.notice, at=tx.now)


def _forgotten(tx: Tx, event: NoticesForgotten) -> None:
    tx.run(store.NOTICES_FORGOTTEN, before=event.before_ms)
    tx.run(store.FIRINGS_FORGOTTEN, before=event.before_ms)


def _request_over(tx: Tx, event: RequestDeclined | RequestCancelled | RequestExpired) -> None:
    if event.target is not None:
        tx.run(store.NOTICES_OVER, reader_=event.target, whom=event.requester, at=tx.now)


def _blocked(tx: Tx, event: Blocked) -> None:
    tx.run(store.NOTICES_OVER, reader_=event.by, whom=event.account, at=tx.now)


PROJECTORS: Projectors = {
    RuleFired: (_fired,),
    NoticeShown: (_shown,),
    NoticeDismissed: (_dismissed,),
    NoticeWithdrawn: (_withdrawn,),
    NoticesForgotten: (_forgotten,),
    RequestDeclined: (_request_over,),
    RequestCancelled: (_request_over,),
    RequestExpired: (_request_over,),
    Blocked: (_blocked,),
}
