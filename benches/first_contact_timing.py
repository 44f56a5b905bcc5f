"""Can the time of an answer tell who exists? Welch's t between the kinds of people that a request may name.

Runs real requests through the HTTP application, one after another, kinds in random order, each asker within her
limits. The slowest tenth is cut off, as in dudect, because it is the machine's. |t| below 4.5 counts as "cannot be
told apart with this many samples"; run it on a quiet machine. Control: a deliberately slower kind must stand out.

    python benches/first_contact_timing.py --samples 2000
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import math
import random
import statistics
import sys
import tempfile
import time
from itertools import combinations
from pathlib import Path
from uuid import uuid4

import httpx

from kith.app import keys as key_files
from kith.app.http import people_app
from kith.app.keys import Keys
from kith.app.wiring import projectors
from kith.ledger.database import Database, Tx
from kith.ledger.events import AccountCreated, Blocked, ControlsChanged, DeviceSignedIn
from kith.messaging.routes import ROUTES
from kith.people import sessions
from kith.people import store as people
from kith.people.server import ServerFacts

LIMIT = 4.5
PER_ASKER = 20
CONTROL_S = 0.0004
KINDS = ("unknown", "reachable", "blocks", "minor", "closed")


def person(tx: Tx, handle: str, band: str = "18+") -> str:
    """An account with a handle."""
    account = str(uuid4())
    tx.append(AccountCreated(account=account, band=band))
    tx.put(people.profiles, account=account, handle=handle, skeleton=handle, display_name=handle)
    return account


def scene(tx: Tx, handle: str, targets: dict[str, str]) -> str:
    """Somebody signed in, and whom she will ask for (handle to kind); her token."""
    account, device, token = person(tx, handle), str(uuid4()), sessions.new_token()
    tx.append(DeviceSignedIn(account=account, device=device))
    sessions.begin(tx, account, device, token=token, share=b"s" * 32, name="bench")
    for name, kind in targets.items():
        target(tx, kind, name, account)
    return token


def target(tx: Tx, kind: str, handle: str, account_of_asker: str) -> None:
    """Somebody of this kind."""
    if kind in ("unknown", "control"):
        return
    account = person(tx, handle, "13-15" if kind == "minor" else "18+")
    if kind == "blocks":
        tx.append(Blocked(by=account, account=account_of_asker))
    if kind == "closed":
        tx.append(ControlsChanged(account=account, requests="nobody"))


async def measure(folder: Path, samples: int) -> dict[str, list[float]]:
    """Seconds per request, by kind."""
    database = Database(folder / "kith.db", projectors())
    database.create_tables()
    key_files.create(folder / "keys", database.now())
    app = people_app(
        database=database,
        server=ServerFacts(name="kith.test", origin="https://kith.test", ticket_key=b"k" * 32, clock=database.now),
        keys=Keys(folder / "keys"),
        client=folder,
        routes=ROUTES,
        provide={"notice_about": lambda: lambda *_: None},
    )
    times: dict[str, list[float]] = {kind: [] for kind in (*KINDS, "control")}
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]  # an ASGI application
    async with httpx.AsyncClient(transport=transport, base_url="https://kith.test") as http:
        for turn in range(samples * len(times) // PER_ASKER + 1):
            targets = {f"t{turn}.{number}": random.choice(list(times)) for number in range(PER_ASKER)}
            token = await database.write(scene, f"asker{turn}", targets)
            headers = {"Authorization": f"Bearer {token}"}
            gc.collect(0)
            for handle, kind in targets.items():
                began = time.perf_counter()
                if kind == "control":
                    time.sleep(CONTROL_S)  # noqa: ASYNC251  a planted difference
                answer = await http.post("/api/v1/requests", json={"handle": handle}, headers=headers)
                times[kind].append(time.perf_counter() - began)
                assert answer.status_code == 201
    await database.close()
    return times


def welch(one: list[float], other: list[float]) -> float:
    """Welch's t of two samples without their slowest tenth."""
    a, b = (sorted(values)[: int(len(values) * 0.9)] for values in (one, other))
    spread = statistics.variance(a) / len(a) + statistics.variance(b) / len(b)
    return (statistics.fmean(a) - statistics.fmean(b)) / math.sqrt(spread)


def main() -> int:
    """Print every pair; 1 when some pair can be told apart, 2 when the control cannot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1000, help="requests per kind")
    samples = parser.parse_args().samples
    memory = Path("/dev/shm")  # noqa: S108  a disk's own jitter would hide what is looked for
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        times = asyncio.run(measure(Path(folder), samples))
    told_apart = 0
    for one, other in combinations(KINDS, 2):
        t = welch(times[one], times[other])
        told_apart += abs(t) >= LIMIT
        print(f"{one:>10} / {other:<10} t = {t:6.2f}  ({len(times[one])} and {len(times[other])} requests)")
    control = welch(times["control"], times["unknown"])
    print(f"   control / unknown    t = {control:6.2f}  (slower by {CONTROL_S * 1e6:.0f} us on purpose)")
    if abs(control) < LIMIT:
        print("The control was not noticed: too few samples for this machine.")
        return 2
    return 1 if told_apart else 0


if __name__ == "__main__":
    sys.exit(main())
