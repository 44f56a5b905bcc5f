"""The demo's town: all townspeople in one process, each with a client and a store of her own, over the public API.

`python -m kith.app.demo.town ORIGIN FOLDER`. Tells the house what happens on stdout (`telling`), logs on stderr, and
ends when stdin does, so that it never outlives the house that started it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
import secrets
import sys
from pathlib import Path

import msgspec

from kith.app.demo.neighbour import Neighbour, TooLateError
from kith.app.demo.story import STORY, Step, Town
from kith.app.demo.telling import Expects, Progress, Ready, Told, line
from kith.app.demo.townspeople import TOWNSPEOPLE, Townsperson
from kith.sdk import Client, Cost, KithError, PackageLimits

MOVING_AT_ONCE = 3
TRIES = 3
AGAIN_S = 5.0
FEW = PackageLimits(first=10, refill_below=5, full=20)
"""A town of many people needs few key packages each: nobody is away for long."""
CHEAP = Cost(memory_kib=8, passes=1, lanes=1)
"""Stretching protects a passphrase that can be guessed. The town's is 256 random bits, so the least that Argon2 takes
loses nothing, and fifteen stores open at once instead of in several seconds and 64 MiB each."""

log = logging.getLogger("kith.town")


class Memory(msgspec.Struct):
    """What is remembered between runs beside the stores: secrets of synthetic people, and what was told already."""

    passwords: str
    passphrase: str
    codes: dict[str, str]
    """recovery codes by handle"""
    done: list[str]
    """ids of steps"""

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Memory({len(self.done)} steps done)"


class LiveTown:
    """One life of the town."""

    def __init__(self, origin: str, folder: Path) -> None:
        self._origin, self._folder = origin, folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = folder / "memory.json"
        self._memory = self._remembered()
        self._people: dict[str, Neighbour] = {}
        self._everybody = asyncio.Event()

    def _remembered(self) -> Memory:
        if self._file.is_file():
            return msgspec.json.decode(self._file.read_bytes(), type=Memory)
        return Memory(secrets.token_urlsafe(16), secrets.token_urlsafe(32), {}, [])

    def _remember(self) -> None:
        fresh = self._file.with_suffix(".new")
        with open(fresh, "wb", opener=_for_nobody_else) as file:
            file.write(msgspec.json.encode(self._memory))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._file)

    async def live(self) -> None:
        """Everybody comes online and is there for visitors; then the story is told. Cancelled, all leave at once."""
        self._remember()
        async with asyncio.TaskGroup() as lives:
            door = asyncio.Semaphore(MOVING_AT_ONCE)
            for who in TOWNSPEOPLE:
                lives.create_task(self._lives(who, door))
            await self._everybody.wait()
            await self.tell_story()

    async def _lives(self, who: Townsperson, door: asyncio.Semaphore) -> None:
        store = self._folder / f"{who.handle}.kith"
        async with Client(store, self._memory.passphrase, packages=FEW, cost=CHEAP) as client:
            neighbour = Neighbour(who, client)
            async with door:
                await self._comes_online(neighbour)
            await neighbour.live()

    async def _comes_online(self, neighbour: Neighbour) -> None:
        who = neighbour.who
        password, code = f"{who.handle}-{self._memory.passwords}", self._memory.codes.get(who.handle)
        new = await neighbour.come_online(self._origin, password, _born(who.age), code)
        if new is not None:
            self._memory.codes[who.handle] = new
            self._remember()
        self._people[who.handle] = neighbour
        _tell(Progress("moving", len(self._people), len(TOWNSPEOPLE)))
        if len(self._people) == len(TOWNSPEOPLE):
            self._everybody.set()

    async def tell_story(self) -> None:
        """What was not told yet."""
        town = Town(self._people, lambda asker, asked: _tell(Expects(asker, asked)))
        for number, step in enumerate(STORY, 1):
            if step.id not in self._memory.done:
                await self._once(step, town)
                _tell(Progress("story", number, len(STORY)))
        _tell(Ready())

    async def _once(self, step: Step, town: Town) -> None:
        """A step that fails is tried again and then left out: one missing scene is better than no town."""
        for left in range(TRIES, 0, -1):
            try:
                await step.happens(town)
            except (KithError, TooLateError) as error:
                log.warning("%s: %s", step.id, error)
                if left > 1:
                    await asyncio.sleep(AGAIN_S)
            else:
                self._memory.done.append(step.id)
                return self._remember()
        return None


def _for_nobody_else(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _born(age: int) -> tuple[int, int]:
    """Year and month of a birth: somebody of this age, six months after a birthday."""
    today = dt.datetime.now(dt.UTC)
    months = today.year * 12 + today.month - 1 - age * 12 - 6
    return months // 12, months % 12 + 1


def _tell(told: Told) -> None:
    sys.stdout.buffer.write(line(told))
    sys.stdout.buffer.flush()


async def _house_is_gone() -> None:
    """Until stdin ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(1024):
        pass


async def main(origin: str, folder: Path) -> None:
    """Live until the house is gone; what goes wrong is raised."""
    living = asyncio.create_task(LiveTown(origin, folder).live())
    leaving = asyncio.create_task(_house_is_gone())
    await asyncio.wait((living, leaving), return_when=asyncio.FIRST_COMPLETED)
    if living.done():
        return living.result()
    living.cancel()
    await asyncio.gather(living, return_exceptions=True)
    return None


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    if len(sys.argv) != 3:  # noqa: PLR2004  itself, origin, folder
        sys.exit("usage: python -m kith.app.demo.town ORIGIN FOLDER")
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
