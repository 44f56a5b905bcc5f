"""Synthetic people on the SDK, and waiting for what they hear."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from kith.sdk import Client, Cost, Message, PackageLimits, Request, Room

T = TypeVar("T")
PASSWORD = "a boat with seven lamps"
PASSPHRASE = "correct horse battery staple"
CHEAP = Cost(memory_kib=8 * 1024, passes=1, lanes=1)
FEW = PackageLimits(first=5, refill_below=3, full=6, batch=3)
WAIT_S = 20.0
_numbers = itertools.count()


@dataclass
class Meeting:
    """Where people sign up: `async with meeting.client("ann") as ann: await meeting.join(ann, "ann")`."""

    origin: str
    folder: Path

    def client(self, name: str) -> Client:
        """A client with the store of that name."""
        return Client(self.folder / f"{name}.kith", PASSPHRASE, packages=FEW, cost=CHEAP)

    def handle(self, name: str) -> str:
        """A handle that nobody has yet."""
        return f"{name}.{next(_numbers)}"

    async def join(self, client: Client, name: str, born: tuple[int, int] = (1990, 5)) -> str:
        """Sign up; the recovery code."""
        return await client.sign_up(
            self.origin, handle=self.handle(name), password=PASSWORD, born=born, display_name=name.title()
        )


async def eventually(ask: Callable[[], Awaitable[T | None]], what: str, within_s: float = WAIT_S) -> T:
    """The first answer that is not None."""
    async with asyncio.timeout(within_s):
        while True:
            answer = await ask()
            if answer is not None:
                return answer
            await asyncio.sleep(0.05)
    raise AssertionError(what)


async def asked_by(client: Client, handle: str) -> Request:
    """The request from that handle, once it is there."""

    async def look() -> Request | None:
        return next((one for one in await client.requests() if one.handle == handle), None)

    return await eventually(look, f"a request from {handle}")


async def next_message(client: Client) -> Message:
    """The next message of somebody else, and handled."""
    async with asyncio.timeout(WAIT_S):
        return await client.next_message()


async def introduce(one: Client, other: Client, first: str = "Hello!") -> tuple[Room, Room]:
    """`one` asks, `other` accepts and reads the first message; the room of each."""
    await one.request(other.handle, first)
    room = await (await asked_by(other, one.handle)).accept()
    message = await next_message(other)
    assert message.text == first
    return one.room(room.id), room
