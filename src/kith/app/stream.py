"""`/ws`: who may open a stream, which devices are connected, and whom a doorbell concerns.

Token and Origin are judged before the upgrade. A device has one connection; a newer one replaces the older. Doorbells
(`ledger.signals`) only wake connections: what is sent is read from the mailbox, so losing one loses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple

import structlog
from litestar.types import Receive, Scope, Send

from kith.app.connection import CLOSE_CODES, Connection, Link, Pace
from kith.app.disk import Disk
from kith.ledger.database import Database
from kith.ledger.signals import Changed, Delivered, DeviceSignedOut, MailArrived
from kith.messaging.flows.delivery import Franker
from kith.messaging.flows.delivery import Hub as Franking
from kith.messaging.flows.lane import Mailed, Messages, Posted, Receipt, Submission
from kith.messaging.limits import DEFAULTS, Limits
from kith.messaging.outcomes import Accepted
from kith.people import sessions
from kith.people.server import ServerFacts
from kith.people.sessions import COOKIE, Session
from kith.protocol import frames
from kith.protocol.frames import MESSAGE
from kith.protocol.franking import SUITE

log = structlog.get_logger("kith.stream")

PATH = "/ws"
SUBPROTOCOL = "kith.v1"
REQUEST_NOTICE_S = (0.2, 0.8)
"""A request rings after a while by chance, so that its sender cannot time whether somebody was rung."""
CLOSING_S = 2.0
BUFFERED = 64 * 1024
"""Bytes that may wait in a link before its reader counts as slow."""
PACES = 10_000
"""Accounts whose pace is remembered before it is asked which of them have used nothing of it lately."""


class Turned(NamedTuple):
    """A handshake that is refused: status and sentence."""

    status: int
    code: str
    sentence: str


class AsgiLink:
    """An ASGI WebSocket as a link: a bounded queue and a task that empties it, because its `send` waits."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._queue: deque[bytes | int] = deque()
        self._bytes = 0
        self._wake, self._may_read = asyncio.Event(), asyncio.Event()
        self._may_read.set()
        self._over = asyncio.Event()

    @property
    def full(self) -> bool:
        """Whether the reader is slow."""
        return self._bytes > BUFFERED

    def write(self, messages: Sequence[bytes]) -> None:
        """Queue."""
        self._queue.extend(messages)
        self._bytes += sum(map(len, messages))
        self._wake.set()

    def stop_reading(self) -> None:
        """Receive no more."""
        self._may_read.clear()

    def go_on_reading(self) -> None:
        """Receive again."""
        self._may_read.set()

    def close(self, code: int) -> None:
        """Close behind what is queued, if that can be sent in time."""
        self._queue.append(code)
        self._wake.set()
        self._may_read.set()
        asyncio.get_running_loop().call_later(CLOSING_S / 2, self._over.set)

    async def run(self, connection: Connection) -> None:
        """Serve until either side closed."""
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(part(connection)) for part in (self._read_all, self._write_all)]
        over = loop.create_task(self._over.wait())
        await asyncio.wait([tasks[0], over], return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, over):
            task.cancel()
        await asyncio.gather(*tasks, over, return_exceptions=True)
        connection.lost()

    async def _read_all(self, connection: Connection) -> None:
        while True:
            await self._may_read.wait()
            event = await self._receive()
            if event["type"] == "websocket.disconnect":
                return
            data = event.get("bytes")
            if isinstance(data, bytes):
                connection.received(data)
            else:
                connection.malformed()

    async def _write_all(self, connection: Connection) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # the other side closed first
            while True:
                self._wake.clear()
                while self._queue:
                    await self._write_one(self._queue.popleft(), connection)
                await self._wake.wait()

    async def _write_one(self, what: bytes | int, connection: Connection) -> None:
        if isinstance(what, int):
            await self._send({"type": "websocket.close", "code": what, "reason": None})
            return
        await self._send({"type": "websocket.send", "bytes": what, "text": None})
        was_full = self.full
        self._bytes -= len(what)
        if was_full and not self.full:
            connection.writable()


class Hub:
    """Every open stream of this process."""

    def __init__(
        self,
        database: Database,
        server: ServerFacts,
        franker: Franker,
        limits: Limits = DEFAULTS,
        *,
        disk: Disk | None = None,
        missed: Callable[[str, str, str], None] | None = None,
        came: Callable[[str], None] | None = None,
    ) -> None:
        self._missed, self._came = missed or _nothing, came or _nothing
        self.database = database
        self._disk = disk
        self.limits = limits
        self.franking = Franking(server.name, franker)
        self._origin = server.origin
        self._by_device: dict[str, Connection] = {}
        self._by_account: dict[str, dict[str, Connection]] = {}
        self._paces: dict[str, Pace] = {}
        self._paces_before_looking = PACES
        self._messages = Messages(self.franking, self._deliver, limits)
        database.open_lane(self._messages)
        self._closed = False
        self._empty = asyncio.Event()
        self._leaving: set[int] = set()
        self._rung: list[Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def has(self, device: str) -> bool:
        """Whether this device is connected."""
        return device in self._by_device

    @property
    def connected(self) -> int:
        """How many streams are open."""
        return len(self._by_device)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI endpoint."""
        await receive()  # websocket.connect
        session = self.admit(scope)
        if isinstance(session, Turned):
            await _turn_away(scope, send, session)
            return
        try:
            await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL, "headers": []})
        except OSError:  # gone before it began
            return
        if isinstance(self.admit(scope), Turned):  # signed out while the upgrade waited: nobody would have been told
            await send({"type": "websocket.close", "code": CLOSE_CODES["signed_out"], "reason": None})
            return
        link = AsgiLink(receive, send)
        await link.run(self.enter(session, link))

    def admit(self, scope: Scope) -> Session | Turned:
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

    def enter(self, session: Session, link: Link) -> Connection:
        """Begin the stream of a device whose handshake is done; an older one of it ends."""
        older = self._by_device.get(session.device)
        if older is not None:
            older.end("replaced")
        connection = Connection(self, session, link)
        self._empty.clear()
        self._by_device[connection.device] = connection
        self._by_account.setdefault(connection.account, {})[connection.device] = connection
        if sessions.is_stale(session, self.database.now()):
            task = asyncio.get_running_loop().create_task(self.database.write(sessions.seen, session.device))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._came(connection.device)
        connection.start()
        return connection

    def left(self, connection: Connection) -> None:
        """This connection is over."""
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
            now = asyncio.get_running_loop().time()
            if len(self._paces) >= self._paces_before_looking:
                self._forget_paces(now)
            found = self._paces[account] = Pace(self.limits, now)
        return found

    def _forget_paces(self, now: float) -> None:
        """Only those that say nothing: whoever has many accounts must not make the others' forgotten by them.

        The slowest part of a pace is full again after minutes, so what stays is who was active so lately.
        """
        keep = self._by_account
        self._paces = {who: pace for who, pace in self._paces.items() if who in keep or not pace.unused(now)}
        self._paces_before_looking = max(PACES, 2 * len(self._paces))

    def whisper(self, device: str, room: str, after_pos: int, body: bytes) -> None:
        """Hand an ephemeral message to a device, if it is connected."""
        connection = self._by_device.get(device)
        if connection is not None:
            connection.hold(room, after_pos, body)

    @property
    def server(self) -> str:
        """The server's name."""
        return self.franking.server

    def submit(self, submission: Submission) -> None:
        """Put a message into the lane; `whose`, a connection, is told."""
        self.database.submit(self._messages, submission)

    def received(self, receipt: Receipt) -> None:
        """These mails may leave the mailbox with the next batch."""
        self._leaving.update(mailed.mail for mailed in receipt.mails)
        self.database.ride(self._messages, receipt)

    def is_received(self, mail: int) -> bool:
        """Whether this mail is about to leave the mailbox: a device that connects anew is not sent it again."""
        return mail in self._leaving

    def _deliver(self, done: Sequence[tuple[object, object]]) -> None:
        """What the lane did is durable, or failed. One connection's trouble must not cost the others anything."""
        for item, outcome in done:
            try:
                self._hand_over(item, outcome)
            except Exception as bug:
                log.error("delivery-bug", exc_info=bug)
        self._flush()

    def _hand_over(self, item: object, outcome: object) -> None:
        if isinstance(item, Receipt):
            self._leaving.difference_update(mailed.mail for mailed in item.mails)
        elif isinstance(item, Submission) and isinstance(outcome, (Posted, BaseException)):
            if isinstance(outcome, Posted):
                self._push(item, outcome)
                for signal in outcome.signals:
                    self.listener(signal)
            if isinstance(item.whose, Connection):
                item.whose.answered(item, outcome)

    def _push(self, item: Submission, posted: Posted) -> None:
        """Hand a message to those of its devices that are connected; its frame is put together once for all."""
        answer, message, tail = posted.answer, item.message, b""
        for at, device in enumerate(posted.recipients):
            connection = self._by_device.get(device)
            if not isinstance(answer, Accepted):
                continue
            if connection is None:
                self._missed(device, message.room, item.sender.account)
                continue
            tail = tail or frames.mail_tail(MESSAGE, message.room, answer.room_pos, message.body, _frank(answer))
            mailed = Mailed(posted.first_mail + at, MESSAGE, message.room, answer.room_pos)
            try:
                connection.deliver(mailed, tail)
            except Exception as bug:  # noqa: BLE001  logged there; the others go on
                self._drop(connection, bug)

    def rung(self, connection: Connection) -> None:
        """Have this connection flushed at the end of the loop's turn."""
        if not self._rung:
            asyncio.get_running_loop().call_soon(self._flush)
        self._rung.append(connection)

    def _flush(self) -> None:
        rung, self._rung = self._rung, []
        for connection in rung:
            try:
                connection.flush()
            except Exception as bug:  # noqa: BLE001  logged there; the others go on
                self._drop(connection, bug)

    def _drop(self, connection: Connection, bug: Exception) -> None:
        """Without a word, which might break again: the device comes back and finds everything in its mailbox."""
        if not isinstance(bug, OSError):
            log.error("stream-bug", device=connection.device, exc_info=bug)
        connection.end("")

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


def _nothing(*_: str) -> None:
    """Nobody is to be woken."""


def _frank(answer: Accepted) -> frames.Frank | None:
    number, key, mac, proof = answer.room_seq, answer.hub_key_id, answer.server_frank, answer.proof
    if number is None or key is None or mac is None or proof is None:
        return None
    return frames.Frank(answer.timestamp, number, key, mac, SUITE, proof)


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
