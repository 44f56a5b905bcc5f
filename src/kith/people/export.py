"""Everything that this room holds about a person, as she may see it.

Reasons for the audience `person` only, and of the ledger only her own acts and what was done to her openly:
nothing that would tell her of somebody else's block, age or existence.
"""

from __future__ import annotations

import base64
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import and_, bindparam, select

from kith.ledger import events as e
from kith.ledger.database import Reader
from kith.ledger.events import Event, decode_event
from kith.ledger.schema import events
from kith.people import blocks, connections, devices, hushes, store, views
from kith.people.server import ServerFacts
from kith.people.sessions import Session

STRIDE: Final = 20_000
"""Ledger positions walked per question, so that an export never holds up the others for long."""

_ABOUT = (
    select(events.c.position, events.c.at_ms, events.c.kind, events.c.body)
    .where(
        and_(
            events.c.position > bindparam("after"),
            events.c.position <= bindparam("upto"),
            events.c.body.contains(bindparam("whom"), autoescape=False),
        )
    )
    .order_by(events.c.position)
)
_LAST = select(events.c.position).order_by(events.c.position.desc()).limit(1)

_MINE: Final[dict[type[Event], tuple[str, ...]]] = {
    e.AccountCreated: ("account",),
    e.TermsAccepted: ("account",),
    e.BandChanged: ("account",),
    e.IdentitySet: ("account",),
    e.DeviceSignedIn: ("account",),
    e.DeviceRegistered: ("account",),
    e.DeviceRemoved: ("account",),
    e.DeviceListSigned: ("account",),
    e.KeysLogged: ("account",),
    e.ControlsChanged: ("account",),
    e.ConnectionGranted: ("one", "other"),
    e.Blocked: ("by",),
    e.Unblocked: ("by",),
    e.Hushed: ("by",),
    e.Unhushed: ("by",),
    e.MeasureImposed: ("account",),
    e.MeasureReversed: ("account",),
    e.DecisionMade: ("about",),
    e.RequestSent: ("requester",),
    e.RequestAccepted: ("requester", "target"),
    e.RequestDeclined: ("target",),
    e.RequestCancelled: ("requester",),
    e.RoomCreated: ("one", "other"),
    e.MembershipStarted: ("account",),
    e.FirstMessage: ("account",),
    e.NoticeShown: ("to",),
    e.NoticeDismissed: ("to",),
    e.ReportFiled: ("reporter",),
    e.AppealFiled: ("account",),
    e.AppealDecided: ("account",),
}
"""Events a person may see, and the fields that make them hers."""

_HIDDEN: Final[dict[type[Event], tuple[str, ...]]] = {
    e.RequestSent: ("target", "decision", "invited"),  # `invited` is set only where it reached somebody
    e.RequestCancelled: ("target",),
    e.MeasureImposed: ("source",),
    e.ReportFiled: ("case", "verified"),
    e.AppealFiled: ("case",),
    e.AppealDecided: ("staff",),
}
"""Fields that would betray somebody else, or staff."""


class History(NamedTuple):
    """Some of the ledger as a person may see it, and from where to go on (None = that was all)."""

    entries: list[dict[str, Any]]
    after: int | None


def history(reader: Reader, account: str, after: int) -> History:
    """What the ledger says of a person, from the next stretch of positions."""
    rows = reader.all(_ABOUT, after=after, upto=after + STRIDE, whom=f'"{account}"')
    shown = (_shown(account, row.at_ms, row.kind, row.body) for row in rows)
    more = after + STRIDE < int(reader.value(_LAST) or 0)
    return History([entry for entry in shown if entry is not None], after + STRIDE if more else None)


def _shown(account: str, at_ms: int, kind: str, body: str) -> dict[str, Any] | None:
    event = decode_event(kind, body)
    if not any(getattr(event, field) == account for field in _MINE.get(type(event), ())):
        return None
    head = {"at_ms": at_ms, "kind": kind}
    if isinstance(event, e.DecisionMade):
        # A decision without a reason for the person says nothing to her, not even that it was made.
        reasons = [reason for reason in event.reasons if reason.audience == "person"]
        return {**head, "decision": event.decision, "reasons": msgspec.to_builtins(reasons)} if reasons else None
    fields = msgspec.to_builtins(event)
    return head | {k: v for k, v in fields.items() if k not in ("type", *_HIDDEN.get(type(event), ()))}


def held(reader: Reader, session: Session, server: ServerFacts) -> dict[str, Any]:
    """Everything this room holds about a person, beside the ledger."""
    account = session.account
    identity = devices.identity(reader, account)
    recovery = reader.one(store.RECOVERY, id=account)
    return {
        "exported_ms": reader.now,
        "account": msgspec.to_builtins(views.me(reader, session, server)),
        "devices": msgspec.to_builtins(views.my_devices(reader, session).devices),
        "keys": {
            "identity": identity and _b64(identity.aik),
            "sealed_identity": recovery and _b64(recovery.sealed_aik),
            "device_list": identity and identity.device_list and _b64(identity.device_list),
            "devices": [
                {
                    "device": d.device,
                    "mls_key": _b64(d.mls_key),
                    "added_ms": d.added_ms,
                    "certificate": _b64(d.certificate),
                }
                for d in devices.registered(reader, account)
            ],
        },
        "sign_ins": [
            {"at_ms": row.at_ms, "way": row.way, "address": row.address, "agent": row.agent}
            for row in reader.all(store.SIGN_INS_OF, whose=account)
        ],
        "connections": [row._asdict() for row in connections.listed(reader, account)],
        "blocks": [row._asdict() for row in blocks.of(reader, account)],
        "restricted_by_me": [row._asdict() for row in hushes.of(reader, account)],
        "password": "kept only as a hash that cannot be turned back",
        **{title: ask(reader, account) for title, ask in server.also_held.items()},
    }


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
