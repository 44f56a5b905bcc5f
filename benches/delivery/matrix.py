"""The generator for Synapse: the same closed loop as load.c, over the client-server API of Matrix.

A message is done when the partner's /sync shows it and the sender has its event id. Synapse is so much slower than
this that Python does not get in its way; the share of a core that it takes is reported as for the other generator.

    python matrix.py port=8008 pids=1234 seconds=5 warm=1 size=1024 pairs=20
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

CLIENT = "/_matrix/client/v3"
POLL_MS = 30_000


@dataclass
class Run:
    """What is counted."""

    server: httpx.AsyncClient
    size: int
    arrived: dict[str, asyncio.Event] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    measuring: bool = False
    sending: bool = True


async def call(run: Run, method: str, path: str, token: str = "", body: Any = None) -> Any:  # noqa: ANN401  JSON
    """A call of the API that must work."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = await run.server.request(method, path, json=body, headers=headers)
    answer.raise_for_status()
    return answer.json()


async def sign_up(run: Run, name: str) -> tuple[str, str]:
    """A fresh account: its id and token."""
    body = {"username": name, "password": "bench", "auth": {"type": "m.login.dummy"}}
    made = await call(run, "POST", f"{CLIENT}/register", body=body)
    return made["user_id"], made["access_token"]


async def pair(run: Run, name: str) -> tuple[str, list[str]]:
    """Two people in a room: its id and their tokens."""
    (_, first), (other, second) = await sign_up(run, f"{name}a"), await sign_up(run, f"{name}b")
    made = await call(run, "POST", f"{CLIENT}/createRoom", first, {"preset": "private_chat", "invite": [other]})
    await call(run, "POST", f"{CLIENT}/join/{made['room_id']}", second, {})
    return made["room_id"], [first, second]


async def listen(run: Run, token: str, ready: asyncio.Event) -> None:
    """/sync for ever, ringing for every message."""
    since = (await call(run, "GET", f"{CLIENT}/sync?timeout=0", token))["next_batch"]
    ready.set()
    while True:
        seen = await call(run, "GET", f"{CLIENT}/sync?timeout={POLL_MS}&since={since}&set_presence=offline", token)
        since = seen["next_batch"]
        for room in seen.get("rooms", {}).get("join", {}).values():
            for event in room["timeline"]["events"]:
                body = event.get("content", {}).get("body", "")
                if (found := run.arrived.get(f"{body[:40].split()[0]} {event['sender']}" if body else "")) is not None:
                    found.set()


async def talk(run: Run, room: str, token: str, user: str) -> None:
    """Send, wait until it has arrived, send the next."""
    for number in itertools.count():
        if not run.sending:
            return
        mark = f"{os.getpid()}.{number}"
        arrived = run.arrived[f"{mark} {user}"] = asyncio.Event()
        body = {"msgtype": "m.text", "body": f"{mark} ".ljust(run.size, "x")}
        start = time.monotonic()
        await call(run, "PUT", f"{CLIENT}/rooms/{room}/send/m.room.message/{mark}", token, body)
        await arrived.wait()
        del run.arrived[f"{mark} {user}"]
        if run.measuring:
            run.latencies.append((time.monotonic() - start) * 1000)


def cpu_s(pid: int) -> tuple[float, float]:
    """User and system seconds of a process (Synapse is one)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / ticks, int(fields[12]) / ticks


async def main(options: dict[str, str]) -> None:
    """One run; prints what load.c would."""
    pid, warm, seconds = int(options["pids"]), float(options["warm"]), float(options["seconds"])
    pairs, size = int(options.get("pairs", "20")), int(options.get("size", "1024"))
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{options['port']}", timeout=120, limits=limits) as server:
        run = Run(server, size)
        stem = f"u{time.time_ns()}"
        rooms = [await pair(run, f"{stem}{number}") for number in range(pairs)]
        tokens = [token for _, both in rooms for token in both]
        ready = {token: asyncio.Event() for token in tokens}
        ears = [asyncio.create_task(listen(run, token, ready[token])) for token in tokens]
        await asyncio.gather(*(event.wait() for event in ready.values()))
        whoami = {token: (await call(run, "GET", f"{CLIENT}/account/whoami", token))["user_id"] for token in tokens}
        mouths = [asyncio.create_task(talk(run, room, token, whoami[token])) for room, both in rooms for token in both]
        await asyncio.sleep(warm)
        before, own, start = cpu_s(pid), time.process_time(), time.monotonic()
        run.measuring = True
        await asyncio.sleep(seconds)
        run.measuring = False
        after, own, spent = cpu_s(pid), time.process_time() - own, time.monotonic() - start
        run.sending = False
        for mouth in mouths:
            await mouth
        for ear in ears:
            ear.cancel()
    _print(run, pairs, spent, (after[0] - before[0], after[1] - before[1]), own)


def _print(run: Run, pairs: int, spent: float, cpu: tuple[float, float], own: float) -> None:
    many = len(run.latencies)
    each = {"cpu_us_per_delivery": sum(cpu), "user_us_per_delivery": cpu[0], "generator_us_per_delivery": own}
    cuts = statistics.quantiles(run.latencies, n=100) if many > 1 else [-1.0] * 99
    figures = {
        "protocol": "matrix",
        "clients": 2 * pairs,
        "rate": 0,
        "size": run.size,
        "seconds": spent,
        "delivered_per_s": many / spent,
        "p50_ms": cuts[49],
        "p99_ms": cuts[98],
        "server_cores": sum(cpu) / spent,
        "generator_cores": own / spent,
        "deliveries": many,
        "undelivered": len(run.arrived),
        **{name: value * 1e6 / many if many else -1.0 for name, value in each.items()},
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    asyncio.run(main(dict(argument.split("=", 1) for argument in sys.argv[1:])))
