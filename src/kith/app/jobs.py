"""What runs beside requests: rooms that react to the ledger from their own cursor, and timed chores."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import structlog

from kith.ledger import failstop
from kith.ledger import log as ledger
from kith.ledger.database import Database, Tx
from kith.ledger.log import Recorded
from kith.ledger.signals import Appended

log = structlog.get_logger("kith.jobs")

BATCH = 200
"""Events that a reader deals with in one flow."""
IDLE_S = 1.0
"""A reader looks again at least this often, should a doorbell be lost."""
BACK_OFF_S = 5.0
"""After a failure a reader stands still this long; its cursor has not moved."""


class Reaction(NamedTuple):
    """A room's reader of the ledger."""

    reader: str
    react: Callable[[Tx, Recorded], None]


class Chore(NamedTuple):
    """Something done every so often."""

    name: str
    every_s: float
    do: Callable[[], Awaitable[object]]


def advance(tx: Tx, reaction: Reaction) -> int:
    """React to the next events and move the cursor, all in one transaction; how many there were."""
    batch = ledger.read_from(tx, ledger.cursor_of(tx, reaction.reader), BATCH)
    for recorded in batch:
        reaction.react(tx, recorded)
    if batch:
        ledger.move_cursor(tx, reaction.reader, batch[-1].position)
    return len(batch)


class Jobs:
    """Starts and stops everything that runs by itself."""

    def __init__(self, database: Database, reactions: Sequence[Reaction], chores: Sequence[Chore]) -> None:
        self._database = database
        self._reactions = reactions
        self._chores = chores
        self._bells = [asyncio.Event() for _ in reactions]
        self._tasks: list[asyncio.Task[None]] = []

    def listener(self, signal: object) -> None:
        """Registered on the database: wakes the readers."""
        if isinstance(signal, Appended):
            for bell in self._bells:
                bell.set()

    def start(self) -> None:
        """Begin; needs a running loop."""
        for reaction, bell in zip(self._reactions, self._bells, strict=True):
            self._tasks.append(asyncio.create_task(self._read(reaction, bell), name=reaction.reader))
        for chore in self._chores:
            self._tasks.append(asyncio.create_task(self._repeat(chore), name=chore.name))

    async def stop(self) -> None:
        """Stop everything; what was under way in a flow is durable or undone."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _read(self, reaction: Reaction, bell: asyncio.Event) -> None:
        while True:
            bell.clear()
            try:
                while await self._database.write(advance, reaction) == BATCH:
                    pass
            except Exception as error:
                self._stop_if_disk(error)
                log.error("reader-failed", reader=reaction.reader, exc_info=error)
                await asyncio.sleep(BACK_OFF_S)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(bell.wait(), IDLE_S)

    async def _repeat(self, chore: Chore) -> None:
        while True:
            try:
                await chore.do()
            except Exception as error:
                self._stop_if_disk(error)
                log.error("chore-failed", chore=chore.name, exc_info=error)
            await asyncio.sleep(chore.every_s)

    def _stop_if_disk(self, error: Exception) -> None:
        """A chore that could not write a file (a key, an audit head) met the disk that the database lies on."""
        if failstop.is_disk(error):
            self._database.fail(error)
