"""`/ws`: who may open a stream, which devices are connected, and whom a doorbell concerns.

Token and Origin are judged before the upgrade. A device has one connection; a newer one replaces the older. Doorbells
(`ledger.signals`) only wake connections: what is sent is read from the mailbox, so losing one loses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple

from litestar.types import Receive, Scope, Send

from kith.app.connection import Connection, Link, Pace
from kith.app.disk import Disk
from kith.ledger.database import Database
from kith.ledger.signals import Changed, Delivered, DeviceSignedOut, MailArrived
from kith.messaging.flows.delivery import Franker
from kith.messaging.flows.delivery import Hub as Franking
from kith.messaging.flows.lane import Messages, Posted, Submission
from kith.messaging.limits import DEFAULTS, Limits
from kith.people import sessions
from kith.people.server import ServerFacts
from kith.people.sessions import COOKIE, Session
from kith.protocol.wire import Malformed

PATH = "/ws"
SUBPROTOCOL = "kith.v1"
REQUEST_NOTICE_S = (0.2, 0.8)
"""A request rings after a while by chance, so that its sender cannot time whether somebody was rung."""
CLOSING_S = 2.0
PACES = 10_000
"""Accounts whose pace is remembered before those without a connection are forgotten."""


class Turned(NamedTuple):
    """A handshake that is refused: status and sentence."""

    status: int
    code: str
    sentence: str


class AsgiLink(Link):
    """An ASGI WebSocket as a link."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send

    async def receive(self) -> bytes | None:
        """The next binary message."""
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            return None
        data = event.get("bytes")
        if not isinstance(data, bytes):
            raise Malformed("this stream is binary")
        return data

    async def send(self, data: bytes) -> None:
        """Send; waits while the socket's buffer is full."""
        await self._send({"type": "websocket.send", "bytes": data, "text": None})

    async def close(self, code: int) -> None:
        """Close, if it is still open."""
        try:
            await self._send({"type": "websocket.close", "code": code, "reason": None})
        except (OSError, RuntimeError):  # the other side closed first
            return


class Hub:
    """Every open stream of this process."""

    def __init__(
        self,
        database: Database,
        server: ServerFacts,
        franker: Franker,
        limits: Limits = DEFAULTS,
        disk: Disk | None = None,
    ) -> None:
        self.database = database
        self._disk = disk
        self.limits = limits
        self.franking = Franking(server.name, franker)
        self._origin = server.origin
        self._by_device: dict[str, Connection] = {}
        self._by_account: dict[str, dict[str, Connection]] = {}
        self._paces: dict[str, Pace] = {}
        self._messages = Messages(self.franking, self._deliver, limits)
        database.open_lane(self._messages)
        self._closed = False
        self._empty = asyncio.Event()

    @property
    def connected(self) -> int:
        """How many streams are open."""
        return len(self._by_device)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI endpoint."""
        await receive()  # websocket.connect
        session = self._admit(scope)
        if isinstance(session, Turned):
            await _turn_away(scope, send, session)
            return
        connection = Connection(self, session, AsgiLink(receive, send))
        self._enter(connection)
        try:
            await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL, "headers": []})
            if sessions.is_stale(session, self.database.now()):
                await self.database.write(sessions.seen, session.device)
            await connection.run()
        except OSError:  # gone before it began
            return
        finally:
            self._leave(connection)

    def _admit(self, scope: Scope) -> Session | Turned:
        """The session behind a handshake, or why it is turned away."""
        headers = {name: value for name, value in scope["headers"] if name in (b"authorization", b"origin")}
        if scope["path"] != PATH:
            return Turned(404, "not_found", "There is nothing here.")
        if self._closed:
            return Turned(503, "read_only", "The server is restarting. Try again in a moment.")
        offered: Any = scope.get("subprotocols", ())
        if SUBPROTOCOL not in offered:
            return Turned(400, "invalid", f"Ask for the subprotocol {SUBPROTOCOL}.")
        token = _bearer(headers.get(b"authorization"))
        if token is None:
            token = _cookie(value for name, value in scope["headers"] if name == b"cookie")
            if token is not None and headers.get(b"origin", b"") != self._origin.encode():
                return Turned(403, "forbidden", "This request came from another site.")
        session = None if token is None else self.database.read_now(sessions.authenticate, token)
        return session or Turned(401, "unauthenticated", "Sign in first.")

    def _enter(self, connection: Connection) -> None:
        older = self._by_device.get(connection.device)
        if older is not None:
            older.end("replaced")
        self._empty.clear()
        self._by_device[connection.device] = connection
        self._by_account.setdefault(connection.account, {})[connection.device] = connection

    def _leave(self, connection: Connection) -> None:
        if self._by_device.get(connection.device) is not connection:
            return  # a newer connection has taken its place
        del self._by_device[connection.device]
        if not self._by_device:
            self._empty.set()
        of_account = self._by_account[connection.account]
        del of_account[connection.device]
        if not of_account:
            del self._by_account[connection.account]

    @property
    def read_only(self) -> bool:
        """Whether nothing new is taken for want of disk space."""
        return self._disk is not None and self._disk.read_only

    def pace(self, account: str) -> Pace:
        """How fast this account may go; remembered beyond its connections, or reconnecting would reset it."""
        found = self._paces.get(account)
        if found is None:
            if len(self._paces) >= PACES:
                self._paces = {known: pace for known, pace in self._paces.items() if known in self._by_account}
            found = self._paces[account] = Pace(self.limits, asyncio.get_running_loop().time())
        return found

    def whisper(self, device: str, room: str, after_pos: int, body: bytes) -> None:
        """Hand an ephemeral message to a device, if it is connected."""
        connection = self._by_device.get(device)
        if connection is not None:
            connection.hold(room, after_pos, body)

    def submit(self, submission: Submission) -> None:
        """Put a message into the lane; `whose` is a future of its answer."""
        self.database.submit(self._messages, submission)

    def _deliver(self, done: Sequence[tuple[object, object]]) -> None:
        """What the lane did is durable: answer the senders, ring the others."""
        for item, outcome in done:
            if isinstance(item, Submission) and isinstance(item.whose, asyncio.Future) and not item.whose.done():
                if isinstance(outcome, Posted):
                    item.whose.set_result(outcome.answer)
                elif isinstance(outcome, BaseException):
                    item.whose.set_exception(outcome)
            if isinstance(outcome, Posted):
                for device in outcome.recipients:
                    self._on(device, Connection.ring)
                for signal in outcome.signals:
                    self.listener(signal)

    def listener(self, signal: object) -> None:
        """Registered on the database: rings whom a doorbell concerns."""
        match signal:
            case MailArrived(device=device):
                self._on(device, Connection.ring)
            case DeviceSignedOut(device=device):
                self._on(device, partial(Connection.end, code="signed_out"))
            case Delivered(room=room, room_pos=position, to_account=account):
                for connection in self._of(account):
                    connection.delivered(room, position)
            case Changed(account=account, what=what):
                if account in self._by_account:
                    later = random.uniform(*REQUEST_NOTICE_S) if what == "requests" else 0
                    asyncio.get_running_loop().call_later(later, self._notice, account, what)
            case _:
                pass

    def _on(self, device: str, do: Callable[[Connection], None]) -> None:
        connection = self._by_device.get(device)
        if connection is not None:
            do(connection)

    def _of(self, account: str) -> list[Connection]:
        return list(self._by_account.get(account, {}).values())

    def _notice(self, account: str, what: str) -> None:
        for connection in self._of(account):
            connection.notice(what)

    async def close(self) -> None:
        """Say BYE to everybody; no new streams."""
        self._closed = True
        for connection in list(self._by_device.values()):
            connection.end("restarting")
        if self._by_device:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), CLOSING_S)


def _bearer(authorization: bytes | None) -> str | None:
    if authorization is None or authorization[:7].lower() != b"bearer ":
        return None
    return authorization[7:].strip().decode("ascii", "replace")


def _cookie(headers: Iterable[bytes]) -> str | None:
    for header in headers:
        for part in header.decode("latin-1").split(";"):
            name, _, value = part.strip().partition("=")
            if name == COOKIE:
                return value
    return None


async def _turn_away(scope: Scope, send: Send, turned: Turned) -> None:
    """Answer the handshake with an HTTP error, where the server can."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008, "reason": None})
        return
    body = json.dumps({"error": {"code": turned.code, "message": turned.sentence}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    start: Any = {"type": "websocket.http.response.start", "status": HTTPStatus(turned.status), "headers": headers}
    await send(start)
    end: Any = {"type": "websocket.http.response.body", "body": body, "more_body": False}
    await send(end)
