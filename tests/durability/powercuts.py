"""Power cuts under the real server: a file system is shut down under `kith serve` while devices write and read.

    python tests/durability/powercuts.py --cuts 10000 [--jobs 2] [--seed N] [--synchronous OFF]

One cut: a copy of a prepared server on an ext4 of its own; `kith serve` on it; devices submit, read and ack; at a
random moment an ioctl throws away everything that was not synced; unmount, mount (the journal is recovered), look.
Judged is only what a device had read before the ioctl was issued. In every fourth cut the server then starts again,
every device sends again what was not answered and collects its mail, and the final state is judged as well.
`--synchronous OFF` or `NORMAL` is the control: the same with the server's fsync taken away, which must be caught.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]

import apsw

from durability import mounts, verdict
from durability.forked import Forked, free_ports, warm
from durability.lean import Device, Diary, diaries
from durability.verdict import Verdict
from durability.village import Village, build, new_seed
from kith.ledger import database as ledger_database

IMAGE_MB = 64
DEVICES = 3
"""In each room."""
SETTLE_S = 60.0


@dataclass(frozen=True)
class Choices:
    """Everything that one cut's seed decides."""

    rooms: int
    acking: bool
    """Whether readers ack what they get, so that rows and bodies vanish too."""
    away: bool
    """Whether one device of each room stays off line, so that its mailbox must hold everything."""
    window: int
    after_s: float
    """Time from the first acknowledgement to the cut."""
    checkpoint_pages: int
    """Size of the log at which it is checkpointed: small ones put the cut into a checkpoint."""
    again: bool
    """Whether the server is started again and everything is brought to its end."""


def choose(chance: random.Random, number: int, most_s: float) -> Choices:
    """Expand a seed."""
    return Choices(
        rooms=chance.randint(1, 4),
        acking=chance.random() < 0.6,
        away=chance.random() < 0.7,
        window=chance.choice((1, 4, 16)),
        after_s=chance.uniform(0.02, most_s),
        checkpoint_pages=chance.choice((1000, 1000, 120, 16)),
        again=number % 4 == 0,
    )


@dataclass
class Totals:
    """What a series of cuts came to."""

    seed: int
    synchronous: str
    cuts: int = 0
    bad_cuts: int = 0
    acked: int = 0
    lost: int = 0
    doubled: int = 0
    restarts: int = 0
    settled: int = 0
    """Messages that were followed to their end over a restart."""
    failed_clean: int = 0
    """Servers that ended by themselves, with exit code 74, when the disk was gone."""
    wrong: list[str] = field(default_factory=list)

    def note(self, found: Verdict) -> None:
        """Count a verdict."""
        self.acked += found.acked
        self.lost += found.lost
        self.doubled += found.doubled
        self.wrong += found.wrong[:5]
        self.bad_cuts += not found.good

    def sentence(self) -> str:
        """For people."""
        return (
            f"power cuts (synchronous={self.synchronous}, seed {self.seed}): {self.cuts} cuts, {self.bad_cuts} bad; "
            f"{self.acked} acknowledged messages, {self.lost} lost, {self.doubled} doubled, "
            f"{len(self.wrong)} other faults; {self.restarts} restarts that settled {self.settled} messages; "
            f"the server stopped by itself in {self.failed_clean}"
        )


def plant(synchronous: str, checkpoint_pages: int) -> Callable[[], None]:
    """What is changed in the server's process before it starts: when it checkpoints, and in the control its fsync."""

    def weaken() -> None:
        ledger_database.CHECKPOINT_PAGES = checkpoint_pages
        opened = ledger_database._open

        def weakly(path: str, *, read_only: bool = False) -> apsw.Connection:
            connection = opened(path, read_only=read_only)
            if not read_only and synchronous != "FULL":
                connection.pragma("synchronous", synchronous)
            return connection

        ledger_database._open = weakly

    return weaken


async def until_accepted(device: Device, book: dict[str, Diary]) -> None:
    """Until the first answer has come to anybody."""
    async with asyncio.timeout(SETTLE_S):
        while not any(diary.accepted for diary in book.values()):
            await device.heard.wait()
            device.heard.clear()


class Series:
    """Cuts, one after the other, each from the same prepared disk."""

    def __init__(self, folder: Path, seed: int, synchronous: str, most_s: float) -> None:
        self.folder, self.most_s = folder, most_s
        self.totals = Totals(seed, synchronous)
        self._golden, self._image, self._at = folder / "golden", folder / "image", folder / "at"
        self._log = folder / "log"
        self._port, staff_port = free_ports(2)
        mounts.make_image(self._golden, IMAGE_MB)
        with mounts.mounted(self._golden, self._at):
            self.village = build(self._at / "server", (self._port, staff_port), rooms=4, devices=DEVICES)
            warm(self._at / "server")

    def cut(self, number: int) -> Verdict:
        """One cycle."""
        chance = random.Random(f"{self.totals.seed}/{number}")
        choices = choose(chance, number, self.most_s)
        village = Village(dict(list(self.village.rooms.items())[: choices.rooms]))
        book = diaries(village)
        mounts.copy_image(self._golden, self._image)
        with mounts.mounted(self._image, self._at):
            server = self._start(choices)
            try:
                asyncio.run(self._until_the_cut(server, book, choices, chance))
                self.totals.failed_clean += server.wait(0.25) == os.EX_IOERR
            finally:
                server.kill()
        with mounts.mounted(self._image, self._at):
            found = verdict.judge(verdict.read(self._at / "server" / "kith.db"), village, book)
            if choices.again and found.good and self.totals.synchronous == "FULL":
                found.wrong += self._again(village, book, choices, chance)
        self.totals.cuts += 1
        self.totals.note(found)
        return found

    def _start(self, choices: Choices) -> Forked:
        self._log.unlink(missing_ok=True)
        weaken = plant(self.totals.synchronous, choices.checkpoint_pages)
        server = Forked(self._at / "server", self._port, self._log, weaken)
        try:
            server.wait_until_up()
        except AssertionError:
            server.kill()
            raise
        return server

    async def _until_the_cut(
        self, server: Forked, book: dict[str, Diary], choices: Choices, chance: random.Random
    ) -> None:
        recording = True
        devices = [
            Device(diary, random.Random(chance.random()), choices.acking, choices.window, recording=lambda: recording)
            for place, diary in enumerate(book.values())
            if not (choices.away and place % DEVICES == 0)
        ]
        tasks = [asyncio.create_task(device.stay(server.url)) for device in devices]
        await until_accepted(devices[0], book)
        await asyncio.sleep(choices.after_s)
        recording = False  # an answer that is read after this line proves nothing
        mounts.cut_power(self._at)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _again(self, village: Village, book: dict[str, Diary], choices: Choices, chance: random.Random) -> list[str]:
        """Start again on what the cut left; everything that was ever submitted must arrive once."""
        server = self._start(choices)
        try:
            asyncio.run(settle(server.url, village, book, chance))
        except TimeoutError:
            return ["after the cut not everything arrived"]
        finally:
            code = server.stop()
        self.totals.restarts += 1
        self.totals.settled += sum(len(diary.bodies) for diary in book.values())
        found = verdict.judge(verdict.read(self._at / "server" / "kith.db"), village, book)
        faults = [f"after a restart: {fault}" for fault in found.wrong]
        faults += [f"after a restart: {found.lost} lost, {found.doubled} doubled"] * (not found.good)
        return faults + [f"the server ended with {code}"] * (code != 0)


async def settle(url: str, village: Village, book: dict[str, Diary], chance: random.Random) -> None:
    """Every device on line repeats what was not answered and collects all mail; TimeoutError if that never ends."""

    def everything_is_there() -> bool:
        return all(not book[one.device].unanswered for one in village.members) and all(
            position in book[other.device].received
            for one in village.members
            for position in book[one.device].accepted.values()
            for other in village.others(one)
        )

    devices = [
        Device(diary, random.Random(chance.random()), window=16, say=len(diary.bodies)) for diary in book.values()
    ]
    tasks = [asyncio.create_task(device.stay(url)) for device in devices]
    try:
        async with asyncio.timeout(SETTLE_S):
            while not everything_is_there():  # noqa: ASYNC110  many devices write to the diaries, none rings
                await asyncio.sleep(0.01)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def run(seed: int, cuts: int, synchronous: str, most_s: float, *, loud: bool = False) -> Totals:
    """A series in this process, which must be in a mount namespace of its own."""
    with tempfile.TemporaryDirectory(dir=mounts.scratch()) as folder:
        series = Series(Path(folder), seed, synchronous, most_s)
        began = time.monotonic()
        for number in range(cuts):
            found = series.cut(number)
            if loud and (not found.good or number % 100 == 99):
                state = "good" if found.good else f"BAD {found}"
                print(f"cut {number} of seed {seed}: {state}, {time.monotonic() - began:.0f} s", flush=True)
    return series.totals


def in_a_namespace(seed: int, cuts: int, synchronous: str = "FULL", most_s: float = 0.35) -> Totals:
    """A series in a process of its own."""
    program = [sys.executable, __file__, f"--seed={seed}", f"--cuts={cuts}", f"--synchronous={synchronous}"]
    done = subprocess.run([*program, f"--most={most_s}", "--json"], stdout=subprocess.PIPE, check=False, text=True)
    if not done.stdout:
        raise AssertionError(f"the series of seed {seed} broke off with {done.returncode}; its reasons stand above")
    return Totals(**json.loads(done.stdout.splitlines()[-1]))


def main() -> int:
    """The command line; exit code 1 when a message that was acknowledged is not there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=new_seed())
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--synchronous", choices=("FULL", "NORMAL", "OFF"), default="FULL")
    parser.add_argument("--most", type=float, default=0.35, help="seconds from the first answer to the cut, at most")
    parser.add_argument("--json", action="store_true", help="print the totals for programs")
    asked = parser.parse_args()
    mounts.enter_namespace()
    like_this = [f"--synchronous={asked.synchronous}", f"--most={asked.most}"]
    others = [  # with --jobs, each further series has a seed of its own
        subprocess.Popen(
            [sys.executable, __file__, f"--seed={asked.seed + job}", f"--cuts={asked.cuts // asked.jobs}", *like_this]
        )
        for job in range(1, asked.jobs)
    ]
    own = asked.cuts - sum(asked.cuts // asked.jobs for _ in others)
    totals = run(asked.seed, own, asked.synchronous, asked.most, loud=not asked.json)
    print(json.dumps(asdict(totals)) if asked.json else totals.sentence(), flush=True)
    codes = [other.wait() for other in others]
    return int(bool(totals.bad_cuts) or any(codes))


if __name__ == "__main__":
    sys.exit(main())
