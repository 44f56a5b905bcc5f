"""The console pages of review: queue, case, evidence, decision, appeal, one's own decisions and shift, roles.

Every POST answers with a redirect, except opening evidence: there the answer to the POST is the page with the words in
it, so that each page that ever holds them belongs to exactly one act and its entries in the staff log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect, Stream, Template
from litestar.types import ControllerRouterHandler

from kith.ledger.database import Tx
from kith.ledger.decision import Decision
from kith.ledger.problem import Problem, invalid, not_found
from kith.people.ladder import Severity
from kith.protocol.attachments import AttachmentRefusedError
from kith.reports import attachments, casebook, review, staffing
from kith.reports.casebook import CaseView
from kith.reports.consequences import VERDICTS, Choice, Verdict
from kith.reports.desk import Desk
from kith.reports.evidence import FLAWS
from kith.reports.flows import NOT_FOUND
from kith.reports.keeping import Opened
from kith.reports.review import Ruling
from kith.reports.sealing import CannotOpen
from kith.reports.shell import (
    AnyRequest,
    Form,
    Link,
    TheConsole,
    TheDatabase,
    TheStaff,
    allowed,
    fields_of,
    go_to,
    page,
    read_form,
    require,
)
from kith.reports.staff_roles import ROLES
from kith.reports.staffing import Staff
from kith.reports.taxonomy import BY_ID, GROUPS, POLICIES, SEVERITIES, Action

ALL: Final = "all"
_VERDICT: Final = "verdict-"


class Decide(Form):
    """The decision form, without the verdicts, whose names carry ids."""

    policy: str
    severity: Severity
    action: Action
    days: str = ""
    reason: str = ""

    def __repr__(self) -> str:
        return f"Decide({self.action}, …)"


class Open(Form):
    """What to open: an exhibit, a note, or all exhibits."""

    what: str


class Rule(Form):
    """The second reviewer's form."""

    outcome: Literal["upheld", "overturned"]
    reason: str = ""

    def __repr__(self) -> str:
        return f"Rule({self.outcome}, …)"


# The queue ---------------------------------------------------------------------------------------


@get("/")
async def queue(staff: TheStaff, database: TheDatabase, console: TheConsole) -> Template | Redirect:
    """Every case that waits, gravest first."""
    if not staff.queues():
        return go_to("/staff")
    shown = await database.read(casebook.queue, staff, console.desk.limits)
    return page("queue.html", staff, title="Queue", here="/", waiting=shown.waiting, exposure=shown.exposure)


@get("/next")
async def next_case(staff: TheStaff, database: TheDatabase, console: TheConsole) -> Redirect:
    """The first case that nobody else works on; the queue when there is none."""
    found = await database.read(casebook.next_case, staff, console.desk.limits)
    return go_to("/" if found is None else f"/cases/{found}")


# A case ------------------------------------------------------------------------------------------


@get("/cases/{case:str}")
async def case(case: FromPath[str], staff: TheStaff, database: TheDatabase, console: TheConsole) -> Template:
    """A case: whole for the one who holds it, from outside for others who might take it."""
    view = await database.write(casebook.show, staff, case, console.desk.limits)
    if view is not None:
        return _case_page(staff, view)
    outside = await database.read(casebook.head, staff, case)
    if outside is None:
        raise not_found()
    return page("case-closed.html", staff, title="Case", waiting=outside)


def _case_page(
    staff: Staff,
    view: CaseView,
    *,
    opened: list[Opened] | None = None,
    problem: str = "",
    entered: Mapping[str, str] | None = None,
    status: int = 200,
) -> Template:
    shown = page(
        "case.html" if view.appeal is None else "appeal.html",
        staff,
        title="Case" if view.appeal is None else "Appeal",
        view=view,
        opened={thing.id: thing.said for thing in opened or ()},
        problem=problem,
        entered=entered or {},
        policies=[policy for policy in POLICIES if view.queue == "child-safety" or not policy.child_safety],
        groups=GROUPS,
        severities=SEVERITIES,
        verdicts=VERDICTS,
    )
    shown.status_code = status
    return shown


@post("/cases/{case:str}/claim")
async def claim(case: FromPath[str], staff: TheStaff, database: TheDatabase, console: TheConsole) -> Redirect:
    """Take a case."""
    _allowed(await database.write(review.claim, staff, case, console.desk.limits))
    return go_to(f"/cases/{case}")


@post("/cases/{case:str}/release")
async def release(case: FromPath[str], staff: TheStaff, database: TheDatabase) -> Redirect:
    """Give a case back; nobody asks why."""
    _allowed(await database.write(review.release, staff, case))
    return go_to("/")


@post("/cases/{case:str}/escalate")
async def escalate(case: FromPath[str], staff: TheStaff, database: TheDatabase, console: TheConsole) -> Redirect:
    """Hand a case to child safety."""
    _allowed(await database.write(review.escalate, staff, case, console.desk))
    return go_to("/")


@post("/cases/{case:str}/open", status_code=200)
async def open_(
    case: FromPath[str], request: AnyRequest, staff: TheStaff, database: TheDatabase, console: TheConsole
) -> Template | Response[bytes]:
    """Open an exhibit, a note, or all exhibits: the entry and the words, or neither.

    A script of the page asks for JSON and puts the words into the one card; without it the whole page comes again.
    """
    form = await read_form(request, Open)
    try:
        opened = await database.write(_open, staff, case, form.what, console.desk)
    except CannotOpen as fault:
        raise Problem("conflict", f"This cannot be shown: {fault}.") from None
    if isinstance(opened, Decision):
        raise _problem(opened)
    if "application/json" in request.headers.get("accept", ""):
        count = await database.read(review.exposure, staff.id, console.desk.limits)
        things = {thing.id: thing.said for thing in opened}
        body = msgspec.json.encode({"things": things, "views": count.views, "most": count.most})
        return Response(body, media_type="application/json")
    view = await database.write(casebook.show, staff, case, console.desk.limits)
    if view is None:
        raise not_found()
    return _case_page(staff, view, opened=opened)


def _open(tx: Tx, staff: Staff, case: str, what: str, desk: Desk) -> list[Opened] | Decision:
    if what == ALL:
        return review.open_evidence(tx, staff, case, None, desk)
    found = review.open_evidence(tx, staff, case, {what}, desk)
    return review.open_note(tx, staff, case, what, desk) if found == NOT_FOUND else found


class OpenFile(Form):
    """Which attachment to open."""

    exhibit: str
    part: int


@post("/cases/{case:str}/attachments", status_code=200)
async def open_attachment(
    case: FromPath[str], request: AnyRequest, staff: TheStaff, database: TheDatabase, console: TheConsole
) -> Template:
    """Open one attachment on a page of its own: verified whole, veiled, and fetched by that page alone."""
    form = await read_form(request, OpenFile)
    desk = console.desk
    try:
        found = await database.write(review.open_attachment, staff, case, (form.exhibit, form.part), desk)
    except CannotOpen as fault:
        raise Problem("conflict", f"This cannot be shown: {fault}.") from None
    if isinstance(found, Decision):
        raise _problem(found)
    opened, flaw, ticket, look, lost = found.opened, "", "", None, False
    try:
        look = await attachments.verify(desk.blobs, found.blob, opened)
    except AttachmentRefusedError as refusal:
        flaw, lost = FLAWS[refusal.reason], refusal.reason in attachments.LOST
    if found.blob is not None:
        await database.write(attachments.found, opened.exhibit, opened.part, lost=lost)
    painted = None
    if look is not None and found.blob is not None:
        picture = look.kind == "picture"
        if picture:
            painted = await desk.paint(attachments.read(desk.blobs, found.blob, opened, 0, opened.length))
        until = database.now() + (desk.viewing.picture_life_ms if picture else desk.viewing.life_ms)
        seen = attachments.Ticket(staff.id, case, found.blob, replace(opened, look=look), until, painted)
        ticket = desk.viewing.admit(seen, database.now()) if painted or not picture else ""
    exposure = await database.read(review.exposure, staff.id, desk.limits)
    facts = {"file": opened, "flaw": flaw, "ticket": ticket, "look": look, "case": case, "exposure": exposure}
    facts |= {"asked_again": lost, "painted": painted}
    return page("attachment.html", staff, title="Attachment", **facts)


@get("/attachments/{ticket:str}")
async def attachment(
    ticket: FromPath[str], request: AnyRequest, staff: TheStaff, database: TheDatabase, console: TheConsole
) -> Stream | Response[bytes]:
    """A picture as it was made anew; of a film or sound what was sent, or the part that a player asks for."""
    found = console.desk.viewing.found(ticket, staff.id, database.now())
    if found is None or found.opened.look is None or not await database.read(review.holds, staff, found.case):
        raise not_found()
    blob, opened, look = found.blob, found.opened, found.opened.look
    harmless = {"Content-Security-Policy": "default-src 'none'; sandbox", "Content-Disposition": "inline"}
    if found.painted is not None:
        return Response(found.painted.data, media_type=found.painted.media_type, headers=harmless)
    span = _asked(request.headers.get("range"), opened.length)
    start, stop = span or (0, opened.length)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Length": str(stop - start),
        **harmless,
    }
    if span:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{opened.length}"
    pieces = attachments.read(console.desk.blobs, blob, opened, start, stop)
    return Stream(pieces, status_code=206 if span else 200, headers=headers, media_type=look.media_type)


_RANGE: Final = re.compile(r"bytes=([0-9]{1,12})-([0-9]{0,12})")


def _asked(header: str | None, length: int) -> tuple[int, int] | None:
    """What a player asks for; anything unusual gets the whole."""
    found = _RANGE.fullmatch(header) if header else None
    if found is None or int(found[1]) >= length:
        return None
    last = int(found[2]) if found[2] else length - 1
    return (int(found[1]), min(last, length - 1) + 1) if last >= int(found[1]) else None


@post("/cases/{case:str}/verdicts")
async def save_verdicts(
    case: FromPath[str], request: AnyRequest, staff: TheStaff, database: TheDatabase, console: TheConsole
) -> Redirect:
    """Keep the verdicts without deciding yet."""
    verdicts = _verdicts(await fields_of(request))
    _allowed(await database.write(review.give_verdicts, staff, case, verdicts, console.desk.limits))
    return go_to(f"/cases/{case}")


@post("/cases/{case:str}/decide")
async def decide(
    case: FromPath[str], request: AnyRequest, staff: TheStaff, database: TheDatabase, console: TheConsole
) -> Template | Redirect:
    """Verdicts and decision in one transaction; then the next case, or on to the CyberTip draft."""
    fields = await fields_of(request)
    choice = _choice(fields)
    decision = await database.write(_decide, staff, case, Judgement(_verdicts(fields), choice), console.desk)
    if decision.allowed:
        draft = choice.policy.child_safety and choice.action != "no_action" and console.after_child_safety
        return go_to(console.after_child_safety.format(case=case) if draft else "/next")
    view = await database.write(casebook.show, staff, case, console.desk.limits)
    if view is None:
        raise _problem(decision)
    because = " ".join(reason.because for reason in decision.reasons)
    return _case_page(staff, view, problem=because, entered=fields, status=409)


class Judgement(NamedTuple):
    """Everything on one submitted form."""

    verdicts: dict[str, Verdict]
    choice: Choice


def _decide(tx: Tx, staff: Staff, case: str, judged: Judgement, desk: Desk) -> Decision:
    given = review.give_verdicts(tx, staff, case, judged.verdicts, desk.limits)
    return review.decide(tx, staff, case, judged.choice, desk) if given.allowed else given


def _verdicts(fields: Mapping[str, str]) -> dict[str, Verdict]:
    given = {name.removeprefix(_VERDICT): value for name, value in fields.items() if name.startswith(_VERDICT)}
    try:
        return msgspec.convert(given, dict[str, Verdict])
    except msgspec.ValidationError:
        raise invalid(f"A verdict is one of {', '.join(get_args(Verdict))}.") from None


def _choice(fields: Mapping[str, str]) -> Choice:
    own = {name: value for name, value in fields.items() if not name.startswith(_VERDICT)}
    try:
        form = msgspec.convert(own, Decide, strict=False)
        days = int(form.days) if form.days.strip() else None
    except ValueError:  # msgspec.ValidationError is one
        raise invalid("Choose a policy, a severity, an action and, where it has a term, a number of days.") from None
    policy = BY_ID.get(form.policy)
    if policy is None:
        raise invalid("Choose a policy of the list.")
    return Choice(action=form.action, policy=policy, severity=form.severity, days=days, reason=form.reason.strip())


@post("/cases/{case:str}/appeal")
async def decide_appeal(
    case: FromPath[str], request: AnyRequest, staff: TheStaff, database: TheDatabase, console: TheConsole
) -> Redirect:
    """Uphold or overturn."""
    form = await read_form(request, Rule)
    ruling = Ruling(form.outcome, form.reason.strip())
    _allowed(await database.write(review.decide_appeal, staff, case, ruling, console.desk))
    return go_to("/next")


# About oneself and about staff -------------------------------------------------------------------


@get("/decisions")
async def decisions(staff: TheStaff, database: TheDatabase) -> Template:
    """One's own recent decisions and what became of them."""
    require(staff, "reviewer", "child-safety")
    mine = await database.read(casebook.decisions, staff)
    return page("decisions.html", staff, title="Your decisions", here="/decisions", decided=mine)


@get("/shift")
async def shift(staff: TheStaff, database: TheDatabase, console: TheConsole) -> Template:
    """How much one has read in this shift; nobody else sees this page."""
    require(staff, "reviewer", "child-safety")
    count = await database.read(review.exposure, staff.id, console.desk.limits)
    return page("shift.html", staff, title="Your shift", here="/shift", exposure=count)


@get("/staff")
async def colleagues(staff: TheStaff, database: TheDatabase) -> Template:
    """Who has which role."""
    require(staff, "admin")
    everybody = await database.write(casebook.colleagues, staff)
    return page("staff.html", staff, title="Staff", here="/staff", colleagues=everybody, roles=ROLES)


@post("/staff/{who:str}/roles")
async def change_roles(who: FromPath[str], request: AnyRequest, staff: TheStaff, database: TheDatabase) -> Redirect:
    """Give a colleague exactly the ticked roles."""
    require(staff, "admin")
    fields = await fields_of(request)
    wanted = [role for role in ROLES if f"role-{role}" in fields]
    allowed(await database.write(staffing.change_roles, staff, who, wanted))
    return go_to("/staff")


def _allowed(decision: Decision) -> None:
    if not decision.allowed:
        raise _problem(decision)


def _problem(decision: Decision) -> Problem:
    if decision == NOT_FOUND:
        return not_found()
    return Problem("conflict", " ".join(reason.because for reason in decision.reasons))


PAGES: list[ControllerRouterHandler] = [
    queue,
    next_case,
    case,
    claim,
    release,
    escalate,
    open_,
    open_attachment,
    attachment,
    save_verdicts,
    decide,
    decide_appeal,
    decisions,
    shift,
    colleagues,
    change_roles,
]
TEMPLATES: Final = Path(__file__).parent / "templates"
NAVIGATION: Final = (
    Link("/", "Queue", ("reviewer", "child-safety")),
    Link("/decisions", "Your decisions", ("reviewer", "child-safety")),
    Link("/shift", "Your shift", ("reviewer", "child-safety")),
    Link("/staff", "Staff", ("admin",)),
)
