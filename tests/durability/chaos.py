"""Real devices and a real server with a TCP proxy between them that delays, drips, forgets, resets and reorders.

    python tests/durability/chaos.py --messages 100000 [--seed N] [--paced]

The proxy knows bytes, not frames. Per connection it draws: latency with jitter, a drip of a few bytes at a time, a
moment at which it resets both sides, or at which it goes silent (half open: each side believes in the other). It also
lets a new connection through before the last bytes of the one before. Devices repeat what was not answered.

Devices send ahead, up to eight messages without an answer, and the server's limits of pace are lifted. With `--paced`
they bite, and devices have one message under way, as people's clients do: a client that sends ahead and whose
connection breaks before it hears that one was refused as `limited` has itself put that one behind later ones.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]

import apsw

from durability import verdict
from durability.forked import Forked, free_ports, warm
from durability.lean import Device, Diary, diaries
from durability.powercuts import settle
from durability.village import Village, build, new_seed
from kith.ledger import database as ledger_database

PER_DEVICE = 500
"""Messages of one device, as long as there are rooms left: the pace of an account is limited."""
ROOMS = (4, 20)
"""At least and at most: connections live for a second or two, and hundreds would do nothing but connect."""
SILENCE_S = 3.0
"""After this long without a byte a device gives its connection up and makes a new one."""
WINDOWS = (1, 4, 8)
"""Messages without an answer that a device may have under way."""
LINGER_S = 2.0
"""How long bytes of a connection that its device has left may still be on their way."""


@dataclass
class Mood:
    """What one connection will go through."""

    latency_s: float
    drip: int
    """Bytes at a time, 0 for all that is there."""
    ends_after_s: float
    ending: str
    """reset, silent, or late: the device's side ends, what flies to the server still lands."""

    @classmethod
    def drawn(cls, chance: random.Random) -> Mood:
        """By chance; most connections live for a second or two."""
        return cls(
            latency_s=chance.choice((0.0, 0.005, 0.05, 0.2)) * chance.random(),
            drip=chance.choice((0, 0, 0, 7, 200)),
            ends_after_s=chance.expovariate(1 / 1.5),
            ending=chance.choice(("reset", "silent", "late")),
        )


class Proxy:
    """Between devices and the server."""

    def __init__(self, port: int, chance: random.Random) -> None:
        self.port, self.chance = port, chance
        self.calm = False
        self.endings: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def listening(self):  # type: ignore[no-untyped-def]  # an async context of a URL  # noqa: ANN201
        """The URL to use instead of the server's."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError):  # the proxy closes
            await self._connect(reader, writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        mood = Mood(0.0, 0, 1e9, "reset") if self.calm else Mood.drawn(self.chance)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.transport.abort()
            return
        up = asyncio.create_task(self._carry(reader, up_writer, mood))
        down = asyncio.create_task(self._carry(up_reader, writer, mood))
        try:
            async with asyncio.timeout(mood.ends_after_s):
                await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            self.endings[mood.ending] = self.endings.get(mood.ending, 0) + 1
            await self._end(mood, up, down, writer)
        finally:
            up.cancel()
            down.cancel()
            writer.transport.abort()
            up_writer.transport.abort()

    async def _end(
        self, mood: Mood, up: asyncio.Task[None], down: asyncio.Task[None], writer: asyncio.StreamWriter
    ) -> None:
        if mood.ending == "silent":
            up.cancel()
            down.cancel()
            await asyncio.sleep(SILENCE_S * 2)
        elif mood.ending == "late":
            writer.transport.abort()
            await asyncio.wait([up], timeout=LINGER_S)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, mood: Mood) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                if mood.latency_s:
                    await asyncio.sleep(mood.latency_s * self.chance.random() * 2)
                if not mood.drip or len(data) > 40 * mood.drip:
                    sink.write(data)
                else:
                    for start in range(0, len(data), mood.drip):
                        sink.write(data[start : start + mood.drip])
                        await asyncio.sleep(0)
                await sink.drain()


@dataclass
class Totals:
    """What a run came to."""

    seed: int
    messages: int = 0
    acked: int = 0
    lost: int = 0
    doubled: int = 0
    repeats: int = 0
    """Mails that came again and were recognised."""
    endings: dict[str, int] = field(default_factory=dict)
    rss_first_mb: float = 0.0
    """The server's memory when it had begun."""
    rss_most_mb: float = 0.0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def sentence(self) -> str:
        """For people."""
        return (
            f"chaos (seed {self.seed}): {self.messages} messages in {self.seconds:.0f} s, {self.acked} acknowledged, "
            f"{self.lost} lost, {self.doubled} doubled, {len(self.wrong)} other faults {self.wrong[:3]}; connections "
            f"broken {self.endings}; {self.repeats} mails came again; server memory {self.rss_first_mb:.0f} MiB at "
            f"first, {self.rss_most_mb:.0f} at most"
        )


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024


def forget_answers() -> None:
    """The control: a server that does not remember which submissions it has answered."""
    opened = ledger_database._open

    def forgetfully(path: str, *, read_only: bool = False) -> apsw.Connection:
        connection = opened(path, read_only=read_only)
        if not read_only:
            connection.execute(
                "CREATE TEMP TRIGGER planted AFTER INSERT ON main.answers "
                "BEGIN DELETE FROM answers WHERE device = NEW.device AND turn = NEW.turn; END"
            )
        return connection

    ledger_database._open = forgetfully


def run(seed: int, messages: int, *, forgetful: bool = False, paced: bool = False) -> Totals:
    """Everything said through the proxy, then everything judged."""
    chance, totals = random.Random(seed), Totals(seed)
    with tempfile.TemporaryDirectory() as folder:
        data, log = Path(folder) / "server", Path(folder) / "log"
        port, staff_port = free_ports(2)
        rooms = min(ROOMS[1], max(ROOMS[0], -(-messages // (2 * PER_DEVICE))))
        village = build(data, (port, staff_port), rooms)
        warm(data)
        book = diaries(village)
        server = Forked(data, port, log, forget_answers if forgetful else None, paced=paced)
        try:
            server.wait_until_up()
            began = time.monotonic()
            each = -(-messages // (2 * rooms))
            asyncio.run(
                _through_chaos(server, Devices(village, book, each, (1,) if paced else WINDOWS), chance, totals)
            )
            totals.seconds = time.monotonic() - began
        finally:
            code = server.stop()
            server.kill()
        if code != 0 or "Traceback" in log.read_text():
            totals.wrong.append(f"the server ended with {code}: {log.read_text()[-500:]}")
        found = verdict.judge(verdict.read(data / "kith.db"), village, book)
        whole = [
            len(diary.received) == sum(len(book[one.device].bodies) for one in village.others(diary.member))
            for diary in book.values()
        ]
        totals.wrong += [f"{whole.count(False)} devices have more or less than was said"] * (not all(whole))
    totals.messages = sum(len(diary.bodies) for diary in book.values())
    totals.acked, totals.lost, totals.doubled = found.acked, found.lost, found.doubled
    totals.repeats = sum(diary.repeats for diary in book.values())
    totals.wrong += found.wrong
    return totals


class Devices(NamedTuple):
    """Who speaks, and how much each says."""

    village: Village
    book: dict[str, Diary]
    each: int
    windows: tuple[int, ...]


async def _through_chaos(server: Forked, who: Devices, chance: random.Random, totals: Totals) -> None:
    village, book, each, windows = who
    proxy = Proxy(server.port, random.Random(chance.random()))
    totals.rss_first_mb = totals.rss_most_mb = rss_mb(server.pid)
    async with proxy.listening() as url:
        devices = [
            Device(diary, random.Random(chance.random()), window=chance.choice(windows), say=each, patience=SILENCE_S)
            for diary in book.values()
        ]
        tasks = [asyncio.create_task(device.stay(url)) for device in devices]
        while not all(len(diary.accepted) >= each for diary in book.values()):
            await asyncio.sleep(0.2)
            totals.rss_most_mb = max(totals.rss_most_mb, rss_mb(server.pid))
            if broken := [task for task in tasks if task.done()]:
                broken[0].result()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        proxy.calm = True
        await settle(url, village, book, chance)
        totals.rss_most_mb = max(totals.rss_most_mb, rss_mb(server.pid))
    totals.endings = proxy.endings


def alone(seed: int, messages: int, *more: str) -> Totals:
    """A run in a process of its own, because servers are forked from it."""
    program = [sys.executable, __file__, f"--seed={seed}", f"--messages={messages}", "--json", *more]
    done = subprocess.run(program, stdout=subprocess.PIPE, check=False, text=True)
    if not done.stdout:
        raise AssertionError(f"chaos of seed {seed} broke off with {done.returncode}; its reasons stand above")
    return Totals(**json.loads(done.stdout.splitlines()[-1]))


def main() -> int:
    """The command line; exit code 1 when anything was lost, doubled or out of order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=new_seed())
    parser.add_argument("--forgetful", action="store_true", help="the control: a server that forgets its answers")
    parser.add_argument("--paced", action="store_true", help="limits of pace bite, one message under way per device")
    parser.add_argument("--json", action="store_true", help="print the totals for programs")
    asked = parser.parse_args()
    totals = run(asked.seed, asked.messages, forgetful=asked.forgetful, paced=asked.paced)
    print(json.dumps(asdict(totals)) if asked.json else totals.sentence(), flush=True)
    return int(bool(totals.lost or totals.doubled or totals.wrong))


if __name__ == "__main__":
    sys.exit(main())
