"""The connection to the stream: opens, keeps alive, opens again with jitter. Knows nothing about what frames mean."""

import asyncio
import contextlib
import random
import ssl
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException

from kith.protocol import frames
from kith.protocol.frames import Ack, Bye, ClientFrame, Hello, Ping, ServerFrame
from kith.protocol.wire import Malformed
from kith.sdk.api import is_loopback, trusted_authorities

FIRST_DELAY_S: Final = 0.4
LONGEST_DELAY_S: Final = 30.0
REPLACED_DELAY_S: Final = 5.0
"""Another connection of this device took over: wait, so that two of them do not chase each other."""
PING_EVERY_S: Final = 25.0
SILENCE_S: Final = 60.0
CONNECT_S: Final = 15.0
ACK_AFTER_S: Final = 0.02
SUBPROTOCOL: Final = "kith.v1"
_ENDED: Final = (401, 403)


def delay_s(failures: int) -> float:
    """Doubling from 0.4 s to 30 s, with jitter, so that a restarted server is not met by everybody at once."""
    base: float = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(max(failures - 1, 0), 10))
    return base * random.uniform(0.75, 1.25)


class Link:
    """Runs until `stop`; `heard` gets every frame but HELLO and BYE."""

    def __init__(
        self,
        origin: str,
        token: str,
        *,
        tls: ssl.SSLContext | None = None,
        heard: Callable[[ServerFrame], None],
        online: Callable[[bool], None],
        ended: Callable[[], None],
    ) -> None:
        parts = urlsplit(origin)
        self._url = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}/ws"
        self._local = is_loopback(parts.hostname)
        # The same trust as for HTTP: one certificate must not pass one door and fail at the other.
        self._tls = (tls or trusted_authorities()) if parts.scheme == "https" else None
        self._token = token
        self._heard, self._online, self._ended = heard, online, ended
        self._socket: ClientConnection | None = None
        self._ready = False
        self._acks: list[int] = []
        self._out: asyncio.Queue[ClientFrame] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        """Without the token."""
        return f"Link({self._url!r})"

    @property
    def ready(self) -> bool:
        """Whether HELLO was heard on the open connection."""
        return self._ready

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The task that runs the connection; its exception is a bug."""
        return self._task

    def start(self) -> None:
        """Begin connecting."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="kith stream")

    async def stop(self) -> None:
        """Close; acknowledgements that were due leave first."""
        if self._task is None:
            return
        if self._socket is not None and self._ready:
            with contextlib.suppress(ConnectionClosed):  # then the server sends that mail again
                for batch in self._due_acks():
                    await self._socket.send(frames.encode(batch))
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    def send(self, frame: ClientFrame) -> bool:
        """True when it will leave on this connection, unless that breaks."""
        if self._ready:
            self._out.put_nowait(frame)
        return self._ready

    def ack(self, mail_id: int) -> None:
        """Acknowledges soon, many at once. Call only for what is on disk."""
        if not mail_id or not self._ready:
            return
        if not self._acks:
            asyncio.get_running_loop().call_later(ACK_AFTER_S, self._queue_acks)
        self._acks.append(mail_id)

    def _queue_acks(self) -> None:
        for batch in self._due_acks():
            self._out.put_nowait(batch)

    def _due_acks(self) -> list[Ack]:
        due, self._acks = self._acks, []
        return [Ack(tuple(due[at : at + frames.MAX_ACKS])) for at in range(0, len(due), frames.MAX_ACKS)]

    async def _run(self) -> None:
        failures = 0
        while True:
            ended = ""
            try:
                async with asyncio.timeout(CONNECT_S):
                    socket = await self._connect()
                async with socket:
                    ended = await self._serve(socket)
            except InvalidStatus as error:
                if error.response.status_code in _ENDED:
                    self._ended()
                    return
            except (OSError, TimeoutError, ssl.SSLError, InvalidHandshake, WebSocketException, Malformed):
                pass  # counted below: the network is away, or this is not the server
            failures = 1 if self._ready else failures + 1
            self._down()
            if ended == "signed_out":
                self._ended()
                return
            await asyncio.sleep(REPLACED_DELAY_S if ended == "replaced" else delay_s(failures))

    async def _connect(self) -> ClientConnection:
        return await connect(
            self._url,
            additional_headers={"Authorization": f"Bearer {self._token}"},
            subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]  # a NewType of str
            max_size=frames.MAX_COMMIT_FRAME,
            ping_interval=None,  # the stream has its own
            compression=None,
            ssl=self._tls,
            proxy=None if self._local else True,
        )

    async def _serve(self, socket: ClientConnection) -> str:
        """Until the connection ends; why the server ended it, if it said so."""
        self._socket = socket
        helpers = [asyncio.create_task(self._writes(socket)), asyncio.create_task(self._pings())]
        try:
            while True:
                async with asyncio.timeout(SILENCE_S):
                    data = await socket.recv()
                frame = frames.decode_server(data if isinstance(data, bytes) else data.encode())
                if isinstance(frame, Bye):
                    return frame.code
                if isinstance(frame, Hello):
                    self._ready = True
                    self._online(True)
                elif not isinstance(frame, frames.Unknown):
                    self._heard(frame)
        except ConnectionClosed:
            return ""
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    async def _writes(self, socket: ClientConnection) -> None:
        try:
            while True:
                await socket.send(frames.encode(await self._out.get()))
        except ConnectionClosed:
            return  # the reader notices as well

    async def _pings(self) -> None:
        while True:
            await asyncio.sleep(PING_EVERY_S)
            self.send(Ping())

    def _down(self) -> None:
        self._socket = None
        self._acks.clear()
        self._out = asyncio.Queue()
        if self._ready:
            self._ready = False
            self._online(False)
