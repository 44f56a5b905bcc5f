"""Requests that never end: cut in time, whoever they come from, while others are served."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import pytest

from kith.app import sockets
from kith.app.serving import listening, server_of
from kith.app.stream import Hub
from kith.people import sessions
from kith.people.server import ServerFacts
from messaging.conftest import Pair
from messaging.mls import HOST
from messaging.town import Town
from messaging.wire import ORIGIN, SOCKETS, online, serving

Writer = asyncio.StreamWriter
Attack = Callable[[Writer], Coroutine[Any, Any, None]]


async def drip(writer: Writer) -> None:
    """A header line now and then."""
    writer.write(b"GET / HTTP/1.1\r\nHost: kith\r\n")
    for number in range(1_000):
        writer.write(b"X-%d: y\r\n" % number)
        await writer.drain()
        await asyncio.sleep(0.02)


async def nothing(_: Writer) -> None:
    """Only connected."""


async def half(writer: Writer) -> None:
    """A request whose headers stop in the middle."""
    writer.write(b"GET / HTTP/1.1\r\nHost: ki")
    await writer.drain()


async def half_body(writer: Writer) -> None:
    """Headers are whole, the body is not."""
    writer.write(b"POST /api/v1/age HTTP/1.1\r\nHost: kith\r\nContent-Length: 60000\r\n\r\n{")
    await writer.drain()


async def endless(writer: Writer) -> None:
    """One header that has no end."""
    writer.write(b"GET / HTTP/1.1\r\nHost: kith\r\nX-Long: ")
    for _ in range(1_000):
        writer.write(b"y" * 1_024)
        await writer.drain()
        await asyncio.sleep(0)


async def upgrade_drip(writer: Writer) -> None:
    """A handshake that does not get on."""
    writer.write(b"GET /ws HTTP/1.1\r\nHost: kith\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n")
    await drip(writer)


def cut_off(town: Town, pair: Pair, attack: Attack, kind: str) -> bool:
    """Whether the server closes the attacker's connection, while a stream goes on."""

    async def run() -> bool:
        async with serving(town, kind=kind) as (_, url), asyncio.timeout(30):  # type: ignore[arg-type]  # one of SOCKETS
            port = urlsplit(url).port
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            attacking = asyncio.create_task(attack(writer))
            async with online(url, town, pair.ana) as ana:
                assert (await ana.say(pair.group)).room_seq
                try:
                    async with asyncio.timeout(3):
                        with contextlib.suppress(ConnectionError):
                            while await reader.read(4_096):
                                pass
                        return True
                except TimeoutError:
                    return False
                finally:
                    attacking.cancel()
                    writer.close()
                    await asyncio.gather(attacking, return_exceptions=True)

    return asyncio.run(run())


@pytest.mark.parametrize("kind", SOCKETS)
@pytest.mark.parametrize("attack", [nothing, half, drip, upgrade_drip, half_body, endless])
def test_what_never_ends_is_cut(
    town: Town, pair: Pair, attack: Attack, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a deadline that every further byte leaves where it is, or by its size."""
    monkeypatch.setattr(sockets, "HEADERS_S", 0.3)
    monkeypatch.setattr(sockets, "BODY_S", 0.3)
    assert cut_off(town, pair, attack, kind)


def test_without_the_deadline_a_dripping_request_stays(town: Town, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same attack holds its connection when nothing is due."""
    monkeypatch.setattr(sockets, "HEADERS_S", 600.0)
    assert not cut_off(town, pair, drip, "picows")


async def reads_for_ever(_: Any, receive: Any, __: Any) -> None:
    """An application that waits for the whole body."""
    while (await receive())["type"] == "http.request":
        pass


async def cut_in_the_body(line: bytes) -> bool:
    """Whether a request that stops in the middle of its body is cut within a moment."""
    sock = listening("127.0.0.1", 0)
    server = server_of(reads_for_ever)
    serving_it = asyncio.create_task(server.serve(sockets=[sock]))
    while not server.started:  # noqa: ASYNC110 - it has nothing to wait on
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection("127.0.0.1", sock.getsockname()[1])
    writer.write(line + b"\r\nHost: kith\r\nContent-Length: 60000\r\n\r\n{")
    try:
        async with asyncio.timeout(2):
            return (await reader.read(12)).startswith(b"HTTP/1.1 408")
    except TimeoutError:
        return False
    finally:
        writer.close()
        server.should_exit = True
        await serving_it


def test_a_piece_of_an_attachment_may_take_longer_than_other_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four megabytes on a slow line, for this one call; its own deadline holds."""
    monkeypatch.setattr(sockets, "BODY_S", 0.3)
    assert asyncio.run(cut_in_the_body(b"PATCH /api/v1/me HTTP/1.1"))
    assert asyncio.run(cut_in_the_body(b"POST /api/v1/blobs HTTP/1.1"))
    assert not asyncio.run(cut_in_the_body(b"PATCH /api/v1/blobs/x HTTP/1.1"))
    monkeypatch.setattr(sockets, "BLOB_S", 0.3)
    assert asyncio.run(cut_in_the_body(b"PATCH /api/v1/blobs/x HTTP/1.1"))


def test_headers_are_due_within_ten_seconds() -> None:
    """The numbers in force."""
    assert sockets.HEADERS_S <= 10
    assert sockets.AVAILABLE


def test_headers_as_browsers_send_them_open_a_stream(town: Town, pair: Pair) -> None:
    """Firefox's `keep-alive, Upgrade`, six kilobytes of cookies, and another case of every name."""
    key, cookie = "dGhlIHNhbXBsZSBub25jZQ==", "c=" + "x" * 6_000
    request = (
        f"GET /ws HTTP/1.1\r\nhost: kith\r\nCONNECTION: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
        f"Cookie: {cookie}\r\n"
        f"Sec-WebSocket-Version: 13\r\nsec-websocket-key: {key}\r\nSec-WebSocket-Protocol: other, kith.v1\r\n"
        f"Sec-WebSocket-Extensions: permessage-deflate\r\nAuthorization: Bearer {town.tokens[pair.ana.device]}\r\n\r\n"
    )

    async def story(hub: Hub, url: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        writer.write(request.encode())
        head = await reader.readuntil(b"\r\n\r\n")
        hello = await reader.read(2)
        assert hello[0] == 0x82
        assert hub.connected == 1
        writer.close()
        while hub.connected:  # noqa: ASYNC110  nobody rings
            await asyncio.sleep(0.02)
        return head

    async def run() -> bytes:
        async with serving(town) as (hub, url), asyncio.timeout(30):
            return await story(hub, url)

    head = asyncio.run(run()).lower()
    assert b" 101 " in head
    assert b"s3pplmbitxaq9kygzzhzrbk+xoo=" in head
    assert b"sec-websocket-protocol: kith.v1" in head
    assert b"extensions" not in head


def test_frames_are_put_together_as_the_standard_says() -> None:
    """Lengths at the edges of the three forms (RFC 6455 section 5.2)."""
    for size, head in ((0, b"\x82\0"), (125, b"\x82\x7d"), (126, b"\x82\x7e\0\x7e"), (65_535, b"\x82\x7e\xff\xff")):
        assert sockets.framed([bytes(size)]) == head + bytes(size)
    assert sockets.framed([bytes(65_536)]) == b"\x82\x7f" + (65_536).to_bytes(8, "big") + bytes(65_536)
    assert sockets.framed([b"a", b"b"]) == b"\x82\1a\x82\1b"


def masked(kind: int, payload: bytes = b"", *, last: bool = True) -> bytes:
    """A client's frame, masked with zeros."""
    head = bytes(((0x80 if last else 0) | kind, 0x80 | len(payload)))
    return head + bytes(4) + payload


async def opened(town: Town, pair: Pair, url: str) -> tuple[asyncio.StreamReader, Writer]:
    """A raw stream whose handshake is done."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)  # so that little fits into the kernel's buffers
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", urlsplit(url).port))
    reader, writer = await asyncio.open_connection(sock=sock)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: kith\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: kith.v1\r\n"
        b"Authorization: Bearer " + town.tokens[pair.ana.device].encode() + b"\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def test_pongs_do_not_pile_up_for_who_reads_nothing(town: Town, pair: Pair) -> None:
    """Whoever pings and does not read would otherwise fill the server's memory with answers."""

    async def story(hub: Hub, url: str) -> int:
        _, writer = await opened(town, pair, url)
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # asyncio's own transports have it
        link: Any = hub._by_device[pair.ana.device]._link
        largest, flood = 0, masked(9, b"p" * 125) * 500
        for _ in range(200):  # 13 MB
            if writer.transport.is_closing() or link._ws.is_disconnected or largest > 1024 * 1024:
                break
            writer.write(flood)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            largest = max(largest, link._ws.underlying_transport.get_write_buffer_size())
        writer.close()
        return largest

    async def run() -> int:
        async with serving(town) as (hub, url), asyncio.timeout(60):
            return await story(hub, url)

    assert asyncio.run(run()) < 1024 * 1024


def test_a_message_in_very_many_pieces_ends_its_stream(town: Town, pair: Pair) -> None:
    """Empty pieces cost their sender six bytes each; a browser sends large pieces, and few."""

    async def run() -> tuple[int, bytes]:
        async with serving(town) as (hub, url), asyncio.timeout(60):
            reader, writer = await opened(town, pair, url)
            link: Any = hub._by_device[pair.ana.device]._link
            writer.write(masked(2, last=False) + masked(0, last=False) * 4_000)
            rest = b""
            with contextlib.suppress(ConnectionError):
                rest = await reader.read()
            writer.close()
            return len(link._parts), rest

    kept, rest = asyncio.run(run())
    assert kept <= 1_024 + 1
    assert b"\x03\xf1" in rest  # 1009, too large


def test_a_sign_out_during_the_handshake_ends_the_stream(town: Town, pair: Pair) -> None:
    """Where the upgrade waits for the other side, the session is looked at again when it is done."""

    async def run() -> tuple[int, list[str]]:
        server = ServerFacts(name=HOST, origin=ORIGIN, ticket_key=b"k" * 32, clock=town.clock)
        hub = Hub(town.database, server, town.keys)
        town.database.listeners.append(hub.listener)
        sent: list[str] = []
        told: asyncio.Queue[Any] = asyncio.Queue()
        told.put_nowait({"type": "websocket.connect"})

        async def send(message: Any) -> None:
            sent.append(message["type"])
            if message["type"] == "websocket.accept":
                town.do(sessions.destroy, pair.ana.account, pair.ana.device)

        token = town.tokens[pair.ana.device].encode()
        scope: Any = {
            "type": "websocket",
            "path": "/ws",
            "headers": [(b"authorization", b"Bearer " + token)],
            "subprotocols": ["kith.v1"],
        }
        serving_ = asyncio.create_task(hub(scope, told.get, send))
        await asyncio.wait([serving_], timeout=3)
        open_ = hub.connected
        told.put_nowait({"type": "websocket.disconnect"})
        await serving_
        town.database.listeners.remove(hub.listener)
        return open_, sent

    assert asyncio.run(run()) == (0, ["websocket.accept", "websocket.close"])
