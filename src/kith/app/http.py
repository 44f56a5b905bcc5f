"""HTTP for people's clients: sessions, origins, errors as sentences, security headers, the static client."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from litestar import Litestar, Request, Response, get
from litestar.datastructures import MutableScopeHeaders
from litestar.di import NamedDependency, Provide
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.params import FromPath
from litestar.types import ASGIApp, ControllerRouterHandler, HTTPScope, Message, Receive, Scope, Send

from kith import __version__
from kith.app.disk import RETRY_MS, WHOLE, Disk, needs_room
from kith.app.keys import Keys, manifest_json
from kith.ledger.database import Database
from kith.ledger.problem import Code, Problem
from kith.people import key_log, sessions
from kith.people.server import ServerFacts

log = structlog.get_logger("kith.http")

TWINS = {"br": ".br", "gzip": ".gz"}
"""Endings of the compressed forms that a build leaves beside the client's files; the smaller one first."""

BODY_LIMIT = 64 * 1024
"""Bytes of a request body, unless a route says otherwise."""

STATUS: dict[Code, int] = {
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

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; worker-src 'self'; manifest-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types svelte-trusted-html kith-url"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=(self), browsing-topics=()",
}
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def error_response(problem: Problem) -> Response[dict[str, Any]]:
    """A problem as the one error shape of docs/api.md."""
    error: dict[str, Any] = {"code": problem.code, "message": problem.message}
    if problem.retry_after_ms is not None:
        error["retry_after_ms"] = problem.retry_after_ms
    if problem.decision is not None:
        error["decision"] = problem.decision
    return Response({"error": error}, status_code=STATUS[problem.code], media_type="application/json")


def on_problem(_: Request[Any, Any, Any], problem: Problem) -> Response[dict[str, Any]]:
    """A route refused, in words."""
    return error_response(problem)


_SENTENCES: dict[int, tuple[Code, str]] = {
    401: ("unauthenticated", "Sign in first."),
    404: ("not_found", "There is nothing here, or it is not yours to see."),
    405: ("invalid", "That cannot be done here."),
    413: ("too_large", "That is too large to send."),
    415: ("invalid", "Send JSON with Content-Type: application/json."),
}


def on_http_exception(_: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    """The framework refused: the same shape, with what is wrong in the input where it is known."""
    code, sentence = _SENTENCES.get(error.status_code, ("invalid", _input_sentence(error)))
    response = error_response(Problem(code, sentence))
    if error.status_code == 405:  # noqa: PLR2004
        response.status_code = 405
    if code == "too_large":  # or the rest would be read after all, only to be thrown away
        response.headers["Connection"] = "close"
    return response


def _input_sentence(error: HTTPException) -> str:
    """What is wrong with the input, as far as the framework tells; `data` is its own word for the body."""
    details = [
        f"{item['key']}: {item['message']}" if item.get("key") not in (None, "data") else str(item["message"])
        for item in (error.extra or [])
        if isinstance(item, dict) and len(str(item.get("message", ""))) > len("'data'")
    ]
    if not details:
        return "That could not be read as the JSON that this call takes."
    return f"That could not be read. {'; '.join(details)[:300].rstrip('.')}."


def on_depth(_: Request[Any, Any, Any], __: RecursionError) -> Response[dict[str, Any]]:
    """JSON nested deeper than the decoder goes."""
    return error_response(Problem("invalid", "That is nested too deeply. Send the JSON that this call takes."))


def on_bug(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """A bug: seen in the log with its place, answered without details."""
    log.error("bug", route=request.url.path, error=type(error).__name__, exc_info=error)
    body = {"error": {"code": "bug", "message": "Something broke on our side. It has been noted."}}
    return Response(body, status_code=500, media_type="application/json")


class Guard:
    """Around every request: Origin, kind of body and room for what is new; security headers on every answer."""

    def __init__(self, app: ASGIApp, origin: str, headers: dict[str, str], disk: Disk | None = None) -> None:
        self.disk = disk
        self.app = app
        self.origin = origin.encode()
        self.headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a foreign Origin before anything is read; add the headers."""
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableScopeHeaders.from_message(message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        if self._foreign(scope):
            await _plain_error(with_headers, 403, "forbidden", "This request came from another site.")
            return
        if _untyped(scope):
            await _plain_error(with_headers, 400, *_SENTENCES[415])
            return
        if self.disk is not None and self.disk.read_only and needs_room(scope["method"], scope["path"]):
            await _plain_error(with_headers, 503, "read_only", WHOLE, RETRY_MS)
            return
        await self.app(scope, receive, with_headers)

    def _foreign(self, scope: HTTPScope) -> bool:
        if scope["method"] in SAFE_METHODS:
            return False
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        if origin is None:  # not a browser's: then it may not lean on a browser's cookie
            return sessions.COOKIE.encode() in headers.get(b"cookie", b"")
        return origin != self.origin


def _untyped(scope: HTTPScope) -> bool:
    """An unsafe request whose body does not say that it is JSON: a form or a script of another site could send it."""
    headers = dict(scope["headers"])
    has_body = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
    kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    if kind.startswith(b"image/") and scope["method"] == "PUT" and scope["path"].endswith("/photo"):
        return False  # no form can send this either, and no foreign script without being asked first
    if (
        kind == b"application/octet-stream"
        and scope["method"] == "PATCH"
        and scope["path"].startswith("/api/v1/blobs/")
    ):
        return False
    return scope["method"] not in SAFE_METHODS and has_body and kind != b"application/json"


async def _plain_error(send: Send, status: int, code: str, sentence: str, retry_after_ms: int | None = None) -> None:
    retry = "" if retry_after_ms is None else f',"retry_after_ms":{retry_after_ms}'
    body = f'{{"error":{{"code":"{code}","message":"{sentence}"{retry}}}}}'.encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if retry_after_ms is not None:
        headers.append((b"retry-after", str(retry_after_ms // 1000).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def token_of(headers: Mapping[str, str], cookies: Mapping[str, str]) -> str | None:
    """The session token of a request: a bearer header wins over the cookie."""
    authorization = headers.get("authorization", "")
    if authorization[:7].lower() == "bearer ":
        return authorization[7:].strip() or None
    return cookies.get(sessions.COOKIE)


async def current_session(request: Request[Any, Any, Any], database: NamedDependency[Database]) -> sessions.Session:
    """Who is asking; 401 when nobody is signed in."""
    token = token_of(request.headers, request.cookies)
    session = await database.read(sessions.authenticate, token) if token else None
    if session is None:
        raise Problem("unauthenticated", "Sign in first.")
    return session


def well_known(server: ServerFacts, keys: Keys) -> HTTPRouteHandler:
    """`/.well-known/kith.json`: the server's name, versions, and key manifest."""

    @get("/.well-known/kith.json", sync_to_thread=False, cache_control=None)
    def kith_json() -> dict[str, Any]:
        log = key_log.configuration(server).encode()
        return {
            "server_name": server.name,
            "origin": server.origin,
            "api": 1,
            "stream": "kith.v1",
            "manifest": manifest_json(keys.manifest),
            "transparency": {"configuration": log, "signature": keys.endorse_log(log)},
        }

    return kith_json


def health(disk: Disk | None) -> HTTPRouteHandler:
    """`/healthz`, for whatever watches the server: it answers, and whether it takes new things."""

    @get("/healthz", sync_to_thread=False, cache_control=None, include_in_schema=False)
    def healthz() -> Response[dict[str, str]]:
        # 200 in both cases: reading and receiving go on, so no balancer should take the server away.
        read_only = disk is not None and disk.read_only
        status = {"status": "read_only", "because": WHOLE} if read_only else {"status": "ok"}
        return Response(status, headers={"Cache-Control": "no-store"})

    return healthz


def client_files(folder: Path) -> list[HTTPRouteHandler]:
    """The static client: hashed assets for a year, everything else revalidated, unknown paths the page itself."""

    @get(["/", "/{path:path}"], sync_to_thread=False, include_in_schema=False)
    def client(request: Request[Any, Any, Any], path: FromPath[str] = "") -> Response[bytes]:
        wanted = path.strip("/")
        if wanted.startswith(("api/", ".well-known/")) or wanted.endswith(tuple(TWINS.values())):
            raise NotFoundException
        found = _inside(folder, wanted)
        if found is None and wanted.startswith("assets/"):
            raise NotFoundException  # of another build: the page in its place would be kept as if it were the script
        file = found or folder / "index.html"
        if not file.is_file():
            text = "The client is not built. Run: make web (or: kith web build), then load this page again."
            return Response(text.encode(), media_type="text/plain; charset=utf-8", status_code=503)
        forever = wanted.startswith("assets/") and file.name != "index.html"
        caching = "public, max-age=31536000, immutable" if forever else "no-cache"
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        if file.suffix == ".webmanifest":
            kind = "application/manifest+json"
        headers = {"Cache-Control": caching, "Vary": "Accept-Encoding"}
        body, encoding = _smallest(file, request.headers.get("accept-encoding", ""))
        return Response(body, media_type=kind, headers={**headers, **encoding})

    return [client]


def _smallest(file: Path, accepted: str) -> tuple[bytes, dict[str, str]]:
    """The file as the browser takes it with the fewest bytes, and the header that says so."""
    codings = {
        name.strip()
        for name, _, weight in (each.partition(";") for each in accepted.split(","))
        if weight.strip() != "q=0"
    }
    for coding, ending in TWINS.items():
        twin = file.with_name(file.name + ending)
        # A twin older than its file is of another build.
        if coding in codings and twin.is_file() and twin.stat().st_mtime_ns >= file.stat().st_mtime_ns:
            return twin.read_bytes(), {"Content-Encoding": coding}
    return file.read_bytes(), {}


def _inside(folder: Path, wanted: str) -> Path | None:
    if not wanted:
        return None
    file = (folder / wanted).resolve()
    return file if file.is_file() and file.is_relative_to(folder.resolve()) else None


def people_app(
    *,
    database: Database,
    server: ServerFacts,
    keys: Keys,
    client: Path,
    disk: Disk | None = None,
    routes: Sequence[ControllerRouterHandler],
    provide: dict[str, Callable[[], Any]],
) -> Litestar:
    """The Litestar application that people's clients talk to."""
    dependencies = {
        "database": Provide(lambda: database, sync_to_thread=False),
        "server": Provide(lambda: server, sync_to_thread=False),
        "keys": Provide(lambda: keys, sync_to_thread=False),
        "session": Provide(current_session),
        **{name: Provide(make, sync_to_thread=False) for name, make in provide.items()},
    }
    return Litestar(
        route_handlers=[*routes, well_known(server, keys), health(disk), *client_files(client)],
        dependencies=dependencies,
        exception_handlers={
            Problem: on_problem,
            HTTPException: on_http_exception,
            RecursionError: on_depth,
            Exception: on_bug,
        },
        middleware=[lambda app: Guard(app, server.origin, SECURITY_HEADERS, disk)],
        request_max_body_size=BODY_LIMIT,
        openapi_config=OpenAPIConfig(
            title="Kith", version=__version__, path="/api/schema", render_plugins=[JsonRenderPlugin()]
        ),
        logging_config=None,
    )
