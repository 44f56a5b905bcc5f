"""The server dies in other ways than by a power cut: killed, its disk full, one system call failing.

    python tests/durability/crashes.py kill --runs 10000 [--seed N]
    python tests/durability/crashes.py calls [--errors EIO ENOSPC] [--calls pwrite64 fdatasync ...]
    python tests/durability/crashes.py full --runs 100

`kill`: kill -9 at a random moment, start-up included; then a restart, and everything arrives once.
`calls`: strace makes the n-th call of one kind fail, n = 1, 2, 3 … until a run has fewer than n of them; then the
power is cut, so that what was acknowledged after a failed sync would be missing.
`full`: a file system with a few free blocks.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]

import apsw

from durability import mounts, verdict
from durability.forked import Forked, free_ports, warm
from durability.lean import Device, Diary, diaries
from durability.powercuts import settle, until_accepted
from durability.village import Village, build, new_seed
from kith.ledger import database as ledger_database
from kith.ledger.database import Database

CALLS = ("openat", "pwrite64", "fdatasync", "fsync", "ftruncate", "unlink")
"""Every kind of call by which the server's database changes its files."""
MUST_STOP = {"pwrite64", "fdatasync", "fsync"}
"""After one of these has failed the process must end, whatever was being done."""
SCRIPTED = 6
"""Messages of one run under strace, each with a commit of its own."""
CHECKPOINT_PAGES = 24
"""Small, so that a run under strace checkpoints."""
EX_IOERR = 74
PAGE = 4096
"""Where blocks are smaller than SQLite's mapped pages, a full disk may end the process by SIGBUS; no ack is lost."""
PATIENCE_S = 60
"""Without one more acknowledgement for so long, a disk is no longer being filled."""

WAITING = 8
"""Answers "read_only" after which a run is over: the server is calm and takes nothing new."""


@dataclass
class Totals:
    """What a series came to."""

    what: str
    seed: int
    runs: int = 0
    injected: int = 0
    stopped: int = 0
    """Runs in which the process ended with 74 and a sentence."""
    calm: int = 0
    """Runs in which it took nothing new before the disk was full, and went on living."""
    acked: int = 0
    wrong: list[str] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    """For each kind of call and error, how many of it were made to fail, one after the other."""
    slowest_restart_s: float = 0.0

    def sentence(self) -> str:
        """For people."""
        return (
            f"{self.what} (seed {self.seed}): {self.runs} runs, {self.acked} acknowledged messages, "
            f"{len(self.wrong)} wrong; {self.injected} failed calls {self.calls or ''}; "
            f"{self.stopped} times the server stopped itself with a sentence, "
            f"{self.calm} times it was read-only in time; "
            f"slowest restart {self.slowest_restart_s:.2f} s {self.wrong[:3]}"
        )


class Ground:
    """A prepared server that is copied for every run, and what happens in a run."""

    def __init__(self, folder: Path, totals: Totals) -> None:
        self.folder, self.totals = folder, totals
        self.log = folder / "log"
        self._golden, self._image = folder / "golden", folder / "image"
        self.at = folder / "at"
        self.at.mkdir()
        self.port, self._staff_port = free_ports(2)
        self.village = Village({})

    @property
    def data(self) -> Path:
        """The server's folder."""
        return self.at / "server"

    def prepare_folder(self, rooms: int) -> None:
        """The prepared server in an ordinary folder."""
        self.village = build(self._golden / "server", (self.port, self._staff_port), rooms, 2)
        warm(self._golden / "server")

    def prepare_image(self, rooms: int, size_mb: int, block: int, settings: str = "") -> None:
        """The prepared server in a file system of its own, with a further line of settings."""
        mounts.make_image(self._golden, size_mb, block)
        with mounts.mounted(self._golden, self.at):
            self.village = build(self.data, (self.port, self._staff_port), rooms, 2)
            file = self.data / "kith.toml"
            file.write_text(f"{settings}\n{file.read_text()}")
            warm(self.data)

    @contextlib.contextmanager
    def fresh_folder(self) -> Iterator[None]:
        """A copy of the prepared folder."""
        shutil.copytree(self._golden, self.at, dirs_exist_ok=True)
        yield
        shutil.rmtree(self.at)

    @contextlib.contextmanager
    def fresh_image(self) -> Iterator[None]:
        """A copy of the prepared file system, mounted; the power of it is cut at the end."""
        mounts.copy_image(self._golden, self._image)
        with mounts.mounted(self._image, self.at):
            yield
            mounts.cut_power(self.at)

    @contextlib.contextmanager
    def remounted(self) -> Iterator[None]:
        """The same file system after its journal was recovered."""
        with mounts.mounted(self._image, self.at):
            yield

    def serve(self, plant: Callable[[], None] | None = None, *, paced: bool = False) -> Forked:
        """Start a server on it."""
        self.log.unlink(missing_ok=True)
        self.log.touch()
        return Forked(self.data, self.port, self.log, plant, paced=paced)

    def judge(self, book: dict[str, Diary], about: str) -> None:
        """Compare the disk with what the devices know."""
        found = verdict.judge(verdict.read(self.data / "kith.db"), self.village, book)
        self.totals.acked += found.acked
        if not found.good:
            self.totals.wrong.append(f"{about}: {found}")

    def bring_to_an_end(self, book: dict[str, Diary], chance: random.Random, about: str) -> None:
        """Start again without faults: everything that was ever submitted arrives once."""
        began = time.monotonic()
        server = self.serve()
        try:
            server.wait_until_up()
            self.totals.slowest_restart_s = max(self.totals.slowest_restart_s, time.monotonic() - began)
            asyncio.run(settle(server.url, self.village, book, chance))
        except (TimeoutError, AssertionError) as failure:
            self.totals.wrong.append(f"{about}, restart: {failure!r}")
        finally:
            code = server.stop()
            server.kill()
        if code != 0:
            self.totals.wrong.append(f"{about}, restart: it ended with {code}")
        self.judge(book, f"{about}, restart")


# --- kill -9 --------------------------------------------------------------------------------------


def kills(folder: Path, totals: Totals, runs: int) -> None:
    """kill -9 at random moments."""
    ground = Ground(folder, totals)
    ground.prepare_folder(rooms=3)
    for number in range(runs):
        chance = random.Random(f"{totals.seed}/{number}")
        book = diaries(ground.village)
        with ground.fresh_folder():
            server = ground.serve(_checkpoint_at(chance.choice((1000, 40))))
            try:
                if chance.random() < 0.2:  # while it starts
                    time.sleep(chance.uniform(0, 0.3))
                else:
                    server.wait_until_up()
                    asyncio.run(_write_until_killed(server, book, chance))
            finally:
                server.kill()
            ground.judge(book, f"run {number}")
            ground.bring_to_an_end(book, chance, f"run {number}")
        totals.runs += 1


async def _write_until_killed(server: Forked, book: dict[str, Diary], chance: random.Random) -> None:
    devices = [Device(diary, random.Random(chance.random()), chance.random() < 0.7) for diary in book.values()]
    tasks = [asyncio.create_task(device.stay(server.url)) for device in devices]
    await until_accepted(devices[0], book)
    await asyncio.sleep(chance.uniform(0, 0.25))
    server.kill()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _checkpoint_at(pages: int) -> Callable[[], None]:
    def plant() -> None:
        ledger_database.CHECKPOINT_PAGES = pages

    return plant


# --- the n-th system call -------------------------------------------------------------------------


def failing_calls(
    folder: Path, totals: Totals, calls: Sequence[str], errors: Sequence[str], *, step: int, forgiving: bool
) -> None:
    """For each kind of call and error: the 1st fails, the 2nd fails, … until a run passes clean.

    With a step only every so-maniest does, beginning with one that the seed chooses.
    """
    ground = Ground(folder, totals)
    ground.prepare_image(rooms=1, size_mb=48, block=4096)
    for call in calls:
        for error in errors:
            first = n = random.Random(f"{totals.seed}/{call}/{error}").randint(1, step)
            while _one_fails(ground, call, error, n, forgiving=forgiving):
                n += step
            totals.calls[f"{call}/{error}"] = (n - first) // step


def _one_fails(ground: Ground, call: str, error: str, n: int, *, forgiving: bool) -> bool:
    """One run; whether there was an n-th call to fail."""
    about, totals = f"{call} {error} n={n}", ground.totals
    chance = random.Random(f"{totals.seed}/{about}")
    book = diaries(ground.village)
    trace = ground.folder / "trace"
    when = f"{n}+3" if forgiving else str(n)  # who goes on after the first failure meets more of them
    with ground.fresh_image():
        server = ground.serve(_stopped_first(forgiving=forgiving))
        with _strace(server, ground.data, trace, f"inject={call}:error={error}:when={when}"):
            asyncio.run(_talk(server, book))
            code = server.stop()
            server.kill()
        failures = _failures(trace, ground.data)
    injected = bool(failures)
    totals.runs += 1
    totals.injected += injected
    said = ground.log.read_text()
    stopped = code == EX_IOERR and "Storage failed" in said
    totals.stopped += stopped
    if injected and not forgiving:
        if "Traceback" in said:
            totals.wrong.append(f"{about}: a traceback: {said[-300:]}")
        if not stopped and (code != 0 or (call in MUST_STOP and "must stop" in failures)):
            totals.wrong.append(f"{about}: it ended with {code} and said {said[-200:]!r}")
    if not injected and code != 0:
        totals.wrong.append(f"{about}: nothing failed, yet it ended with {code}")
    with ground.remounted():
        ground.judge(book, about)
        if injected and not forgiving and n % 5 == 1:  # every restart would take longer than all the rest
            ground.bring_to_an_end(book, chance, about)
    return injected


def _failures(trace: Path, folder: Path) -> list[str]:
    """What was made to fail, and what must follow.

    Two failures are harmless, and SQLite keeps them to itself: that of a folder's sync (the next sync of the log
    makes its name durable as well), and those of closing, when nothing waits for an answer and the log stays.
    """
    found, closing = [], False
    for line in trace.read_text().splitlines():
        closing = closing or "--- SIGTERM" in line
        if "(INJECTED)" in line:
            harmless = closing or f"<{folder}>" in line
            found.append("harmless" if harmless else "must stop")
    return found


def _stopped_first(*, forgiving: bool) -> Callable[[], None]:
    def plant() -> None:
        ledger_database.CHECKPOINT_PAGES = CHECKPOINT_PAGES
        if forgiving:
            _forgive()
        os.kill(os.getpid(), signal.SIGSTOP)  # until strace is there

    return plant


def _forgive() -> None:
    """The control: a server that goes on after its disk has failed, as if nothing had happened."""
    commit = Database._commit

    def shrug(self: Database) -> None:
        try:
            commit(self)
        except apsw.Error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")

    Database._commit = shrug  # type: ignore[method-assign]  # a fault on purpose


@contextlib.contextmanager
def _strace(server: Forked, data: Path, trace: Path, inject: str) -> Iterator[None]:
    """Attach before the server's first step; only calls on the database's files count."""
    os.waitpid(server.pid, os.WUNTRACED)
    trace.unlink(missing_ok=True)
    paths = [data / name for name in ("kith.db", "kith.db-wal", "kith.db-shm")]
    call = inject.partition("=")[2].partition(":")[0]
    command = ["strace", "-f", "-q", "-y", "-p", str(server.pid), "-e", f"trace={call}", "-e", inject, "-o", str(trace)]
    tracer = subprocess.Popen([*command, *(f"--trace-path={path}" for path in (*paths, data))], stderr=subprocess.PIPE)
    try:
        until = time.monotonic() + 30
        while _tracer_of(server.pid) == 0:
            if tracer.poll() is not None or time.monotonic() > until:
                said = (tracer.stderr.read() if tracer.stderr else b"").decode()
                raise AssertionError(f"strace could not attach: {said}")
            time.sleep(0.005)
        os.kill(server.pid, signal.SIGCONT)
        yield
    finally:
        server.kill()
        tracer.wait(10)
        if tracer.stderr:
            tracer.stderr.close()


def _tracer_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("TracerPid:"))


async def _talk(server: Forked, book: dict[str, Diary]) -> None:
    """A fixed number of messages, one after the other, as long as the server lives; one reader acks, one is away."""
    writer, reader = book.values()

    def over() -> bool:
        return server.ended() is not None or len(writer.accepted) >= SCRIPTED

    devices = [Device(writer, random.Random(1), window=1, say=SCRIPTED), Device(reader, random.Random(2), say=0)]
    tasks = [asyncio.create_task(device.stay(server.url, over)) for device in devices]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(60):
            while not over():  # noqa: ASYNC110  the end of a process rings nowhere
                await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# --- the disk is full -----------------------------------------------------------------------------


def full_disks(folder: Path, totals: Totals, runs: int) -> None:
    """Devices write until the last block is gone; then there is space again."""
    grounds: list[tuple[Ground, int, str]] = []
    for block, size_mb, reserve in (
        (4096, 24, "disk_reserve_mb = 0"),
        (4096, 240, ""),
        (1024, 24, "disk_reserve_mb = 0"),
    ):
        own = folder / str(len(grounds))
        own.mkdir()
        ground = Ground(own, totals)
        ground.prepare_image(rooms=2, size_mb=size_mb, block=block, settings=reserve)
        grounds.append((ground, block, reserve))
    for number in range(runs):
        ground, block, reserve = grounds[number % len(grounds)]
        chance = random.Random(f"{totals.seed}/{number}")
        book = diaries(ground.village)
        with ground.fresh_image():
            filler = ground.at / "filler"
            leave = chance.randrange(0, 1_500_000) if reserve else chance.randrange(12_500_000, 14_000_000)
            _fill(filler, ground.at, leave=leave if number else 0)
            server = ground.serve(
                _checkpoint_at(chance.choice((1000, 60))), paced=True
            )  # or the reserve is gone at once
            asyncio.run(_write_until_full(server, book, chance))
            calm = server.ended() is None and any(diary.waiting for diary in book.values())
            code = server.stop() if calm else server.wait(5)
            server.kill()
        said = ground.log.read_text()
        totals.runs += 1
        totals.calm += calm and code == 0
        if code == EX_IOERR and "Storage failed" in said:
            totals.stopped += 1
        elif not (calm and code == 0) and not (block < PAGE and code == -signal.SIGBUS):
            totals.wrong.append(f"full disk {number}: it ended with {code} and said {said[-300:]!r}")
        with ground.remounted():
            filler.unlink()  # SQLite cannot even read without room for the log's index
            ground.judge(book, f"full disk {number}")
            ground.bring_to_an_end(book, chance, f"full disk {number}")


def _fill(filler: Path, at: Path, leave: int) -> None:
    """Take all blocks but these bytes; durable, as everything that lies on the disk for long."""
    with filler.open("wb") as file:
        free = os.statvfs(at).f_bavail * os.statvfs(at).f_frsize
        with contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, max(4096, free - leave))
        os.fsync(file.fileno())


async def _write_until_full(server: Forked, book: dict[str, Diary], chance: random.Random) -> None:
    def over() -> bool:
        return server.ended() is not None or sum(diary.waiting for diary in book.values()) >= WAITING

    devices = [
        Device(diary, random.Random(chance.random()), acks=False, window=16, most=20_000) for diary in book.values()
    ]
    tasks = [asyncio.create_task(device.stay(server.url, over)) for device in devices]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S) as patience:
            accepted = 0
            while not over():
                await asyncio.sleep(0.01)  # the end of a process rings nowhere
                if (now := sum(len(diary.accepted) for diary in book.values())) > accepted:
                    accepted = now
                    patience.reschedule(asyncio.get_running_loop().time() + PATIENCE_S)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# --- command line ---------------------------------------------------------------------------------


def why_not_strace() -> str | None:
    """None when calls can be made to fail here, else the reason."""
    if shutil.which("strace") is None:
        return "no strace"
    tried = subprocess.run(
        ["strace", "-e", "inject=fsync:error=EIO", "-e", "trace=fsync", "true"], capture_output=True, check=False
    )
    return None if tried.returncode == 0 else f"strace may not trace here: {tried.stderr.decode()[:200]}"


def in_a_namespace(*words: str) -> Totals:
    """A series in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *words, "--json"], stdout=subprocess.PIPE, check=False, text=True)
    if not done.stdout:
        raise AssertionError(f"crashes.py {' '.join(words)} broke off with {done.returncode}; its reasons stand above")
    return Totals(**json.loads(done.stdout.splitlines()[-1]))


def main() -> int:
    """The command line; exit code 1 when anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("kill", "calls", "full"))
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=new_seed())
    parser.add_argument("--calls", nargs="+", default=list(CALLS))
    parser.add_argument("--errors", nargs="+", default=["EIO", "ENOSPC"])
    parser.add_argument("--step", type=int, default=1, help="of the n-th calls, only every so-maniest")
    parser.add_argument("--forgiving", action="store_true", help="the control: a server that goes on after a failure")
    parser.add_argument("--json", action="store_true", help="print the totals for programs")
    asked = parser.parse_args()
    if asked.what != "kill":
        mounts.enter_namespace()
    totals = Totals(asked.what, asked.seed)
    with tempfile.TemporaryDirectory(dir=mounts.scratch()) as folder:
        match asked.what:
            case "kill":
                kills(Path(folder), totals, asked.runs)
            case "calls":
                failing_calls(
                    Path(folder), totals, asked.calls, asked.errors, step=asked.step, forgiving=asked.forgiving
                )
            case _:
                full_disks(Path(folder), totals, asked.runs)
    found = Counter(totals.wrong)
    print(json.dumps(asdict(totals)) if asked.json else totals.sentence(), flush=True)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
