"""The people's API of reports: report somebody, follow one's reports, appeal a measure."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Protocol

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.types import ControllerRouterHandler

from kith.ledger.database import Database, Reader
from kith.ledger.decision import Decision
from kith.ledger.problem import Problem, invalid, not_found
from kith.people.buckets import Charge
from kith.people.pacing import within
from kith.people.server import ServerFacts
from kith.people.sessions import Session
from kith.protocol.franking import Keys, ReportItem
from kith.protocol.uris import room_uri
from kith.protocol.wire import Malformed
from kith.reports import attachments, evidence, flows
from kith.reports.desk import Desk
from kith.reports.evidence import Examined, Parties
from kith.reports.limits import Limits
from kith.reports.triage import Category

BODY_LIMIT = 4 * 1024 * 1024
"""Bytes of a report: thirty messages of 64 KiB in base64, with room to spare."""


class Rooms(Protocol):
    """What this room must know about rooms; messaging's functions, passed in by app."""

    def was_member(self, reader: Reader, room: str, account: str, seq: int) -> bool:
        """Was this account in the room when message `seq` was accepted?"""

    def head_seq(self, reader: Reader, room: str) -> int:
        """The number of the last accepted message; 0 for an empty or unknown room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportsKit:
    """Everything that app hands to these routes; injected as `reports_kit`.

    `hub_key` and `signing_key` give the server's franking keys by hub key id, None when unknown or destroyed.
    """

    rooms: Rooms
    hub_key: Keys
    signing_key: Keys
    desk: Desk


TheDatabase = NamedDependency[Database]
TheServer = NamedDependency[ServerFacts]
TheSession = NamedDependency[Session]
TheKit = NamedDependency[ReportsKit]


class Report(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /reports`."""

    account: Annotated[str, msgspec.Meta(max_length=36)]
    room: Annotated[str, msgspec.Meta(max_length=36)] | None
    category: Category
    minor_involved: bool
    note: str
    items: list[str]
    id: Annotated[str, msgspec.Meta(max_length=36)] | None = None

    def __repr__(self) -> str:
        return f"Report({self.category}, {len(self.items)} items, …)"


class Appeal(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /me/standing/{measure}/appeal`."""

    text: str

    def __repr__(self) -> str:
        return "Appeal(…)"


@post("/reports", status_code=201, request_max_body_size=BODY_LIMIT)
async def report(
    data: JSONBody[Report], session: TheSession, database: TheDatabase, server: TheServer, reports_kit: TheKit
) -> dict[str, object]:
    """Report somebody, with up to thirty messages and their franks."""
    items = _items(data, reports_kit.desk.limits)
    if not _is_id(server.name, data.account) or not await database.read(server.met, session.account, data.account):
        raise not_found()
    if data.id is not None and not _is_id(server.name, data.id):
        raise invalid("The report's id is not an id: a UUID, version 4, in lower case.")
    examined = Examined()
    if data.room is not None:
        if not _is_id(server.name, data.room):
            raise invalid("The room is not an id.")
        parties = Parties(server=server.name, reporter=session.account, reported=data.account, room=data.room)
        examined = await _examine(items, parties, database, reports_kit)
    filing = flows.Filing(
        reporter=session.account,
        account=data.account,
        category=data.category,
        minor_involved=data.minor_involved,
        room=data.room,
        note=data.note,
        report=data.id,
    )
    filed = await database.write(flows.file, filing, examined, reports_kit.desk)
    if isinstance(filed, Decision):
        raise _refused(filed)
    missing = [one.as_named() for one in filed.missing]
    return {"report": filed.report, "class": filed.report_class, "first": filed.first, "missing": missing}


class HandedIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /reports/{report}/attachments`: which part, and the reporter's upload of its ciphertext."""

    message_id: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    part: Annotated[int, msgspec.Meta(ge=0, le=1_000)]
    blob: Annotated[str, msgspec.Meta(max_length=22)]


@post("/reports/{report_id:str}/attachments", status_code=204)
async def hand_in(  # noqa: PLR0917  injected by name
    report_id: FromPath[str],
    data: JSONBody[HandedIn],
    session: TheSession,
    database: TheDatabase,
    server: TheServer,
    reports_kit: TheKit,
) -> None:
    """Hand in the ciphertext of a reported attachment that the server has no more. The committed hash decides."""
    # Each look reads the whole of it.
    await within(database, server, Charge("profile", session.account, server.limits.profile))
    blobs = reports_kit.desk.blobs
    offer = attachments.Offer(
        account=session.account,
        report=report_id,
        message=bytes.fromhex(data.message_id),
        part=data.part,
        blob=data.blob,
    )
    wanted = await database.read(attachments.wanted, blobs, offer)
    if wanted is None:
        raise not_found()
    if not await attachments.is_genuine(blobs, data.blob, wanted):
        raise invalid("This is not the file that was sent. Nothing was added to the report.")
    if not await database.write(attachments.hand_in, blobs, offer):
        raise not_found()


def _items(data: Report, limits: Limits) -> list[ReportItem]:
    """What can be refused in a report: its framing, never what it fails to prove."""
    if len(data.note) > limits.note_characters:
        raise invalid(f"Your note is longer than {limits.note_characters} characters. Shorten it.")
    if data.items and data.room is None:
        raise invalid("Messages need the chat that they are from: name the room.")
    try:
        return evidence.read_items(data.items)
    except Malformed as fault:
        raise invalid(str(fault)) from None


async def _examine(items: list[ReportItem], parties: Parties, database: Database, kit: ReportsKit) -> Examined:
    """Judge the items before the flow; up to fifteen milliseconds of signatures, so off the event loop."""
    if not items:
        return Examined()
    room, me = parties.room, parties.reporter
    wanted = evidence.sequences(items)

    def membership(reader: Reader) -> tuple[int, dict[int, bool]]:
        head = kit.rooms.head_seq(reader, room)
        return head, {seq: kit.rooms.was_member(reader, room, me, seq) for seq in wanted}

    head, member_at = await database.read(membership)
    return await asyncio.to_thread(
        evidence.examine,
        items,
        parties,
        room_head_seq=head,
        member_at=member_at,
        hub_key=kit.hub_key,
        signing_key=kit.signing_key,
    )


def _is_id(server: str, text: str) -> bool:
    try:
        room_uri(server, text)
    except Malformed:
        return False
    return True


@get("/reports")
async def your_reports(session: TheSession, database: TheDatabase) -> list[dict[str, object]]:
    """One's own reports with status and outcome."""
    return await database.read(flows.your_reports, session.account)


@post("/me/standing/{measure:str}/appeal", status_code=201)
async def appeal(
    measure: FromPath[str], data: JSONBody[Appeal], session: TheSession, database: TheDatabase, reports_kit: TheKit
) -> dict[str, str]:
    """Ask for a measure against oneself to be looked at again, by somebody else."""
    if not data.text.strip():
        raise invalid("Write in a few words why this should be looked at again.")
    if len(data.text) > reports_kit.desk.limits.appeal_characters:
        raise invalid(f"Your text is longer than {reports_kit.desk.limits.appeal_characters} characters. Shorten it.")
    made = await database.write(flows.appeal, session.account, measure, data.text, reports_kit.desk)
    if isinstance(made, Decision):
        raise _refused(made)
    return {"appeal": made}


def _refused(decision: Decision) -> Problem:
    if decision == flows.NOT_FOUND:
        return not_found()
    because = decision.reasons[0]
    if because.rule == "report-flood":
        return Problem("limited", because.because, retry_after_ms=3_600_000)
    return Problem("conflict", because.because)


ROUTES: list[ControllerRouterHandler] = [report, hand_in, your_reports, appeal]
