"""Two ways of doing one thing, interleaved: the ratio with its spread."""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "protocol"))

from franked import ALICE, ALICE_PHONE, ROOM, START_MS, Hub, said

from kith.ledger import log
from kith.ledger.database import Database
from kith.ledger.decision import refuse
from kith.protocol.franking import Context, frank_and_tbs, franking_tag, sign_batch, sign_single, verify_item


class Pair(NamedTuple):
    """Two ways of doing the same thing; the figure is how many times slower the first is."""

    name: str
    slow: Callable[[], float]
    fast: Callable[[], float]
    unit: str


def durable_one_by_one(count: int) -> float:
    """Microseconds per decision, each waiting for its own COMMIT."""
    return _durable(count, together=False)


def durable_together(count: int) -> float:
    """Microseconds per decision, 64 under way at once, sharing COMMITs."""
    return _durable(count, together=True)


def _durable(count: int, *, together: bool) -> float:
    async def run(database: Database) -> float:
        async def worker(times: int) -> None:
            for _ in range(times):
                await database.write(log.record, "bench", "nobody", refuse("rule", "because"), {"n": 1})

        start = time.perf_counter()
        workers = 64 if together else 1
        await asyncio.gather(*(worker(count // workers) for _ in range(workers)))
        spent = time.perf_counter() - start
        await database.close()
        return spent / count * 1e6

    with tempfile.TemporaryDirectory(dir=os.environ.get("KITH_BENCH_DIR")) as folder:
        database = Database(Path(folder) / "bench.db", log.PROJECTORS)
        database.create_tables()
        return asyncio.run(run(database))


def _franked(count: int) -> list[tuple[bytes, bytes]]:
    hub = Hub()
    contexts = [Context(ALICE, ROOM, START_MS + n, ALICE_PHONE, 1, n + 1, 7) for n in range(count)]
    contents = [said(f"message {n}", number=n + 1) for n in range(count)]
    tags = [franking_tag(m[2:18], m) for m in contents]
    return [frank_and_tbs(hub.hub_keys[7], tag, ctx) for tag, ctx in zip(tags, contexts, strict=True)]


def signed_each(count: int) -> float:
    """Microseconds per message: one Ed25519 signature each."""
    hub, batch = Hub(), _franked(count)
    start = time.perf_counter()
    for _, tbs in batch:
        sign_single(hub.signer, tbs)
    return (time.perf_counter() - start) / count * 1e6


def signed_together(count: int) -> float:
    """Microseconds per message: one signature per batch of 64 over a Merkle root, paths included."""
    hub, batch = Hub(), _franked(count)
    start = time.perf_counter()
    for first in range(0, count, 64):
        sign_batch(hub.signer, [tbs for _, tbs in batch[first : first + 64]])
    return (time.perf_counter() - start) / count * 1e6


def judged(count: int) -> float:
    """Microseconds to verify one reported item."""
    hub = Hub()
    items = [
        hub.item(said(f"m {n}", number=n + 1), Context(ALICE, ROOM, START_MS + n, ALICE_PHONE, 1, n + 1, 7))
        for n in range(count)
    ]
    start = time.perf_counter()
    for item in items:
        verify_item(
            item, room_uri=ROOM, hub_key=hub.hub_keys.get, signing_key=hub.signing_key, was_member=lambda _: True
        )
    return (time.perf_counter() - start) / count * 1e6


def rows(*, quick: bool) -> list[dict[str, float | str]]:
    """Every pair, interleaved."""
    repetitions, scale = (3, 1) if quick else (7, 4)
    pairs = [
        Pair(
            "durable decision: alone / in a group commit",
            lambda: durable_one_by_one(128 * scale),
            lambda: durable_together(2048 * scale),
            "us",
        ),
        Pair("hub signature: each message / batch of 64", lambda: signed_each(512), lambda: signed_together(512), "us"),
        Pair("judge an exhibit / sign a message", lambda: judged(256), lambda: signed_each(512), "us"),
    ]
    return [measure(pair, repetitions) for pair in pairs]


def text(found: list[dict[str, float | str]]) -> str:
    """The table, for a terminal."""
    lines = [f"{'what':<46}{'ratio':>8}{'min':>8}{'max':>8}{'slow us':>11}{'fast us':>11}"]
    lines += [
        f"{row['what']:<46}{row['ratio']:>8.2f}{row['min']:>8.2f}{row['max']:>8.2f}"
        f"{row['slow']:>11.1f}{row['fast']:>11.1f}"
        for row in found
    ]
    return "\n".join(lines)


def measure(pair: Pair, repetitions: int) -> dict[str, float | str]:
    """Both ways in turn, several times; the median ratio with its spread."""
    slow, fast = [], []
    for _ in range(repetitions):
        slow.append(pair.slow())
        fast.append(pair.fast())
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    return {
        "what": pair.name,
        "ratio": statistics.median(ratios),
        "min": min(ratios),
        "max": max(ratios),
        "slow": statistics.median(slow),
        "fast": statistics.median(fast),
    }
