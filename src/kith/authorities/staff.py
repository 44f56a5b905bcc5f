"""The console pages of this room: CyberTips with their journal, a draft to read, change and approve, what is kept.

Pages that hold words of a CyberTip are answers to a deliberate POST, so that each belongs to exactly one act
and its entry in the staff log. Everything else names ids, states and times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final, get_args

from litestar import Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath
from litestar.response import Redirect, Template
from litestar.types import ControllerRouterHandler

from kith.authorities import flows, preservation, store
from kith.authorities.cybertip import IncidentType, ReportAnnotations
from kith.authorities.draft import Choices, transcript
from kith.authorities.environment import Mode
from kith.authorities.flows import Reading
from kith.authorities.journal import State, may_reopen
from kith.authorities.office import Office
from kith.ledger.database import Reader, Row
from kith.ledger.decision import Decision
from kith.ledger.problem import Problem, invalid, not_found
from kith.reports.sealing import CannotOpen
from kith.reports.shell import (
    AnyRequest,
    Form,
    Link,
    TheDatabase,
    TheStaff,
    allowed,
    fields_of,
    go_to,
    page,
    read_form,
    require,
)
from kith.reports.staff_roles import Role

TEMPLATES: Final = Path(__file__).parent / "templates"
ROLE: Final[Role] = "child-safety"
NAVIGATION: Final = (Link("/tips", "CyberTips", (ROLE,)), Link("/kept", "Preserved", (ROLE,)))

TheOffice = NamedDependency[Office]

STATES: Final[Mapping[State, str]] = {
    "DRAFT": "Draft, waiting for a second person",
    "APPROVED": "Approved, about to be sent",
    "SUBMITTING": "Being submitted",
    "IN_DOUBT": "In doubt: no answer came, and it may have arrived",
    "OPEN": "Open at the CyberTipline, not yet finished",
    "FINISHING": "Being finished",
    "FINISHED": "Finished",
    "RETRACTING": "Being taken back",
    "RETRACTED": "Taken back at the CyberTipline",
    "FAILED": "Refused, or given up: a person has to look",
    "EXPIRED": "Deleted there before it was finished",
    "CLOSED": "Closed without sending",
}
MODES: Final[Mapping[Mode, str]] = {
    "off": "Reports are off: no endpoint is set. Drafts wait here.",
    "practice": "Practice: reports go to a server on this machine and nowhere else.",
    "test": "Test environment: reports are discarded there.",
    "production": "Real reports: what is approved here goes to NCMEC.",
}
NEEDS_A_PERSON: Final = frozenset({"IN_DOUBT", "FAILED", "EXPIRED", "RETRACTED"})
ANNOTATIONS: Final[Mapping[str, str]] = {
    "sextortion": "Threats for money, images or acts",
    "csam_solicitation": "Asks a child for images",
    "minor_to_minor_interaction": "Both are under 18",
    "spam": "Sent to many without regard to whom",
    "sadistic_online_exploitation": "Pushes a child to hurt themself or others",
    "informational": "For information only",
}
DRAFTING_WAIT_S: Final = 0.1
DRAFTING_LOOKS: Final = 20
INCIDENT_TYPES: Final[tuple[str, ...]] = get_args(IncidentType)


class Approve(Form):
    """Approval of exactly the XML that was read."""

    read_hash: str


def _done(decision: Decision) -> None:
    """Go on, or say why not; what is absent answers as everywhere else."""
    if decision == flows.NOT_FOUND:
        raise not_found()
    allowed(decision)


def _opened(found: Reading | Decision) -> Reading:
    if isinstance(found, Decision):
        _done(found)
        raise not_found()
    return found


def _row(reader: Reader, tip: str) -> Row | None:
    return reader.one(store.TIP, id=tip)


def _of_case(reader: Reader, case: str) -> Row | None:
    return reader.one(store.TIP_OF_CASE, of_case=case)


@get("/tips")
async def tips(staff: TheStaff, database: TheDatabase, office: TheOffice) -> Template:
    """Every CyberTip, newest first, without its words."""
    require(staff, ROLE)
    rows = await database.read(flows.list_tips)
    return page(
        "tips.html",
        staff,
        title="CyberTips",
        rows=rows,
        states=STATES,
        needs=NEEDS_A_PERSON,
        mode=MODES[office.destination.mode()],
        here="/tips",
    )


@get("/tips/of/{case:str}")
async def tip_of_case(staff: TheStaff, database: TheDatabase, case: FromPath[str]) -> Redirect:
    """From a decision to its CyberTip, which is drafted right after it: worth waiting a moment for."""
    require(staff, ROLE)
    row = await database.read(_of_case, case)
    for _ in range(DRAFTING_LOOKS):
        if row is not None:
            break
        await asyncio.sleep(DRAFTING_WAIT_S)
        row = await database.read(_of_case, case)
    return go_to("/tips" if row is None else f"/tips/{row.tip}")


@get("/tips/{tip:str}")
async def tip_status(staff: TheStaff, database: TheDatabase, office: TheOffice, tip: FromPath[str]) -> Template:
    """Where one stands, with its journal."""
    require(staff, ROLE)
    row = await database.read(_row, tip)
    if row is None:
        raise not_found()
    reopening = may_reopen(row.state, since_ms=row.since_ms, now=database.now(), limits=office.limits)
    return page(
        "tip.html",
        staff,
        title="CyberTip",
        tip=row,
        state=STATES[row.state],
        needs=row.state in NEEDS_A_PERSON,
        journal=await database.read(flows.journal_of, tip),
        may_reopen=reopening.allowed,
        why_not=" ".join(reason.because for reason in reopening.reasons),
        mode=MODES[office.destination.mode()],
    )


@post("/tips/{tip:str}/read", status_code=200)
async def read_tip(staff: TheStaff, database: TheDatabase, office: TheOffice, tip: FromPath[str]) -> Template:
    """Open it: the words, the exact XML, and what can be done. One entry in the staff log."""
    require(staff, ROLE)
    try:
        found = _opened(await database.write(flows.read, staff, tip, office))
    except CannotOpen as failure:
        raise Problem("conflict", f"This CyberTip does not open: {failure}.") from None
    return page(
        "tip-read.html",
        staff,
        title="CyberTip",
        tip=found.tip,
        reading=found,
        xml="" if found.body is None else found.body.decode(),
        conversations=["\n".join(transcript(c)) for c in found.paper.facts.conversations],
        notes=[c.note for c in found.paper.facts.conversations if c.note],
        choices=found.paper.choices,
        types=INCIDENT_TYPES,
        annotations=ANNOTATIONS,
        draft=found.tip.state == "DRAFT",
        mode=MODES[office.destination.mode()],
    )


@post("/tips/{tip:str}/edit")
async def edit_tip(
    staff: TheStaff, database: TheDatabase, office: TheOffice, tip: FromPath[str], request: AnyRequest
) -> Redirect:
    """Change the few fields that people choose or write."""
    require(staff, ROLE)
    choices = _choices(await fields_of(request))
    _done(await database.write(flows.edit, staff, tip, choices, office))
    return go_to(f"/tips/{tip}")


def _choices(fields: Mapping[str, str]) -> Choices:
    incident_type: IncidentType | None = next((t for t in get_args(IncidentType) if t == fields.get("type")), None)
    if incident_type is None:
        raise invalid("Choose one of the incident types. Go back and choose.")
    return Choices(
        incident_type=incident_type,
        annotations=tuple(name for name in ReportAnnotations.flags if name in fields),  # type: ignore[misc]  # its names
        escalate=fields.get("escalate", "").strip(),
        remarks=fields.get("remarks", "").strip(),
    )


@post("/tips/{tip:str}/approve")
async def approve_tip(
    staff: TheStaff, database: TheDatabase, office: TheOffice, tip: FromPath[str], request: AnyRequest
) -> Redirect:
    """The second person's yes to exactly what was read."""
    require(staff, ROLE)
    form = await read_form(request, Approve)
    _done(await database.write(flows.approve, staff, tip, form.read_hash, office))
    return go_to(f"/tips/{tip}")


@post("/tips/{tip:str}/reopen")
async def reopen_tip(staff: TheStaff, database: TheDatabase, office: TheOffice, tip: FromPath[str]) -> Redirect:
    """Make a draft of it again."""
    require(staff, ROLE)
    _done(await database.write(flows.reopen, staff, tip, office))
    return go_to(f"/tips/{tip}")


@post("/tips/{tip:str}/close")
async def close_tip(staff: TheStaff, database: TheDatabase, tip: FromPath[str]) -> Redirect:
    """The second person's decision not to send."""
    require(staff, ROLE)
    _done(await database.write(flows.close, staff, tip))
    return go_to(f"/tips/{tip}")


@get("/kept")
async def kept(staff: TheStaff, database: TheDatabase) -> Template:
    """What is preserved, why, until when."""
    require(staff, ROLE)
    rows = await database.read(preservation.list_kept)
    return page("kept.html", staff, title="Preserved", rows=rows, here="/kept")


PAGES: Final[tuple[ControllerRouterHandler, ...]] = (
    tips,
    tip_of_case,
    tip_status,
    read_tip,
    edit_tip,
    approve_tip,
    reopen_tip,
    close_tip,
    kept,
)


def pages(office: Office) -> list[ControllerRouterHandler]:
    """The pages, knowing the office."""
    dependencies = {"office": Provide(lambda: office, sync_to_thread=False)}
    return [Router("/", route_handlers=PAGES, dependencies=dependencies)]
