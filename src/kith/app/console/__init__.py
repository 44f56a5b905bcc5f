"""The staff console: server-rendered pages on an origin of their own; never part of the people's client.

`console_app(...)` is mounted on its own port. Every request must carry the console's own Host (421 otherwise),
every POST its own Origin and the form token of the session (403 otherwise), before any handler runs. No page
holds inline script or style, nothing is cached, and nothing may frame it.
"""

from __future__ import annotations

import asyncio
import hmac
import mimetypes
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context, select_autoescape
from jinja2.runtime import Context
from litestar import Litestar, Response, get, post
from litestar.datastructures import Cookie, MutableScopeHeaders
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException, NotFoundException
from litestar.params import FromPath
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Redirect, Template
from litestar.template import TemplateConfig
from litestar.types import ASGIApp, ControllerRouterHandler, HTTPScope, Message, Receive, Scope, Send
from markupsafe import Markup

from kith.app.console.words import filters
from kith.ledger.database import Database
from kith.ledger.problem import Code, Problem, not_found
from kith.people.buckets import place_of
from kith.reports import staffing
from kith.reports.sealing import CannotOpen
from kith.reports.shell import (
    AnyRequest,
    ConsoleFacts,
    Form,
    Link,
    TheConsole,
    TheDatabase,
    TheStaff,
    fields_of,
    go_to,
    read_form,
)
from kith.reports.staffing import Login, Staff

log = structlog.get_logger("kith.console")

COOKIE: Final = "__Host-kith-staff"
FORM_COOKIE: Final = "__Host-kith-staff-form"
"""Ties the sign-in form to the browser that fetched it, before there is a session."""
BODY_LIMIT: Final = 64 * 1024
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not no-referrer: browsers would then send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), browsing-topics=()",
    "Cache-Control": "no-store",
}
STATUS: Final[dict[Code, int]] = {
    "invalid": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "too_large": 413,
    "misdirected": 421,
    "limited": 429,
    "read_only": 503,
}
_HERE: Final = Path(str(files("kith.app.console")))


class NotSignedIn(Exception):  # noqa: N818  leads to the sign-in page
    """No live staff session."""


class Gate:
    """Around every request: the one Host, the one Origin for unsafe methods, and the headers of every answer."""

    def __init__(self, app: ASGIApp, origin: str) -> None:
        self.app = app
        self.origin = origin.encode()
        self.host = urlsplit(origin).netloc.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse before anything is read; add the headers."""
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        await self._http(scope, receive, send)

    async def _http(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableScopeHeaders.from_message(message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        hosts = [value for name, value in scope["headers"] if name == b"host"]
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        if hosts != [self.host]:
            await _plain(with_headers, 421, "The staff console is not at this address.")
        elif scope["method"] not in ("GET", "HEAD") and origins != [self.origin]:
            await _plain(with_headers, 403, "This request came from another site.")
        else:
            await self.app(scope, receive, with_headers)


async def _plain(send: Send, status: int, sentence: str) -> None:
    body = sentence.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _check_form(request: AnyRequest) -> None:
    """Before every handler: a POST carries the form token that belongs to its cookie."""
    if request.method in ("GET", "HEAD"):
        return
    token = request.cookies.get(COOKIE) if request.url.path != "/sign-in" else request.cookies.get(FORM_COOKIE)
    sent = (await fields_of(request)).get("csrf", "")
    if not token or not hmac.compare_digest(staffing.csrf_token(token).encode(), sent.encode("utf-8", "replace")):
        raise Problem("forbidden", "This form is no longer valid. Go back, reload the page and try again.")


async def _current_staff(request: AnyRequest, database: TheDatabase) -> Staff:
    """Who is signed in; leads to the sign-in page otherwise."""
    token = request.cookies.get(COOKIE, "")
    staff = await database.read(staffing.session_of, token)
    if staff is None:
        raise NotSignedIn
    return staff


class Hashing:
    """Password checks: off the loop, two at a time because each takes 19 MiB, and never a long queue."""

    def __init__(self, threads: int = 2, most_waiting: int = 32) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="staff-password")
        self._most = threads + most_waiting
        self._under_way = 0

    async def check(self, login: Login, password: str) -> bool:
        """Does the password fit? A Problem when too many ask at once."""
        if self._under_way >= self._most:
            raise Problem("limited", "Many people are signing in. Wait a few seconds, then try again.")
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, staffing.password_fits, login, password)
        finally:
            self._under_way -= 1


_HASHING: Final = Hashing()

# Signing in --------------------------------------------------------------------------------------


class SignIn(Form):
    """The sign-in form."""

    login: str
    password: str

    def __repr__(self) -> str:
        return "SignIn(…)"


@get("/sign-in")
async def sign_in_form() -> Template:
    """Show the form, with a token of its own."""
    return _sign_in_page("")


@post("/sign-in")
async def sign_in(request: AnyRequest, database: TheDatabase, console: TheConsole) -> Template | Redirect:
    """Start a session. Wrong name and wrong password get the same answer in the same time."""
    form = await read_form(request, SignIn)
    place = place_of("" if request.client is None else request.client.host)
    wait = await database.read(staffing.wait_before_attempt, form.login, place, console.desk.limits)
    if wait:
        minutes = -(-wait // 60_000)
        return _sign_in_page(f"Too many attempts for this name. Try again in {minutes} min.", status=429)
    login = await database.read(staffing.find_login, form.login)
    fits = await _HASHING.check(login, form.password)
    if not fits or login.staff is None:
        await database.write(staffing.note_failed_attempt, form.login, place, console.desk.limits)
        return _sign_in_page("That name and password do not go together.", status=401)
    signed_in = await database.write(staffing.sign_in, form.login, login.staff, console.desk.limits)
    answer = go_to("/")
    answer.cookies = [_cookie(COOKIE, signed_in.token), _cookie(FORM_COOKIE, "", max_age=0)]
    return answer


@post("/sign-out")
async def sign_out(staff: TheStaff, database: TheDatabase) -> Redirect:
    """End the session."""
    await database.write(staffing.sign_out, staff)
    answer = go_to("/sign-in")
    answer.cookies = [_cookie(COOKIE, "", max_age=0)]
    return answer


def _sign_in_page(problem: str, *, status: int = 200) -> Template:
    token = secrets.token_urlsafe(32)
    return Template(
        template_name="sign-in.html",
        context={"staff": None, "title": "Sign in", "problem": problem, "csrf": staffing.csrf_token(token)},
        cookies=[_cookie(FORM_COOKIE, token)],
        status_code=status,
    )


def _cookie(name: str, value: str, *, max_age: int | None = None) -> Cookie:
    return Cookie(key=name, value=value, max_age=max_age, secure=True, httponly=True, samesite="strict")


# Errors ------------------------------------------------------------------------------------------


def _on_problem(_: AnyRequest, problem: Problem) -> Template:
    return _error_page(problem.message, STATUS[problem.code])


def _on_cannot_open(_: AnyRequest, fault: CannotOpen) -> Template:
    return _error_page(f"This cannot be done with words of your own: {fault}.", STATUS["conflict"])


def _on_not_signed_in(_: AnyRequest, __: NotSignedIn) -> Redirect:
    return go_to("/sign-in")


def _on_http(_: AnyRequest, error: HTTPException) -> Template:
    if error.status_code in (404, 405):
        return _error_page(not_found().message, error.status_code)
    return _error_page("That could not be read. Go back and try again.", error.status_code)


def _on_bug(request: AnyRequest, error: Exception) -> Template:
    log.error("bug", route=request.scope.get("path_template", "?"), error=type(error).__name__, exc_info=error)
    return _error_page("Something broke on our side. It has been noted.", 500)


def _error_page(message: str, status: int) -> Template:
    return Template(
        template_name="problem.html",
        context={"staff": None, "title": "Not done", "message": message},
        status_code=status,
    )


# Static files ------------------------------------------------------------------------------------

_STATIC: Final = {path.name: path.read_bytes() for path in sorted((_HERE / "static").iterdir()) if path.is_file()}


@get("/static/{name:str}", sync_to_thread=False)
def static(name: FromPath[str]) -> Response[bytes]:
    """A style sheet or a script of the console."""
    content = _STATIC.get(name)
    if content is None:
        raise NotFoundException
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(content, media_type=f"{kind}; charset=utf-8", headers={"Cache-Control": "no-cache"})


# The app -----------------------------------------------------------------------------------------


def console_app(
    database: Database,
    facts: ConsoleFacts,
    *,
    pages: Sequence[ControllerRouterHandler],
    templates: Sequence[Path],
    navigation: Sequence[Link],
    dependencies: dict[str, Any] | None = None,
) -> ASGIApp:
    """The console as an ASGI app. `pages`, `templates` and `navigation` come from the rooms' `staff.py`.

    `dependencies` are further facts and functions that handlers may ask for by name.
    """
    environment = Environment(
        loader=FileSystemLoader([_HERE / "templates", *templates]),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters(database.now))
    environment.globals.update(navigation=tuple(navigation), csrf_field=_csrf_field)
    provided = {"database": database, "console": facts, **(dependencies or {})}
    app = Litestar(
        route_handlers=[sign_in_form, sign_in, sign_out, static, *pages],
        dependencies={
            "staff": Provide(_current_staff),
            **{name: Provide(_always(value), sync_to_thread=False) for name, value in provided.items()},
        },
        before_request=_check_form,
        template_config=TemplateConfig(engine=JinjaTemplateEngine.from_environment(environment)),
        exception_handlers={
            Problem: _on_problem,
            CannotOpen: _on_cannot_open,
            NotSignedIn: _on_not_signed_in,
            HTTPException: _on_http,
            Exception: _on_bug,
        },
        request_max_body_size=BODY_LIMIT,
        openapi_config=None,
        logging_config=None,
    )
    # Around the app, not inside: answers to unknown paths need the Host check and the headers too.
    return Gate(app, facts.origin)


@pass_context
def _csrf_field(context: Context) -> Markup:
    """The hidden field that every form holds."""
    token = context["csrf"] if context["staff"] is None else context["staff"].csrf
    return Markup('<input type="hidden" name="csrf" value="{}">').format(token)


def _always(value: object) -> Any:  # noqa: ANN401  a provider of whatever it was given
    def provide() -> object:
        return value

    return provide
