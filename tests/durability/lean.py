"""Lean devices over the real WebSocket: they submit, record every answer, store what comes, and may ack it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from durability.village import Member, Said, Village, said_in
from kith.protocol import frames

PATIENCE_S = 30.0
RETRY_S = 0.01
LONGEST_WAIT_MS = 1000
"""A refused submission is tried again after the time that the server asks for, but not after half a minute."""


@dataclass
class Diary:
    """What one device knows for certain: the proof is judged by it."""

    member: Member
    bodies: list[bytes] = field(default_factory=list)
    """Everything ever submitted, by number."""
    keys: list[bytes] = field(default_factory=list)
    accepted: dict[int, int] = field(default_factory=dict)
    """Number of a message to its position in the room."""
    received: dict[int, Said] = field(default_factory=dict)
    """Position in the room to what stood there."""
    faults: list[str] = field(default_factory=list)
    """What must never be seen, the moment that it was."""
    put_off: set[int] = field(default_factory=set)
    """Messages that were refused for a while: those behind them, sent already, may have been accepted first."""
    waiting: int = 0
    """How often the server said that it takes nothing new for now."""
    repeats: int = 0
    """Mails that came again and were recognised by their position."""

    def write(self, chance: random.Random, most: int) -> int:
        """A further message, of at most so many bytes of padding; its number."""
        number = len(self.bodies)
        self.bodies.append(self.member.message(number, chance, most=most))
        self.keys.append(chance.randbytes(16))
        return number

    @property
    def unanswered(self) -> list[int]:
        """Submitted, with no answer seen."""
        return [number for number in range(len(self.bodies)) if number not in self.accepted]

    def note_accepted(self, number: int, position: int) -> None:
        """An answer came."""
        before = self.accepted.setdefault(number, position)
        if before != position:
            self.faults.append(f"message {number} was accepted at {before} and again at {position}")

    def note_mail(self, position: int, said: Said) -> None:
        """A mail came."""
        if position in self.received:
            self.repeats += 1
        if self.received.setdefault(position, said) != said:
            self.faults.append(f"position {position} held {self.received[position]} and then {said}")


@dataclass
class Device:
    """One device on line."""

    diary: Diary
    chance: random.Random
    acks: bool = True
    window: int = 8
    """Submissions without an answer at a time."""
    say: int = 1_000_000
    """How many messages it has in all."""
    most: int = 600
    """Bytes of padding in a message."""
    patience: float = PATIENCE_S
    """Seconds without a frame after which a connection is given up."""
    resubmit: bool = True
    """Whether unanswered submissions are sent again on a new connection."""
    recording: Callable[[], bool] = lambda: True
    """False from the moment at which the fault begins: what comes later proves nothing."""
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def stay(self, url: str, until: Callable[[], bool] = lambda: False) -> None:
        """Connect, again and again, until that holds."""
        while not until():
            with contextlib.suppress(OSError, ConnectionClosed, InvalidHandshake, TimeoutError, EOFError):
                await self.visit(url, until)
            await asyncio.sleep(RETRY_S)

    def connected(self, url: str) -> connect:
        """A connection of this device, to be entered."""
        return connect(
            url,
            additional_headers={"Authorization": f"Bearer {self.diary.member.token}"},
            subprotocols=[Subprotocol("kith.v1")],
            compression=None,
            max_size=None,
            open_timeout=self.patience,
            close_timeout=0.2,
            ping_interval=None,
        )

    async def visit(self, url: str, until: Callable[[], bool] = lambda: False) -> None:
        """One connection, until it breaks or that holds."""
        async with self.connected(url) as socket:
            under_way: dict[bytes, int] = {}
            if self.resubmit:
                for number in self.diary.unanswered:
                    await self._submit(socket, number, under_way)
            repeated = set(under_way)
            last: dict[str, int] = {}
            while not until():
                while len(under_way) < self.window and len(self.diary.bodies) < self.say:
                    await self._submit(socket, self.diary.write(self.chance, self.most), under_way)
                await self._hear(socket, under_way, repeated, last)

    async def _submit(self, socket: ClientConnection, number: int, under_way: dict[bytes, int]) -> None:
        key = self.diary.keys[number]
        under_way[key] = number
        await socket.send(frames.encode(frames.Submit(key, self.diary.member.room, self.diary.bodies[number])))

    async def _hear(
        self, socket: ClientConnection, under_way: dict[bytes, int], repeated: set[bytes], last: dict[str, int]
    ) -> None:
        async with asyncio.timeout(self.patience):
            data = await socket.recv()
        if not self.recording():
            return
        assert isinstance(data, bytes)
        match frames.decode_server(data):
            case frames.Accepted(key=key, room_pos=position):
                number = under_way.pop(key, None)
                if number is not None:
                    self.diary.note_accepted(number, position)
                    if key not in repeated:  # a repeat gets the first answer, whose place may be long past
                        self._in_order(last, position)
            case frames.Refused(key=key, code="limited" | "read_only" as code, retry_after_ms=wait):
                self.diary.waiting += code == "read_only"
                self.diary.put_off.add(under_way[key])
                await asyncio.sleep(min(wait or 100, LONGEST_WAIT_MS) / 1000)
                await self._submit(socket, under_way[key], under_way)
            case frames.Refused() as refused:
                self.diary.faults.append(f"refused: {refused}")
            case frames.Mail(kind=frames.MESSAGE) as mail:
                self.diary.note_mail(mail.room_pos, said_in(mail.body))
                self._in_order(last, mail.room_pos)
                if self.acks:
                    await socket.send(frames.encode(frames.Ack((mail.mail_id,))))
            case _:
                pass
        self.heard.set()

    def _in_order(self, last: dict[str, int], position: int) -> None:
        """Answers and mail of a room come in the order of their positions, on each connection."""
        room = self.diary.member.room
        if position <= last.get(room, 0):
            self.diary.faults.append(f"position {position} came after {last[room]}")
        last[room] = max(position, last.get(room, 0))


def diaries(village: Village) -> dict[str, Diary]:
    """An empty diary for everybody."""
    return {member.device: Diary(member) for member in village.members}
