"""A real server on a real socket, and devices that speak the stream to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from kith.app.serving import server_of
from kith.app.settings import Socket
from kith.app.stream import Hub
from kith.messaging.handshakes import Submitted
from kith.messaging.limits import DEFAULTS, Limits
from kith.people.server import ServerFacts
from kith.protocol import frames
from kith.protocol.frames import Accepted, Mail, Refused
from messaging.mls import HOST, Group, Phone
from messaging.town import Town

ORIGIN = f"https://{HOST}"
PATIENCE_S = 5.0


SOCKETS: list[Socket] = ["picows", "asgi"]


@contextlib.asynccontextmanager
async def serving(town: Town, limits: Limits = DEFAULTS, kind: Socket = "picows") -> AsyncIterator[tuple[Hub, str]]:
    """The hub over the town's database: `(hub, url)`."""
    server = ServerFacts(name=HOST, origin=ORIGIN, ticket_key=b"k" * 32, clock=town.clock)
    hub = Hub(town.database, server, town.keys, limits)
    town.database.listeners.append(hub.listener)
    sock = socket.create_server(("127.0.0.1", 0))
    uvicorn_server = server_of(hub, hub=hub, socket=kind)
    task = asyncio.create_task(uvicorn_server.serve(sockets=[sock]))
    while not uvicorn_server.started:  # noqa: ASYNC110  it rings no bell
        await asyncio.sleep(0.005)
    try:
        yield hub, f"ws://127.0.0.1:{sock.getsockname()[1]}/ws"
    finally:
        await hub.close()
        uvicorn_server.should_exit = True
        await task
        town.database.listeners.remove(hub.listener)


class Device:
    """A phone on line."""

    def __init__(self, socket_: ClientConnection, phone: Phone) -> None:
        self.socket, self.phone = socket_, phone
        self.seen: list[Any] = []

    async def next(self) -> Any:
        """The next frame of the server."""
        async with asyncio.timeout(PATIENCE_S):
            data = await self.socket.recv()
        assert isinstance(data, bytes)
        frame = frames.decode_server(data)
        self.seen.append(frame)
        return frame

    async def until(self, kind: type) -> Any:
        """The next frame of that kind; others are kept in `seen`."""
        while not isinstance(frame := await self.next(), kind):
            pass
        return frame

    async def put(self, frame: frames.ClientFrame) -> None:
        """Send a frame."""
        await self.socket.send(frames.encode(frame))

    async def submit(self, group: Group, key: bytes | None = None, body: bytes | None = None) -> bytes:
        """Send a message without waiting; its key."""
        key = key or os.urandom(16)
        await self.put(frames.Submit(key, group.room, body or group.message()))
        return key

    async def say(self, group: Group, key: bytes | None = None, body: bytes | None = None) -> Any:
        """Send a message and wait for its answer."""
        key = await self.submit(group, key, body)
        while True:
            frame = await self.next()
            if isinstance(frame, (Accepted, Refused)) and frame.key == key:
                return frame

    async def commit(self, room: str, submitted: Submitted) -> Any:
        """Send a commit and wait for its answer."""
        await self.put(frames.Commit(os.urandom(16), room, *submitted))
        while not isinstance(frame := await self.next(), (Accepted, Refused)):
            pass
        return frame

    async def ack(self, *mails: Mail) -> None:
        """Say that these are stored."""
        await self.put(frames.Ack(tuple(mail.mail_id for mail in mails)))

    async def silent(self, seconds: float = 0.2) -> bool:
        """Whether nothing comes for a while."""
        try:
            async with asyncio.timeout(seconds):
                self.seen.append(frames.decode_server(await self.socket.recv()))  # type: ignore[arg-type]
        except TimeoutError:
            return True
        return False


@contextlib.asynccontextmanager
async def online(url: str, town: Town, phone: Phone) -> AsyncIterator[Device]:
    """A phone that has heard HELLO."""
    headers = {"Authorization": f"Bearer {town.tokens[phone.device]}"}
    async with connect(
        url,
        additional_headers=headers,
        subprotocols=[Subprotocol("kith.v1")],
        compression=None,
        max_size=None,
    ) as socket_:
        device = Device(socket_, phone)
        hello = await device.next()
        assert isinstance(hello, frames.Hello)
        assert hello.device == phone.device
        yield device
