"""What every staff page shares. A room's `staff.py` is written against this module; `app/console` mounts it.

A page of another room (for example `authorities/staff.py`) looks like this:

```python
@get("/tips")                                     # static path; ids as {tip:str}
async def tips(staff: TheStaff, database: TheDatabase) -> Template:
    require(staff, "child-safety")                # refuses with a page in words
    rows = await database.write(flows.list_tips, staff)    # a read of people's data is a flow: it writes its entry
    return page("tips.html", staff, title="CyberTips", rows=rows)

@post("/tips/{tip:str}/approve")
async def approve(staff: TheStaff, tip: FromPath[str], request: AnyRequest, database: TheDatabase) -> Redirect:
    require(staff, "child-safety")
    form = await read_form(request, Approval)     # a msgspec Struct that inherits Form
    await database.write(flows.approve, staff, tip, form.reason)
    return go_to("/tips")                         # POST, redirect, GET

PAGES: list[ControllerRouterHandler] = [tips, approve]
TEMPLATES = Path(__file__).parent / "templates"   # files that `{% extends "base.html" %}` and fill `{% block main %}`
NAVIGATION = (Link("/tips", "CyberTips", ("child-safety",)),)
```

- `staff: TheStaff`, `database: TheDatabase`, `console: TheConsole` are injected by name; paths are `FromPath[str]`.
  Without a live session the request is sent to the sign-in page before the handler runs.
- **CSRF and Origin are checked by the console itself for every POST**, before the handler; every form holds
  `{{ csrf_field() }}`. A handler cannot forget it.
- In a flow: `audit.write(tx, staff.entry("tip.read", tip_id, role="child-safety", case=case_id))`. `purpose` and the
  other fields are closed words and ids, never what somebody typed.
- Raise `Problem` (or `not_found()`) in pages; it becomes a page with the sentence and the right status.
- Templates escape everything. There is no inline script or style: use the classes of `static/console.css`.
  Names of people stand in `<bdi>`, their texts in elements with `dir="auto"`. Filters: `{{ ms|when }}`, `{{ ms|age }}`,
  `{{ staff_id|pseudonym }}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec
from litestar import Request
from litestar.di import NamedDependency
from litestar.response import Redirect, Template

from kith.ledger.database import Database
from kith.ledger.decision import Decision
from kith.ledger.problem import Problem, invalid
from kith.reports.desk import Desk
from kith.reports.staff_roles import Role
from kith.reports.staffing import Staff

AnyRequest: TypeAlias = Request[Any, Any, Any]

LONGEST_FIELD = 4_000
"""Characters in one field of a form."""


class Link(NamedTuple):
    """A place in the navigation, shown to those with one of the roles."""

    href: str
    title: str
    roles: tuple[Role, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleFacts:
    """What pages may know about the server.

    `after_child_safety` is where a child-safety decision leads on to, with `{case}` in it; empty when nothing does.
    """

    origin: str
    desk: Desk
    after_child_safety: str = ""


TheStaff = NamedDependency[Staff]
TheDatabase = NamedDependency[Database]
TheConsole = NamedDependency[ConsoleFacts]


class Form(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Fields of a form; `csrf` was checked before any handler ran."""

    csrf: str = ""


F = TypeVar("F", bound=Form)


async def read_form(request: AnyRequest, form: type[F]) -> F:
    """The fields of a form, converted and checked; a Problem that names the field otherwise."""
    try:
        return msgspec.convert(await fields_of(request), form, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(f"That could not be read: {error}. Go back and mend it.") from None


async def fields_of(request: AnyRequest) -> Mapping[str, str]:
    """Every field once, as text."""
    sent = await request.form()
    fields = {name: value for name, value in sent.multi_items() if isinstance(value, str)}
    if any(len(value) > LONGEST_FIELD for value in fields.values()):
        raise invalid(f"A field is longer than {LONGEST_FIELD} characters. Go back and shorten it.")
    return fields


def require(staff: Staff, *roles: Role) -> None:
    """Refuse whoever has none of these roles."""
    if not staff.may(*roles):
        raise Problem("forbidden", f"This page is for the role {' or '.join(roles)}.")


def allowed(decision: Decision) -> None:
    """Go on if the decision allows it; otherwise say why not."""
    if not decision.allowed:
        raise Problem("conflict", " ".join(reason.because for reason in decision.reasons))


def page(template: str, staff: Staff, *, title: str, **facts: object) -> Template:
    """A page for this person; `title` names it in one or two words."""
    return Template(template_name=template, context={"staff": staff, "title": title, **facts})


def go_to(path: str) -> Redirect:
    """After a POST: show the result under its own address."""
    return Redirect(path, status_code=303)
