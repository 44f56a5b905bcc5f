"""The system's clock jumps under a running server: nobody is stuck, nothing is lost, and order does not follow it."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from durability import verdict
from durability.forked import free_ports
from durability.lean import Device, Diary, diaries
from durability.village import build, new_seed
from kith.protocol import frames

DAYS = (-2, 40, -2, 0)
EACH = 5
"""Further messages of every device after each jump."""
LIBRARIES = ("/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/lib/faketime")

pytestmark = pytest.mark.slow


def library() -> Path:
    """Where libfaketime is; skips, loudly, where it is not."""
    for folder in LIBRARIES:
        if (found := Path(folder) / "libfaketimeMT.so.1").is_file():
            return found
    pytest.skip("!! NO CLOCK JUMPED HERE: libfaketime is missing (apt install faketime)")


class Watch(Device):
    """A device that reads the server's clock when it connects."""

    async def offset_days(self, url: str) -> float:
        """By how much the server's HELLO differs from our own clock."""
        async with self.connected(url) as socket:
            hello = frames.decode_server(bytes(await socket.recv(decode=False)))
            assert isinstance(hello, frames.Hello)
            return (hello.time_ms / 1000 - time.time()) / 86_400


async def jump(url: str, stamp: Path, book: dict[str, Diary], chance: random.Random) -> list[float]:
    """Write all the while, and move the clock; the server's own idea of it after each jump."""
    tasks = [asyncio.create_task(Device(diary, chance, window=1).stay(url)) for diary in list(book.values())[:-1]]
    watch, seen = Watch(list(book.values())[-1], chance), []
    async with asyncio.timeout(240):
        for days in DAYS:
            stamp.write_text(f"{days:+d}d")  # noqa: ASYNC240  a few bytes
            before = {name: len(diary.accepted) for name, diary in book.items()}
            while any(len(one.accepted) < before[name] + EACH for name, one in list(book.items())[:-1]):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            seen.append(await watch.offset_days(url))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return seen


def test_a_clock_that_jumps_stops_and_reorders_nothing(tmp_path: Path) -> None:
    """Two days back, forty ahead, back again: sending goes on, positions and order stay, time never runs backwards."""
    preload, seed = library(), new_seed()
    print(f"seed {seed}, jumps {DAYS}")
    port, staff_port = free_ports(2)
    village = build(tmp_path / "server", (port, staff_port), rooms=2)
    book, stamp = diaries(village), tmp_path / "stamp"
    stamp.write_text("+0d")
    faked = {
        "LD_PRELOAD": str(preload),
        "FAKETIME_TIMESTAMP_FILE": str(stamp),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with (tmp_path / "log").open("w") as log:
        command = [sys.executable, "-m", "kith", "serve", "--data", str(tmp_path / "server")]
        server = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **faked})
    try:
        seen = asyncio.run(jump(f"ws://127.0.0.1:{port}/ws", stamp, book, random.Random(seed)))
    finally:
        server.terminate()
        code = server.wait(30)
    assert code == 0, (tmp_path / "log").read_text()
    assert max(seen) > 39, "the clock did not jump: this proved nothing"
    assert seen[2:] == [pytest.approx(40, abs=1)] * 2, "within a process time does not go back"
    found = verdict.judge(verdict.read(tmp_path / "server" / "kith.db"), village, book)
    assert found.good, found
    assert found.acked >= EACH * len(DAYS) * (len(book) - 1)
