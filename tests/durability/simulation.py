"""Deterministic simulation of delivery: the real stream, flows and SQLite in virtual time on a misbehaving network.

    python tests/durability/simulation.py --seeds 1000000 --jobs 2 [--first N] [--plant lost-dedupe]

One seed expands to everything: people, messages, commits that race, delays, duplicates, broken and half-open
connections, partitions, slow readers, crashes, clock jumps, and how long an fsync takes. What a crash leaves of the
database is what the simulated disk has synced: SQLite's log up to the last sync, and of a commit that was under way
any part. First everything goes wrong, then nothing does, and all must arrive within a bounded virtual time.

The same seed gives the same trace, in every process: time, randomness, the order of tasks and the number of turns that
work takes come from the seed alone (`deterministic`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import hashlib
import itertools
import math
import os
import random
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Never
from unittest import mock

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]

import apsw

from durability import mounts
from durability.village import Member, Said, Village, furnish, said_in
from kith.app import stream
from kith.app.stream import PATH, SUBPROTOCOL, Hub
from kith.ledger import database as ledger_database
from kith.ledger.database import Database
from kith.messaging.flows import delivery
from kith.messaging.handshakes import Submitted
from kith.messaging.limits import DEFAULTS
from kith.people.server import ServerFacts
from kith.protocol import frames
from messaging.mls import HOST, Group, Phone
from messaging.town import START, Clock, OneKey, Town, projectors

FAULTS_S = 20.0
"""Virtual seconds in which things go wrong."""
DRAIN_S = 240.0
"""Virtual seconds in which everything must have arrived once nothing goes wrong any more."""
TICK = 1e-5
HALF = 5_000
HALF_S = 120.0
"""Half of the dose of `make test` ends at whichever comes first, and says how many seeds it was."""
ENOUGH = 200
"""Fewer seeds than that prove nothing, on however slow a machine."""
MAX_COMMITS = 2


# --- the prepared town ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """A commit that may be made on a state of the group: by whom, what, and the state after it."""

    submitted: Submitted
    after: Group


class Stage:
    """Two rooms that every seed begins with, and the commits that its devices may make."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "kith.db"
        self.log = f"{self.path}-wal"
        """Where SQLite writes: the file itself stays as it is here, and every life begins with a log."""
        self.keys = OneKey()
        self.projectors = projectors()
        groups: dict[str, Group] = {}
        chance = random.Random(0)  # ids decide orders: they must be the same in every process

        class Watched(Town):
            def group(self, room: str, by: Phone, *others: Phone) -> Group:
                groups[room] = super().group(room, by, *others)
                return groups[room]

        clock = Clock()
        database = Database(self.path, self.projectors, clock=clock)
        database.create_tables()
        town = Watched(database, clock, keys=self.keys)
        with replaced(*drawn_from(chance)):
            first, second = furnish(town, 1, 3), furnish_more(town)
        self.village = Village({**first.rooms, **second.rooms})
        self.groups = groups
        self._steps: dict[int, dict[str, Step]] = {}
        database.close_now()
        self._untouched = self.path.stat().st_mtime_ns

    def steps(self, group: Group) -> dict[str, Step]:
        """The commit of each device on this state of a group, made once for all seeds."""
        if id(group) not in self._steps:  # groups are kept, so that no other has its id
            with replaced(*drawn_from(random.Random(f"{group.room} {group.epoch}"))):
                self._steps[id(group)] = {phone.device: Step(*group.commit(phone)) for phone in group.states}
        return self._steps[id(group)]

    def lay(self, log: bytes) -> None:
        """The disk as a crash left it."""
        with open(self.log, "wb") as file:  # noqa: PTH123  some thousand times
            file.write(log)

    def clear(self) -> None:
        """After the life of a process: its files go, and the next one finds only what is laid."""
        for name in (self.log, f"{self.path}-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)  # noqa: PTH108  some thousand times
        assert self.path.stat().st_mtime_ns == self._untouched, "a checkpoint wrote to what all seeds share"


def furnish_more(town: Town) -> Village:
    """A second room, of two people with one device each, under other names."""
    names = iter(("cay", "dan"))
    person = town.person
    with mock.patch.object(town, "person", side_effect=lambda _: person(next(names))):
        return furnish(town, 1, 2)


@contextlib.contextmanager
def replaced(*names: tuple[Any, str, Any]) -> Iterator[None]:
    """Attributes changed for a while: as `mock.patch`, at a tenth of its cost."""
    before = [getattr(owner, name) for owner, name, _ in names]
    for owner, name, value in names:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for (owner, name, _), value in zip(names, before, strict=True):
            setattr(owner, name, value)


def drawn_from(chance: random.Random) -> list[tuple[Any, str, Any]]:
    """Ids and keys by chance come from the seed, because ids decide orders."""
    return [
        (os, "urandom", chance.randbytes),
        (secrets, "token_bytes", chance.randbytes),
        (secrets, "token_urlsafe", lambda size: chance.randbytes(size).hex()),
    ]


# --- the disk -------------------------------------------------------------------------------------


class Disk:
    """Runs commits. Durable is only what was synced; `eager` answers before that, which is a planted bug."""

    def __init__(self, world: World, *, eager: bool) -> None:
        self._world, self._eager = world, eager
        self._under_way: Callable[[], object] | None = None
        self.synced = 0
        """Bytes of the log that a crash leaves."""

    async def run(self, work: Callable[[], Any]) -> object:
        """A commit, in virtual time: nobody sees its effects before it is durable, as with SQLite's FULL."""
        chance = self._world.chance
        takes = chance.choice((0.0005, 0.002, 0.002, 0.02, 0.3)) * chance.random()
        if self._eager:
            answer = work()
            asyncio.get_running_loop().call_later(takes + 0.05, self._sync, self._world.life)
            return answer
        self._under_way = work
        await asyncio.sleep(takes + TICK)
        self._under_way = None
        answer = work()
        self._sync(self._world.life)
        return answer

    def _sync(self, life: int) -> None:
        if life == self._world.life:
            self.synced = self._size()

    def what_is_left(self) -> bytes:
        """The log after a crash at this moment; a commit that was under way may be there whole, in part, or not."""
        keep, chance = self.synced, self._world.chance
        if self._under_way is not None and chance.random() < 0.7:
            self._under_way()
            keep = chance.choice((self._size(), chance.randint(keep, self._size())))
        self._under_way = None
        with open(self._world.stage.log, "rb") as log:  # noqa: PTH123  some thousand times
            return log.read(keep)

    def _size(self) -> int:
        return os.stat(self._world.stage.log).st_size  # noqa: PTH116  some thousand times


class Numbered(asyncio.Task[Any]):
    """A task with a number for its hash: sets of tasks have the same order in every run."""

    def __init__(self, number: int, work: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> None:
        self._number = number
        super().__init__(work, loop=loop)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.BaseEventLoop):
    """Virtual time: when nothing is left to do, it is the time of the next timer, exactly.

    What the server gives to a thread runs here, through the simulated disk.
    """

    disk: Disk | None = None
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[Numbered] = []
        """In the order in which they began."""
        self._now, self._made = 0.0, 0
        self._clock_resolution = 1e-12
        self._selector = self

    def time(self) -> float:
        """Seconds since the seed began."""
        return self._now

    def select(self, seconds: float | None) -> list[Never]:
        """There are no sockets to wait for."""
        if seconds != 0:
            self._now = self._scheduled[0].when()  # an IndexError here: nothing will ever happen again
        return []

    def _process_events(self, _: list[Never]) -> None:
        """There are none."""

    def create_task(self, coro: Any, **_: object) -> Any:
        """Numbered."""
        self._made += 1
        task = Numbered(self._made, coro, self)
        self.tasks.append(task)
        return task

    async def run_in_executor(  # type: ignore[override]  # whoever calls it awaits it
        self, _executor: object, func: Callable[..., Any], *args: Any
    ) -> Any:
        """No threads: the same seed must give the same run."""
        if self.disk is None or getattr(func, "__self__", None) is not self.disk._world.database:
            return func(*args)
        return await self.disk.run(lambda: func(*args))


# --- the network ----------------------------------------------------------------------------------


class Wire:
    """One connection: two directions, each in order, each with delays of its own."""

    def __init__(self, world: World, delay: float, buffer: int) -> None:
        self._world, self._delay, self._buffer = world, delay, buffer
        self._loop = asyncio.get_running_loop()
        self._to_server: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._to_client: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._last = {True: 0.0, False: 0.0}
        self._flying = 0
        self._drained = asyncio.Event()
        self._said_hello = False
        self.client_gone = self.server_gone = False

    def _later(self, up: bool, put: Callable[[bytes | None], None], data: bytes | None) -> None:
        at = max(self._last[up] + TICK, self._loop.time() + self._delay * self._world.chance.random())
        self._last[up] = at
        self._loop.call_at(at, put, data)

    # the device's end

    def put(self, frame: frames.ClientFrame) -> None:
        """Send; what is sent into a broken connection is lost without a word."""
        if not self.client_gone:
            self._later(True, self._to_server.put_nowait, frames.encode(frame))

    async def get(self) -> object:
        """The next frame of the server; None when the connection is gone."""
        data = await self._to_client.get()
        self._flying -= 1
        self._drained.set()
        return None if data is None or self.client_gone else frames.decode_server(data)

    def cut(self, *, half_open: bool) -> None:
        """The device's end is gone; the server learns of it, late, or never when half open. What flies still lands."""
        self.client_gone = True
        self._to_client.put_nowait(None)
        if not half_open:
            self._later(True, self._to_server.put_nowait, None)
            self._loop.call_later(self._delay, self._die)

    def _die(self) -> None:
        self.server_gone = True
        self._drained.set()

    def server_died(self) -> None:
        """The process at the other end is gone, and so is what it had not handed to the network."""
        self.server_gone = True
        self._later(False, self._to_client.put_nowait, None)

    # the server's end: ASGI

    async def receive(self) -> dict[str, Any]:
        """As uvicorn calls it."""
        if not self._said_hello:
            self._said_hello = True
            return {"type": "websocket.connect"}
        data = await self._to_server.get()
        return {"type": "websocket.disconnect"} if data is None else {"type": "websocket.receive", "bytes": data}

    async def send(self, event: Any) -> None:
        """As uvicorn calls it; waits for a slow reader."""
        while self._flying >= self._buffer and not self.server_gone:
            self._drained.clear()
            await self._drained.wait()
        if self.server_gone:
            raise OSError("the connection is gone")
        if event["type"] == "websocket.send":
            self._flying += 1
            self._later(False, self._to_client.put_nowait, event["bytes"])
        elif event["type"] == "websocket.close":
            self._later(False, self._to_client.put_nowait, None)


def epoch_in(body: bytes) -> int:
    """The epoch in the head of a PrivateMessage: behind version, format and the group's id."""
    return int.from_bytes(body[21:29])


# --- a device -------------------------------------------------------------------------------------


@dataclass
class Entry:
    """Something to be accepted: a message, or a commit when `step` is there."""

    number: int
    key: bytes
    epoch: int
    body: bytes = b""
    step: Step | None = None
    refused: bool = False
    """Its epoch has passed: it goes out again, under a new key, when the next one is known."""
    went_on: Wire | None = None
    """The connection on which it last went out under this key."""


class Device:
    """A correct client that meets everything: it repeats what was not answered, and knows a mail by its position."""

    def __init__(self, world: World, member: Member, index: int, chance: random.Random) -> None:
        self.world, self.member, self.index, self.chance = world, member, index, chance
        self.group = world.stage.groups[member.room]
        self.wire: Wire | None = None
        self.pending: deque[Entry] = deque()
        self.spoken = 0
        self.accepted: dict[bytes, int] = {}
        self.places: dict[int, tuple[object, object]] = {}
        """What stands at each position, as far as this device knows."""
        self.times: dict[int, int] = {}
        self.newest_mail = 0
        self.unapplied: list[bytes] = []
        """Commits that were heard before the one on which they build."""
        self.last_on_wire = 0
        self.known_before: set[bytes] = set()
        """Keys that went out on an earlier connection: their answers may come late."""
        self.slow = chance.random() < 0.15

    # speaking

    async def speak(self, messages: int, commits: int) -> None:
        """Say so much at times by chance, and try to commit."""
        turns = ["say"] * messages + ["commit"] * commits
        self.chance.shuffle(turns)
        for turn in turns:
            await asyncio.sleep(self.chance.choice((0.0, 0.01, 1.0, 5.0)) * self.chance.random())
            if turn == "say":
                self.pending.append(self._entry())
                self.spoken += 1
            elif self.group.epoch < 1 + MAX_COMMITS and not any(entry.step for entry in self.pending):
                step = self.world.stage.steps(self.group)[self.member.device]
                self.pending.append(Entry(-1, self._key(), self.group.epoch, step=step))
            else:
                continue
            self._send(self.pending[-1])

    def _entry(self) -> Entry:
        return Entry(self.spoken, self._key(), self.group.epoch, self._body(self.spoken))

    def _key(self) -> bytes:
        return self.chance.randbytes(16)

    def _body(self, number: int) -> bytes:
        return self.member.message(number, self.chance, self.group.epoch, 200)

    def _send(self, entry: Entry) -> None:
        """Send in order: nothing goes before what waits for an epoch, or for what stands before it."""
        before = list(self.pending)[: list(self.pending).index(entry)]
        if self.wire is None or entry.refused or any(self._holds_up(other, entry) for other in before):
            return
        entry.went_on = self.wire
        if entry.step is not None:
            frame: frames.ClientFrame = frames.Commit(entry.key, self.member.room, *entry.step.submitted)
        else:
            frame = frames.Submit(entry.key, self.member.room, entry.body)
        for _ in range(2 if self.chance.random() < self.world.doubling else 1):
            self.wire.put(frame)

    def _holds_up(self, earlier: Entry, entry: Entry) -> bool:
        return earlier.refused or earlier.epoch != entry.epoch or earlier.went_on is not self.wire

    def _send_held_up(self) -> None:
        for entry in list(self.pending):
            if entry.went_on is not self.wire:
                self._send(entry)

    def _send_all(self) -> None:
        for entry in list(self.pending):
            self._send(entry)

    # connecting

    async def live(self) -> None:
        """On line, off line, on line again, for ever."""
        while True:
            wire = self.world.connect(self)
            if wire is None:
                await asyncio.sleep(0.05 + self.chance.random())
                continue
            self.wire, self.last_on_wire = wire, 0
            self.known_before = {entry.key for entry in self.pending}
            breaker = asyncio.get_running_loop().call_later(self._patience(), self._break)
            self._send_all()
            while (frame := await wire.get()) is not None:
                if self.slow and self.world.faulty:
                    await asyncio.sleep(0.5 * self.chance.random())
                self.hear(frame)
            breaker.cancel()
            self.wire = None
            wire.cut(half_open=False)
            await asyncio.sleep(0.02 + self.chance.random() * (1.0 if self.world.faulty else 0.1))

    def _patience(self) -> float:
        """When this connection breaks."""
        if not self.world.faulty or self.chance.random() > self.world.breaking:
            return 60.0 + 30 * self.chance.random()  # also finds half-open connections, as a PING would
        return self.chance.choice((0.02, 0.5, 5.0)) * self.chance.random()

    def _break(self) -> None:
        if self.wire is not None:
            self.wire.cut(half_open=self.world.faulty and self.chance.random() < 0.3)

    # hearing

    def hear(self, frame: object) -> None:
        """One frame."""
        match frame:
            case frames.Accepted():
                self._hear_accepted(frame)
            case frames.Refused():
                self._hear_refused(frame)
            case frames.Mail(kind=frames.MESSAGE):
                assert frame.frank is not None
                self.times[frame.room_pos] = frame.frank.accepted_timestamp
                self._hear_mail(frame, (said_in(frame.body), epoch_in(frame.body)))
            case frames.Mail(kind=frames.COMMIT):
                self._hear_mail(frame, ("commit", frame.body))
            case _:
                pass

    def _hear_accepted(self, frame: frames.Accepted) -> None:
        world, position = self.world, frame.room_pos
        world.note(self, "accepted", position)
        if frame.key in self.accepted:
            world.demand(self.accepted[frame.key] == position, f"{self.index}: one key, two places")
            return
        entry = next((one for one in self.pending if one.key == frame.key), None)
        if entry is None:
            world.blame(f"{self.index}: an answer to what was refused or never asked")
            return
        self.pending.remove(entry)
        self.accepted[frame.key] = position
        self.times[position] = frame.timestamp
        if entry.step is None:
            self._stands(position, (Said(self.member.device, entry.number), entry.epoch))
        else:
            self._stands(position, ("commit", entry.step.submitted.commit))
            self._advance(entry.step.submitted.commit)
        self._on_wire(position, fresh=frame.key not in self.known_before)
        self._send_held_up()

    def _hear_refused(self, frame: frames.Refused) -> None:
        self.world.note(self, "refused", 0)
        entry = next((one for one in self.pending if one.key == frame.key), None)
        if entry is None:
            return  # a duplicate of one that was dealt with
        if frame.code == "limited":
            asyncio.get_running_loop().call_later((frame.retry_after_ms or 10) / 1000, self._send_all)
        elif frame.code == "wrong_epoch" and entry.step is not None:
            self.pending.remove(entry)
            self._send_all()
        elif frame.code == "epoch_too_old" and entry.step is None:
            entry.refused = True
            self._renew()
        else:
            self.world.blame(f"{self.index}: refused {frame.code} {frame.details}")

    def _hear_mail(self, frame: frames.Mail, what: tuple[object, object]) -> None:
        self.world.note(self, "mail", frame.room_pos)
        new = frame.room_pos not in self.places
        if new:
            self.world.demand(frame.room_pos > self.newest_mail, f"{self.index}: {frame.room_pos} became visible late")
            self.newest_mail = max(self.newest_mail, frame.room_pos)
        self._stands(frame.room_pos, what)
        self._on_wire(frame.room_pos, fresh=True)
        if new and frame.kind == frames.COMMIT:
            self._advance(frame.body)
        if self.wire is not None and not (self.world.faulty and self.chance.random() < self.world.forgetting):
            self.wire.put(frames.Ack((frame.mail_id,)))

    def _on_wire(self, position: int, *, fresh: bool) -> None:
        if fresh:
            self.world.demand(position > self.last_on_wire, f"{self.index}: {position} behind {self.last_on_wire}")
            self.last_on_wire = max(position, self.last_on_wire)

    def _stands(self, position: int, what: tuple[object, object]) -> None:
        known = self.places.setdefault(position, what)
        self.world.demand(known == what, f"{self.index}: {position} held {known}, then {what}")

    def _advance(self, commit: bytes) -> None:
        self.unapplied.append(commit)  # one may come before the answer to an own one on which it builds
        while found := self._next_step():
            self.unapplied.remove(found.submitted.commit)
            self.group = found.after
        self._renew()

    def _next_step(self) -> Step | None:
        if not self.unapplied:
            return None
        steps = self.world.stage.steps(self.group).values()
        return next((step for step in steps if step.submitted.commit in self.unapplied), None)

    def _renew(self) -> None:
        """What was refused for its epoch is said again in the new one, in its order."""
        for entry in self.pending:
            if entry.refused and entry.epoch < self.group.epoch:
                entry.key, entry.epoch, entry.refused = self._key(), self.group.epoch, False
                entry.body, entry.went_on = self._body(entry.number), None
        self._send_all()


def _is_ours(callback: object) -> bool:
    return type(getattr(callback, "__self__", None)).__module__.startswith("kith.")


# --- the world ------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What one seed came to."""

    seed: int
    trace: str = ""
    messages: int = 0
    commits: int = 0
    crashes: int = 0
    virtual_s: float = 0.0
    faults: list[str] = field(default_factory=list)


class World:
    """Everything that one seed decides, running."""

    def __init__(self, stage: Stage, seed: int, plant: str) -> None:
        self.stage, self.outcome, self.plant = stage, Outcome(seed), plant
        self.chance = chance = random.Random(seed)
        self.faulty = True
        self.breaking = chance.choice((0.0, 0.3, 0.8))
        self.doubling = chance.choice((0.0, 0.2))
        self.forgetting = chance.choice((0.0, 0.3))
        self.delay = chance.choice((0.001, 0.05, 0.5))
        self.buffer = chance.choice((1, 4, 1000))
        self.limits = replace(
            DEFAULTS,
            mail_in_flight=chance.choice((2, 256)),
            submits_in_flight=chance.choice((1, 3, 32)),
            ack_timeout_ms=chance.choice((2_000, 120_000)),
            send_timeout_ms=chance.choice((1_000, 20_000)),
        )
        self.batch_s = chance.choice((0.0, 1e9))
        self.offset_ms = 0
        self.partitioned: set[int] = set()
        self.up = False
        self.life = 0
        self.wires: list[Wire] = []
        self.own: set[asyncio.Task[Any]] = set()
        """Tasks of the simulation; all others are the server's, and end with it."""
        self._trace = hashlib.sha256()
        self.numbers = random.Random(chance.random())
        """For the server: whatever it draws by itself."""
        self.disk = Disk(self, eager=plant == "ack-before-fsync")
        rooms = list(stage.village.rooms.items())
        chosen = dict(rooms[:2] if chance.random() < 0.3 else [chance.choice(rooms)])
        self.village = Village(chosen)

    # what happens

    async def run(self) -> None:
        """Faults, then none, then the judgement."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.loop = loop
        loop.disk = self.disk
        loop.set_exception_handler(self._unhandled)
        self.begin(b"")
        self.devices = [
            Device(self, member, index, random.Random(self.chance.random()))
            for index, member in enumerate(self.village.members)
        ]
        racing = self.chance.random() < 0.15
        tasks = [asyncio.create_task(device.live()) for device in self.devices]
        speaking = [
            asyncio.create_task(device.speak(self.chance.randint(0, 5), int(racing and device.index < 3)))
            for device in self.devices
        ]
        trouble = [asyncio.create_task(self._crash_now_and_then()), asyncio.create_task(self._partition())]
        self.own = {*tasks, *speaking, *trouble}
        if (here := asyncio.current_task()) is not None:
            self.own.add(here)
        await asyncio.sleep(FAULTS_S * self.chance.random())
        for task in trouble:
            task.cancel()
        await asyncio.gather(*trouble, return_exceptions=True)
        self.faulty, self.partitioned = False, set()
        if not self.up:
            self.begin(self.left)
        until = loop.time() + DRAIN_S
        while not (all(task.done() for task in speaking) and not self._missing()):
            if loop.time() > until:
                self.blame(f"stuck: {self._missing()}")
                break
            await asyncio.sleep(0.25)
        self.outcome.virtual_s = loop.time()
        self.judge()
        for task in (*tasks, *speaking):
            task.cancel()
        self.crash()
        await asyncio.gather(*self._of_the_server(), return_exceptions=True)
        await asyncio.gather(*tasks, *speaking, return_exceptions=True)
        for task in speaking:
            if not task.cancelled() and task.exception() is not None:
                raise AssertionError(f"seed {self.outcome.seed}: the simulation broke") from task.exception()

    async def _crash_now_and_then(self) -> None:
        for _ in range(self.chance.choice((0, 1, 1, 3))):
            await asyncio.sleep(self.chance.choice((0.2, 3.0, FAULTS_S)) * self.chance.random())
            self.offset_ms += self.chance.choice((0, 0, -2, 40)) * 86_400_000
            self.crash()
            await asyncio.sleep(self.chance.random())
            self.begin(self.left)

    async def _partition(self) -> None:
        if self.chance.random() < 0.3:
            await asyncio.sleep(3 * self.chance.random())
            self.partitioned = {device.index for device in self.devices if self.chance.random() < 0.5}
            for device in self.devices:
                if device.index in self.partitioned and device.wire is not None:
                    device.wire.cut(half_open=True)

    def begin(self, log: bytes) -> None:
        """Start the server on what the disk holds."""
        self.life += 1
        self._trace.update(f"{len(log)} bytes are left\n".encode())
        self.stage.lay(log)
        self.disk.synced = len(log)
        self.database = Database(
            self.stage.path,
            self.stage.projectors,
            clock=self._clock,
            on_failure=partial(self._storage_failed, self.life),
        )
        for connection in (self.database._writer, self.database._reader):
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        if self.plant in TRIGGERS:
            self.database._writer.execute(TRIGGERS[self.plant])
        server = ServerFacts(name=HOST, origin=f"https://{HOST}", ticket_key=b"k" * 32, clock=self._clock)
        self.hub = Hub(self.database, server, self.stage.keys, self.limits)
        self.database.listeners.append(self.hub.listener)
        self.up = True

    def crash(self) -> None:
        """The process ends at this moment, and the power with it."""
        if not self.up:
            return
        self.up = False
        self.outcome.crashes += self.faulty
        for wire in self.wires:
            wire.server_died()
        for task in self._of_the_server():
            task.cancel()
        for timer in self.loop._scheduled:  # a dead process has no timers
            if _is_ours(getattr(timer, "_callback", None)):
                timer.cancel()
        self.left = self.disk.what_is_left()
        self.life += 1
        if self.database._writer.in_transaction:
            self.database._writer.execute("ROLLBACK")
        self.database.close_now()
        self.stage.clear()
        self.wires = []

    def _of_the_server(self) -> list[Numbered]:
        self.loop.tasks = [task for task in self.loop.tasks if not task.done()]
        return [task for task in self.loop.tasks if task not in self.own]

    def connect(self, device: Device) -> Wire | None:
        """A new connection, None when there is no way to the server."""
        if not self.up or device.index in self.partitioned:
            return None
        wire = Wire(self, self.delay if self.faulty else 0.001, self.buffer if device.slow else 1000)
        scope: Any = {
            "type": "websocket",
            "path": PATH,
            "headers": [(b"authorization", f"Bearer {device.member.token}".encode())],
            "subprotocols": [SUBPROTOCOL],
            "extensions": {},
        }
        call = asyncio.create_task(self.hub(scope, wire.receive, wire.send))  # type: ignore[arg-type]  # ASGI dicts
        call.add_done_callback(self._ended)
        self.wires.append(wire)
        return wire

    def _ended(self, call: asyncio.Task[None]) -> None:
        if not call.cancelled() and call.exception() is not None:
            self.blame(f"the stream broke: {call.exception()!r}")

    def _unhandled(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A timer of a server that has crashed may find its database closed; anything else is a bug."""
        failure = context.get("exception")
        if not isinstance(failure, apsw.ConnectionClosedError | apsw.CursorClosedError):
            self.blame(f"unhandled: {context.get('message')} {failure!r}")

    def _storage_failed(self, life: int, failure: BaseException) -> None:
        self.demand(life != self.life, f"the storage failed: {failure!r}")

    def _clock(self) -> int:
        return START + self.offset_ms + int(asyncio.get_running_loop().time() * 1000)

    # what must hold

    def note(self, device: Device, what: str, position: int) -> None:
        """The trace: the same seed gives the same one."""
        self._trace.update(f"{asyncio.get_running_loop().time():.5f} {device.index} {what} {position}\n".encode())

    def demand(self, holds: bool, otherwise: str) -> None:
        """An invariant."""
        if not holds:
            self.blame(otherwise)

    def blame(self, fault: str) -> None:
        """Something that must not be."""
        self.outcome.faults.append(fault)

    def _peers(self, device: Device) -> list[Device]:
        return [other for other in self.devices if other.member.room == device.member.room]

    def _missing(self) -> list[str]:
        missing = []
        for device in self.devices:
            known = set().union(*(other.places for other in self._peers(device)))
            if device.pending or known - device.places.keys():
                missing.append(
                    f"{device.index}: unanswered {len(device.pending)}, lacks {known - device.places.keys()}"
                )
        return missing

    def judge(self) -> None:
        """At the end: once each, in order, without gaps, every message in its epoch, time never backwards."""
        self.outcome.trace = self._trace.hexdigest()[:16]
        self.outcome.messages = sum(device.spoken for device in self.devices)
        for device in self.devices:
            self._judge(device)

    def _judge(self, device: Device) -> None:
        positions = sorted(device.places)
        self.demand(positions == list(range(2, len(positions) + 2)), f"{device.index}: gaps {positions}")
        times = [device.times[position] for position in positions if position in device.times]
        self.demand(times == sorted(times), f"{device.index}: time ran backwards")
        numbers: dict[str, list[int]] = {}
        epoch = 1
        for position in positions:
            what, number = device.places[position]
            if isinstance(what, Said):
                numbers.setdefault(what.device, []).append(what.number)
                self.demand(number == epoch, f"{device.index}: {position} is of epoch {number} in epoch {epoch}")
            else:
                epoch += 1
                self.outcome.commits += device.index == 0
        self.demand(device.group.epoch == epoch, f"{device.index}: in epoch {device.group.epoch}, there were {epoch}")
        for other in self.village.rooms[device.member.room]:
            spoken = next(one.spoken for one in self.devices if one.member.device == other.device)
            heard = numbers.get(other.device, [])
            self.demand(heard == list(range(spoken)), f"{device.index}: of {spoken} messages came {heard}")


# --- planted bugs ---------------------------------------------------------------------------------

TRIGGERS = {
    "lost-dedupe": "CREATE TEMP TRIGGER planted AFTER INSERT ON main.answers "
    "BEGIN DELETE FROM answers WHERE device = NEW.device AND turn = NEW.turn; END",
    "lost-mailbox-row": "CREATE TEMP TRIGGER planted AFTER DELETE ON main.mailbox "
    "BEGIN DELETE FROM bodies WHERE room = OLD.room AND room_pos = OLD.room_pos; END",
}
"""Bugs planted below the code: a forgotten answer, and a body that goes when the first of its readers has acked."""


def _one_too_far(*question: Any) -> list[delivery.Mail]:
    reader, device, after, most = question
    return _waiting(reader, device, after + 1 if after else 0, most)


_waiting = delivery.waiting
PLANTS: dict[str, Callable[[], contextlib.AbstractContextManager[object]]] = {
    "": contextlib.nullcontext,
    "ack-before-fsync": contextlib.nullcontext,
    "lost-dedupe": contextlib.nullcontext,
    "lost-mailbox-row": contextlib.nullcontext,
    "stale-epoch": lambda: mock.patch.object(delivery, "_stale", return_value=None),
    "cursor-off-by-one": lambda: mock.patch.object(delivery, "waiting", _one_too_far),
}
"""Bugs that the invariants must catch; "" is the product as it is."""


# --- running it -----------------------------------------------------------------------------------


@contextlib.contextmanager
def deterministic(world: World, loop: VirtualLoop) -> Iterator[None]:
    """Nothing but the seed decides: no other clock, no other randomness, no collection of garbage in the middle."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        with replaced(
            *drawn_from(world.numbers),
            (stream, "random", world.numbers),
            (ledger_database, "time", SimpleNamespace(perf_counter=loop.time)),
            (ledger_database, "BATCH_BUDGET_S", world.batch_s),
            (ledger_database, "CHECKPOINT_PAGES", math.inf),
        ):
            yield
    finally:
        if collecting:
            gc.enable()


Order = Callable[[World, VirtualLoop], contextlib.AbstractContextManager[None]]
"""What decides how a run goes: the seed alone, or something beside it."""


class ClockOfItsOwn:
    """The control of `deterministic`: the server ends its batches by a clock that is another one in every run.

    It stands in for `deterministic`. A reading moves it on by one in the first run of a seed, by two in the second.
    """

    BATCH = 1.5
    """How long a batch may take by this clock: two writes in the first run of a seed, one in all others."""

    def __init__(self) -> None:
        self._runs: Counter[int] = Counter()

    @contextlib.contextmanager
    def __call__(self, world: World, loop: VirtualLoop) -> Iterator[None]:
        """As `deterministic`, but for that clock."""
        self._runs[world.outcome.seed] += 1
        readings = itertools.count(step=self._runs[world.outcome.seed])
        own = SimpleNamespace(perf_counter=readings.__next__)
        with (
            deterministic(world, loop),
            replaced((ledger_database, "time", own), (ledger_database, "BATCH_BUDGET_S", self.BATCH)),
        ):
            yield


def run_seed(stage: Stage, seed: int, plant: str = "", order: Order = deterministic) -> Outcome:
    """One seed, from its first choice to its judgement."""
    world = World(stage, seed, plant)
    loop = VirtualLoop()
    try:
        with PLANTS[plant](), order(world, loop):
            loop.run_until_complete(world.run())
    finally:
        loop.close()
    return world.outcome


@contextlib.contextmanager
def staged() -> Iterator[Stage]:
    """The prepared town, in memory where there is room."""
    with tempfile.TemporaryDirectory(dir=mounts.scratch()) as folder:
        yield Stage(Path(folder))


@dataclass
class Totals:
    """What many seeds came to."""

    seeds: int = 0
    messages: int = 0
    commits: int = 0
    crashes: int = 0
    virtual_s: float = 0.0
    bad: list[int] = field(default_factory=list)
    real_s: float = 0.0

    def sentence(self) -> str:
        """For people."""
        days = self.virtual_s / 86_400
        return (
            f"simulation: {self.seeds} seeds, {len(self.bad)} violations {self.bad[:10]}; {self.messages} messages, "
            f"{self.commits} commits, {self.crashes} crashes, {days:.1f} virtual days in {self.real_s:.0f} s"
        )


def traces(seeds: Sequence[int], order: Order = deterministic) -> list[str]:
    """What happened under each of these seeds, as a hash."""
    with staged() as stage:
        return [run_seed(stage, seed, order=order).trace for seed in seeds]


def run_many(first: int, count: int, plant: str = "", *, stop_at_first: bool = False, seconds: float = 1e9) -> Totals:
    """Seeds one after the other; prints each that is bad."""
    totals, began = Totals(), time.monotonic()
    with staged() as stage:
        gc.collect()
        gc.freeze()
        for seed in range(first, first + count):
            outcome = run_seed(stage, seed, plant)
            totals.seeds += 1
            totals.messages += outcome.messages
            totals.commits += outcome.commits
            totals.crashes += outcome.crashes
            totals.virtual_s += outcome.virtual_s
            if outcome.faults:
                totals.bad.append(seed)
                print(f"seed {seed}{' with ' + plant if plant else ''}: {outcome.faults[:3]}", flush=True)
                if stop_at_first:
                    break
            if time.monotonic() - began > seconds:
                break
        gc.unfreeze()
    totals.real_s = time.monotonic() - began
    return totals


def half_the_dose(first: int) -> None:
    """What one of two workers does in `make test`, always the same seeds; fresh ones are for the script."""
    totals = run_many(first, HALF, seconds=HALF_S)
    print(f"from seed {first}: {totals.sentence()}")
    assert totals.bad == []
    assert totals.seeds >= ENOUGH
    assert totals.crashes > 0
    assert totals.commits > 0


def main() -> int:
    """The command line; exit code 1 when an invariant did not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--plant", choices=PLANTS, default="")
    parser.add_argument("--traces", action="store_true", help="print the trace of each seed, and judge nothing")
    parser.add_argument("--stop", action="store_true", help="stop at the first violation")
    asked = parser.parse_args()
    if asked.traces:
        print(*traces(range(asked.first, asked.first + asked.seeds)), sep="\n")
        return 0
    share = asked.seeds // asked.jobs
    plant = f"--plant={asked.plant}"
    others = [
        subprocess.Popen([sys.executable, __file__, f"--seeds={share}", f"--first={asked.first + job * share}", plant])
        for job in range(1, asked.jobs)
    ]
    first = asked.first + asked.jobs * share if asked.jobs > 1 else asked.first
    totals = run_many(asked.first, share, asked.plant, stop_at_first=asked.stop)
    rest = run_many(first, asked.seeds - asked.jobs * share, asked.plant) if asked.seeds % asked.jobs else Totals()
    totals.seeds, totals.bad = totals.seeds + rest.seeds, totals.bad + rest.bad
    print(totals.sentence(), flush=True)
    codes = [other.wait() for other in others]
    return int(bool(totals.bad) or any(code != 0 for code in codes))


if __name__ == "__main__":
    sys.exit(main())
