"""The people's port: HTTP whose headers and bodies must come in time, and a fast WebSocket on the same connection.

uvicorn parses the request; a handshake that is admitted is handed over to picows, which then owns the transport.
picows is given a minimal request of our own instead of the browser's: it knows `Connection: upgrade` only, and its
buffer is smaller than a browser's headers. uvicorn forgets a connection that it hands over, so `Handover` stays in its
list and is told when the server stops. Without picows (the setting `socket = "asgi"`, or the package is missing) the
same hub serves the same streams as an ASGI application.
"""

from __future__ import annotations

import asyncio
import json
import logging
import struct
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kith.app.connection import Connection
from kith.app.stream import CLOSING_S, SUBPROTOCOL, Hub, Turned
from kith.people.sessions import Session

try:
    from picows import WSAutoPingStrategy, WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest
    from picows import WSUpgradeResponse as Response
    from picows import WSUpgradeResponseWithListener as Upgraded
    from picows.picows import WSProtocol  # type: ignore[attr-defined]  # not public: pinned, and the hand-over is tested
except ImportError:  # pragma: no cover - the package is a dependency; a platform without a wheel goes without it
    AVAILABLE = False
else:
    AVAILABLE = True

log = structlog.get_logger("kith.sockets")

HEADERS_S: Final = 8.0
"""Seconds from the first byte (or from connecting) to the end of the headers, however they drip."""
BODY_S: Final = 30.0
"""Seconds from the headers to the end of the body: 64 KiB take that long on the worst of lines."""
BLOB_S: Final = 300.0
"""The same for a piece of an attachment: 4 MiB on a slow line. Its route says when octets stop coming at all."""
HEADER_CAP: Final = 16 * 1024
"""Bytes of a request before its headers are complete."""
MESSAGE_CAP: Final = 1024 * 1024 + 4096
"""Bytes of a WebSocket message; the stream narrows it to 80 KiB for all but commits."""
PIECES: Final = 1_024
"""Frames of one message: each costs its receiver more than its sender, and browsers send large ones."""
CONTROLS: Final = 500
"""Pings and pongs between two looks at a connection, of which an honest one sends a few."""
READ_BUFFER: Final = 4 * 1024
"""Initial read buffer of a connection: most frames fit, and an idle device costs little."""
ALIVE_S: Final = 25.0
"""A peer that has been silent for so long is pinged; silent for twice as long, it is gone."""

_SHORT, _MEDIUM, _LONG = 126, struct.Struct(">BBH"), struct.Struct(">BBQ")
_BINARY: Final = 0x82
"""The first byte of a whole binary message (RFC 6455 section 5.2)."""
_SILENT: Final = logging.LoggerAdapter(logging.getLogger("kith.picows"), {})
"""One for all: picows makes a logger per connection of a plain Logger."""
_SILENT.logger.setLevel(logging.CRITICAL)


class Punctual(HttpToolsProtocol):
    """uvicorn's HTTP connection with deadlines; `hub` takes WebSocket handshakes when there is one."""

    hub: Hub | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Headers are due from now on."""
        super().connection_made(transport)
        self._head: int | None = 0
        self._due = self.loop.call_later(HEADERS_S, self._cut, 408)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is due any more."""
        self._due.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; headers that never end are cut."""
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > HEADER_CAP:
                self._cut(431)

    def on_message_begin(self) -> None:
        """Another request begins: its headers are due."""
        super().on_message_begin()
        self._expect(HEADERS_S)
        self._head = 0

    def on_headers_complete(self) -> None:
        """The body is due."""
        self._head = None
        super().on_headers_complete()
        blob = self.scope["method"] == "PATCH" and self.scope.get("path", "").startswith("/api/v1/blobs/")
        self._expect(BLOB_S if blob else BODY_S)

    def on_message_complete(self) -> None:
        """All is there."""
        self._due.cancel()
        super().on_message_complete()

    def _expect(self, seconds: float) -> None:
        self._due.cancel()
        self._due = self.loop.call_later(seconds, self._cut, 408)

    def _cut(self, status: int) -> None:
        if not self.transport.is_closing():
            self.transport.write(_answer(status, "invalid", "The request did not come in time, or has no end."))
            self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        """Judge the real headers, then hand the connection over."""
        self._due.cancel()
        if self.hub is None:
            super().handle_websocket_upgrade()
            return
        path, _, _ = self.url.decode("latin-1").partition("?")
        offered = [name.strip() for value in self._values(b"sec-websocket-protocol") for name in value.split(",")]
        scope: Any = {"path": path, "headers": self.headers, "subprotocols": offered}
        session = self.hub.admit(scope)
        if not isinstance(session, Turned) and self.scope["method"] != "GET":
            session = Turned(400, "invalid", "A stream is opened with GET.")
        if isinstance(session, Turned):
            self.transport.write(_answer(*session))
            self.transport.close()
            return
        self.connections.discard(self)
        Handover(self.hub, session, self.connections).take(self.transport, self._minimal())

    def _values(self, wanted: bytes) -> list[str]:
        return [value.decode("latin-1") for name, value in self.headers if name == wanted]

    def _minimal(self) -> bytes:
        """The handshake with what matters of it (RFC 6455 section 4.2.1)."""
        key = "".join(self._values(b"sec-websocket-key")[:1])[:64]
        version = "".join(self._values(b"sec-websocket-version")[:1])[:8]
        lines = [
            "GET /ws HTTP/1.1",
            "Host: kith",
            "Connection: upgrade",
            "Upgrade: websocket",
            f"Sec-WebSocket-Key: {key}",
            f"Sec-WebSocket-Version: {version}",
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def punctual(hub: Hub | None) -> type[Punctual]:
    """The protocol class for a port; with a hub its streams run on picows."""
    return type("PunctualWithHub", (Punctual,), {"hub": hub})


def _answer(status: int, code: str, sentence: str) -> bytes:
    body = json.dumps({"error": {"code": code, "message": sentence}}).encode()
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def framed(messages: Sequence[bytes]) -> bytes:
    """Binary messages as a server sends them, one behind the other."""
    parts: list[bytes] = []
    for message in messages:
        size = len(message)
        if size < _SHORT:
            parts.append(bytes((_BINARY, size)))
        elif size < 1 << 16:
            parts.append(_MEDIUM.pack(_BINARY, _SHORT, size))
        else:
            parts.append(_LONG.pack(_BINARY, _SHORT + 1, size))
        parts.append(message)
    return b"".join(parts)


if AVAILABLE:

    class Handover(WSListener):
        """A stream on picows: the link under a connection, and what uvicorn remembers of it."""

        def __init__(self, hub: Hub, session: Session, connections: set[Any]) -> None:
            self._hub, self._session, self._connections = hub, session, connections
            self._loop = asyncio.get_running_loop()
            self._connection: Connection | None = None
            self._ws: WSTransport | None = None
            self._parts: list[bytes] = []
            self._parts_bytes = 0
            self._quiet = self._controls = 0
            self._timer: asyncio.TimerHandle | None = None
            self.full = False

        def take(self, transport: asyncio.Transport, request: bytes) -> None:
            """Answer the handshake and own the transport from now on."""
            protocol = WSProtocol(
                None,
                None,
                False,  # positional in picows: the server's side
                self._upgrade,
                _SILENT,
                True,  # disconnect when a listener raises
                HEADERS_S,
                False,  # pings are ours: picows would keep a task for each connection
                ALIVE_S,
                ALIVE_S,
                WSAutoPingStrategy.PING_WHEN_IDLE,
                False,  # pings are answered here, and only for who reads the answers
                MESSAGE_CAP,
                None,
                READ_BUFFER,
            )
            self._connections.add(self)
            protocol.connection_made(transport)
            transport.set_protocol(protocol)
            view = protocol.get_buffer(len(request))
            view[: len(request)] = request
            protocol.buffer_updated(len(request))
            if self._connection is None:  # picows refused the handshake and has said why
                self._connections.discard(self)

        def _upgrade(self, _: WSUpgradeRequest) -> Any:  # noqa: ANN401  picows' own type is an alias
            return Upgraded(Response.create_101_response({"Sec-WebSocket-Protocol": SUBPROTOCOL}), self)

        # what picows tells

        def on_ws_connected(self, transport: WSTransport) -> None:
            """The handshake is done."""
            self._ws = transport
            self._timer = self._loop.call_later(ALIVE_S, self._check)
            self._connection = self._hub.enter(self._session, self)

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            """Binary messages go on, whole or joined; a text message is none of ours."""
            self._quiet = 0
            connection, kind = self._connection, frame.msg_type
            if connection is None:
                return
            if kind == WSMsgType.BINARY and frame.fin and not self._parts and not _extended(frame):
                connection.received(frame.get_payload_as_bytes())
            elif kind == WSMsgType.CLOSE:
                if not transport.is_close_frame_sent:
                    transport.send_close(WSCloseCode.OK)
                transport.disconnect()
                connection.lost()
            elif kind in (WSMsgType.PING, WSMsgType.PONG):
                self._control(transport, connection, frame)
            elif _extended(frame) or kind not in (WSMsgType.BINARY, WSMsgType.CONTINUATION):
                connection.malformed()
            else:
                self._join(connection, frame)

        def _control(self, transport: WSTransport, connection: Connection, frame: WSFrame) -> None:
            """Answer a ping (RFC 6455 section 5.5.2 lets go of all but the latest), if its sender reads."""
            self._controls += 1
            if self._controls > CONTROLS:
                connection.end("slow")
            elif frame.msg_type == WSMsgType.PING and not self.full and not transport.is_close_frame_sent:
                transport.send_pong(frame.get_payload_as_bytes() if frame.payload_size else b"")

        def _join(self, connection: Connection, frame: WSFrame) -> None:
            """Browsers send large messages in several frames (RFC 6455 section 5.4)."""
            if (frame.msg_type == WSMsgType.CONTINUATION) != bool(self._parts):
                connection.malformed()
                return
            self._parts.append(frame.get_payload_as_bytes() if frame.payload_size else b"")
            self._parts_bytes += frame.payload_size
            if self._parts_bytes > MESSAGE_CAP or len(self._parts) > PIECES:
                self._parts, self._parts_bytes = [], 0
                self._say_close(1009)
                connection.end("")
            elif frame.fin:
                whole, self._parts, self._parts_bytes = b"".join(self._parts), [], 0
                connection.received(whole)

        def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002  picows' signature
            """The connection is gone."""
            if self._timer is not None:
                self._timer.cancel()
            self._connections.discard(self)
            if self._connection is not None:
                self._connection.lost()

        def pause_writing(self) -> None:
            """The socket takes no more."""
            self.full = True

        def resume_writing(self) -> None:
            """It does again."""
            self.full = False
            if self._connection is not None:
                self._connection.writable()

        # what the connection asks

        def write(self, messages: Sequence[bytes]) -> None:
            """One write for all."""
            if self._ws is not None and not self._ws.is_disconnected and not self._ws.is_close_frame_sent:
                self._ws.underlying_transport.write(framed(messages))

        def stop_reading(self) -> None:
            """Leave it in the kernel's buffer."""
            self._on_transport("pause_reading")

        def go_on_reading(self) -> None:
            """Read again."""
            self._on_transport("resume_reading")

        def _on_transport(self, what: str) -> None:
            if self._ws is not None and not self._ws.underlying_transport.is_closing():
                getattr(self._ws.underlying_transport, what)()

        def close(self, code: int) -> None:
            """Close behind what is written; cut after a second, whether or not the other side agrees."""
            self._say_close(code)
            self.go_on_reading()
            self._loop.call_later(CLOSING_S / 2, self._abort)

        def _say_close(self, code: int) -> None:
            if self._ws is not None and not self._ws.is_disconnected and not self._ws.is_close_frame_sent:
                self._ws.send_close(WSCloseCode(code))

        def _abort(self) -> None:
            if self._ws is not None and not self._ws.is_disconnected:
                self._ws.underlying_transport.abort()

        def shutdown(self) -> None:
            """The server stops."""
            if self._connection is not None:
                self._connection.end("")

        def _check(self) -> None:
            """Ping who has been silent, cut who stays so."""
            self._quiet += 1
            self._controls = 0
            self._timer = self._loop.call_later(ALIVE_S, self._check)
            if self._quiet > 2:  # noqa: PLR2004  one round of silence, one of waiting for the pong
                self._abort()
            elif self._quiet == 2 and self._ws is not None and not self._ws.is_close_frame_sent:  # noqa: PLR2004
                self._ws.send_ping(b"")

    def _extended(frame: WSFrame) -> bool:
        return bool(frame.rsv1 or frame.rsv2 or frame.rsv3)


__all__ = ["AVAILABLE", "Punctual", "framed", "punctual"]
