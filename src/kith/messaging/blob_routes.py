"""The people's interface under "Attachments" in docs/api.md."""

from __future__ import annotations

import asyncio
import secrets
from base64 import urlsafe_b64encode
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response, Router, delete, get, patch, post, route
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from kith.ledger.database import Database
from kith.ledger.problem import Problem, invalid, not_found
from kith.messaging import blobs as policy
from kith.messaging.blob_format import DamagedError, spoken
from kith.messaging.blob_keeper import Keeper, Progress
from kith.messaging.blob_storage import StorageAwayError
from kith.messaging.blobs import Span
from kith.messaging.flows import blobs as flows
from kith.messaging.flows.blobs import Held
from kith.messaging.outcomes import Refusal
from kith.messaging.routes import problem
from kith.people.server import ServerFacts
from kith.people.sessions import Session

TheSession = NamedDependency[Session]
TheDatabase = NamedDependency[Database]
TheKeeper = NamedDependency[Keeper]

log = structlog.get_logger("kith.blobs")

OCTETS: Final = "application/octet-stream"
CACHED_S: Final = 24 * 3600
"""Ciphertext in a browser's own cache."""
RETRY_MS: Final = 30_000
"""When to try again what the storage cannot do now."""
FULL = "The server is short of space for attachments. Nothing is lost; try again later."
AWAY = "The place where attachments are kept does not answer. Nothing is lost; try again in a little while."
DAMAGED = "The stored copy of this attachment is damaged. Ask its sender to send it again."


class NewBlob(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Bytes of the whole ciphertext."""

    size: int


class BlobBegun(msgspec.Struct, frozen=True):
    """An upload that may go on. `piece`: bytes of one PATCH at most."""

    blob: str
    offset: int
    piece: int
    expires_ms: int


@post("/blobs")
async def begin_blob(
    data: JSONBody[NewBlob],
    session: TheSession,
    database: TheDatabase,
    blobs: TheKeeper,
    server: NamedDependency[ServerFacts],
) -> BlobBegun:
    """Begin an upload."""
    if not policy.size_fits(data.size, blobs.limits):
        most = blobs.limits.blob_bytes
        raise invalid(f"A size is a Padmé bucket from {policy.SMALLEST} to {most} bytes. Pad before you encrypt.")
    if blobs.free() < data.size:
        raise Problem("read_only", FULL, retry_after_ms=RETRY_MS)
    fresh = urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()
    begun = await database.write(
        flows.begin, session.account, fresh, data.size, key=server.ticket_key, limits=blobs.limits
    )
    if isinstance(begun, Refusal):
        raise problem(begun)
    return BlobBegun(begun.blob, 0, blobs.limits.blob_piece, begun.expires_ms)


@patch("/blobs/{blob:str}")
async def go_on(
    blob: FromPath[str],
    request: Request[Any, Any, Any],
    session: TheSession,
    database: TheDatabase,
    blobs: TheKeeper,
) -> Response[Any]:
    """Bring the next octets, the body as it is."""
    if not policy.is_id(blob):
        raise not_found()
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != OCTETS:
        raise invalid(f"Send the octets of an attachment with Content-Type: {OCTETS}.")
    if request.headers.get("content-encoding"):
        raise invalid("Send the octets of an attachment as they are, without Content-Encoding.")
    offsets = request.headers.getall("upload-offset", [])
    offset = policy.read_offset(offsets[0]) if len(offsets) == 1 else None
    if offset is None:
        raise invalid("Say where these octets begin, with one Upload-Offset header: a plain number.")
    if await database.read(flows.suspended, session.account):
        refusal = await database.write(flows.stopped, session.account)
        raise problem(refusal)
    body = _Body(request.receive)
    progress = await blobs.receive(session.account, blob, offset, _announced(request), body.next)
    return _answered(progress, whole=body.whole)


class _Body:
    """A request's body, piece by piece; Litestar's own stream knows no deadline."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.whole = False
        """Whether it was read to its end."""

    async def next(self) -> bytes | None:
        """The next bytes, empty at the end; None when the connection is gone."""
        while not self.whole:
            message = await self._receive()
            if message["type"] != "http.request":
                return None
            self.whole = not message.get("more_body", False)
            if body := message.get("body", b""):
                return body
        return b""


def _announced(request: Request[Any, Any, Any]) -> int | None:
    length = request.headers.get("content-length")
    return int(length) if length is not None else None  # the server's parser let nothing but digits through


def _answered(progress: Progress, *, whole: bool) -> Response[Any]:
    """The answer of a PATCH. Where the body was not read to its end the connection closes."""
    headers = {"Upload-Offset": str(progress.received)}
    match progress.ended:
        case "all" | "cut":
            return Response(None, status_code=204, headers=headers)
        case "gone":
            answer = _error(404, "not_found", not_found().message)
        case "elsewhere":
            answer = _error(409, "conflict", f"Go on from octet {progress.received}.", headers)
        case "overtaken":
            answer = _error(409, "conflict", f"A newer upload goes on from octet {progress.received}.", headers)
        case "stalled":
            answer = _error(409, "conflict", f"No octets came. Go on from octet {progress.received}.", headers)
        case "too_long":
            answer = _error(413, "too_large", "Those are more octets than a piece has, or than are missing.", headers)
        case "full":
            answer = _error(503, "read_only", FULL, headers)
        case "away":
            answer = _error(503, "read_only", AWAY, headers)
    if not whole:
        answer.headers["Connection"] = "close"
    return answer


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response[Any]:
    error: dict[str, Any] = {"code": code, "message": message}
    headers = dict(headers or {})
    if status == 503:  # noqa: PLR2004
        error["retry_after_ms"] = RETRY_MS
        headers["Retry-After"] = str(RETRY_MS // 1000)
    return Response({"error": error}, status_code=status, media_type="application/json", headers=headers)


async def _readable(database: Database, blob: str) -> Held:
    held = await database.read(flows.found, blob) if policy.is_id(blob) else None
    if held is None:
        raise not_found()
    return held


def _headers(held: Held) -> dict[str, str]:
    """Whatever the octets turn out to be, a browser does nothing with them but hand them to the client."""
    return {
        "Content-Type": OCTETS,
        "Content-Length": str(held.size),
        "Content-Disposition": "attachment",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": f"private, max-age={CACHED_S}, immutable",
        "Accept-Ranges": "bytes",
        "ETag": _etag(held),
    }


def _etag(held: Held) -> str:
    return f'"{held.blob}"'


@route("/blobs/{blob:str}", http_method=["HEAD"])  # @head allows no length but the empty body's
async def look_at_blob(blob: FromPath[str], session: TheSession, database: TheDatabase) -> Bare:
    """How far it came."""
    held = await _readable(database, blob)
    if not held.complete and held.account != session.account:
        raise not_found()
    there = _headers(held) if held.complete else {"Content-Length": "0"}
    return Bare({**there, "Upload-Offset": str(held.received), "Upload-Length": str(held.size)})


@get("/blobs/{blob:str}", cache_control=None)
async def read_blob(
    blob: FromPath[str], request: Request[Any, Any, Any], session: TheSession, database: TheDatabase, blobs: TheKeeper
) -> Response[Any]:
    """The octets, or a range of them."""
    held = await _readable(database, blob)
    if not held.complete:
        raise not_found()
    wait = blobs.admit(session.account)
    if wait is not None:
        raise Problem("limited", "Many attachments are being read. Wait a little, then go on.", retry_after_ms=wait)
    condition = request.headers.get("if-range")
    asked = request.headers.get("range") if condition in (None, _etag(held)) else None
    span = policy.read_range(asked, held.size)
    if span is None:
        there = {"Content-Range": f"bytes */{held.size}"}
        return _error(416, "invalid", f"This attachment has {held.size} octets.", there)
    return Octets(blobs, session.account, held, span)


class Bare(Response[None]):
    """Headers alone, a length among them that is not the body's."""

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__(None, headers=headers)

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:  # noqa: ANN401
        """As they are."""
        return ASGIResponse(headers=self.headers, is_head_response=True)


class Octets(Response[None]):
    """A blob's octets, sent as fast as they are taken."""

    def __init__(self, keeper: Keeper, account: str, held: Held, span: Span) -> None:
        super().__init__(None)
        self._what = keeper, account, held, span

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:  # noqa: ANN401
        """What sends them."""
        return _Sending(*self._what)


class _Sending(ASGIResponse):
    """Sends the octets in bounded pieces, each verified before it leaves."""

    __slots__ = ("_account", "_held", "_keeper", "_span")

    def __init__(self, keeper: Keeper, account: str, held: Held, span: Span) -> None:
        partial = span != (0, held.size)
        headers = _headers(held)
        if partial:
            headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{held.size}"
            headers["Content-Length"] = str(span.stop - span.start)
        super().__init__(headers=headers, status_code=206 if partial else 200, media_type=OCTETS)
        self._keeper, self._account, self._held, self._span = keeper, account, held, span

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send; where a later piece is damaged the connection ends early, so that nobody takes a part for the whole."""
        async with self._keeper.reading(self._account, self._held, self._span) as pieces:
            try:
                piece = await anext(pieces)
            except (DamagedError, StorageAwayError) as flaw:
                await _broken(self._held, flaw)(scope, receive, send)
                return
            leaving = asyncio.ensure_future(_gone(receive))
            try:
                await self.start_response(send)
                await _send(send, piece)
                async for piece in pieces:
                    if leaving.done():
                        return
                    await _send(send, piece)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            except (DamagedError, StorageAwayError) as flaw:
                log.error("blob-broken-off", blob=spoken(self._held.blob), because=type(flaw).__name__)
            finally:
                leaving.cancel()


async def _send(send: Send, piece: bytes) -> None:
    await send({"type": "http.response.body", "body": piece, "more_body": True})


async def _gone(receive: Receive) -> None:
    """Until the connection is gone."""
    while (await receive())["type"] == "http.request":
        pass


def _broken(held: Held, flaw: Exception) -> ASGIResponse:
    away = isinstance(flaw, StorageAwayError)
    log.error("blob-unreadable", blob=spoken(held.blob), because=type(flaw).__name__)
    error: dict[str, Any] = {"code": "read_only", "message": AWAY, "retry_after_ms": RETRY_MS}
    if not away:
        error = {"code": "damaged", "message": DAMAGED}
    body = msgspec.json.encode({"error": error})
    return ASGIResponse(body=body, status_code=503 if away else 500, media_type="application/json")


@delete("/blobs/{blob:str}", status_code=204)
async def remove_blob(blob: FromPath[str], session: TheSession, database: TheDatabase) -> None:
    """Take an own one back: nobody finds it from now on. Its bytes go with the next sweep, however slow storage is."""
    refusal = await database.write(flows.remove, session.account, blob)
    if refusal is not None:
        raise problem(refusal)


ROUTES: list[Router] = [
    Router("/api/v1", route_handlers=[begin_blob, go_on, look_at_blob, read_blob, remove_blob]),
]
