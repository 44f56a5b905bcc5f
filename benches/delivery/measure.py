"""What is measured, in which order, and what of it is kept: medians over interleaved repetitions, with the spread."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from delivery.servers import Broken, Ejabberd, Kith, Mosquitto, NotHere, Prosody, Relay, Server, Synapse, compiled

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("KITH_BENCH_DIR", REPOSITORY / "var" / "bench"))

Figures = dict[str, Any]
"""What the generator says of one run."""


class Scenario(NamedTuple):
    """A load: which rooms, and how fast (0 = closed loop: each sender waits for its message to arrive)."""

    name: str
    says: str
    shape: str
    rate: int


SCENARIOS = (
    Scenario("saturated", "saturated: 100 pairs, closed loop", "pairs", 0),
    Scenario("3000", "3,000/s: 100 pairs, open loop", "pairs", 3000),
    Scenario("500", "500/s: 100 pairs, open loop", "pairs", 500),
    Scenario("rooms10", "rooms of 10 devices, closed loop", "rooms10", 0),
    Scenario("rooms100", "rooms of 100 devices, closed loop", "rooms100", 0),
)
KEPT_UP = 0.95
"""Share of the offered rate that must arrive for a latency to mean anything."""


class Plan(NamedTuple):
    """How much of it."""

    repetitions: int
    seconds: float
    warm: float
    crowd: int
    scenarios: tuple[Scenario, ...]
    servers: tuple[str, ...]
    """Names to take part; empty for everybody."""
    against: Path | None
    """Another source tree of Kith to run beside this one."""
    connections: bool = True
    """Whether idle memory and reconnecting are measured."""
    quick: bool = False
    """Peers and repetitions for the saturated load alone."""


class Row(NamedTuple):
    """One server under one load: a figure's median, least and most over the repetitions."""

    scenario: str
    server: str
    durable: str
    figures: dict[str, tuple[float, float, float]]
    kept_up: bool


class Outcome(NamedTuple):
    """Everything that was found."""

    rows: list[Row]
    connections: list[Row]
    versions: dict[str, str]
    absent: dict[str, str]
    fsync_us: float


def run(plan: Plan) -> Outcome:
    """Every server under every load in turn, again and again; then connections, one server at a time."""
    with folder() as work:
        generator = compiled("load", work)
        places = towns(_kiths(plan), plan.crowd)
        servers, absent = _servers(plan, work, places)
        versions = {server.name: server.version() for server in servers}
        with _running(servers, absent):
            found = _measured(plan, generator, servers, places, absent)
        by_name = {server.name: server for server in servers}
        rows = [_row(scenario, by_name[server], figures) for (scenario, server), figures in found.items()]
        connections = _connections(generator, servers, places, absent) if plan.connections else []
        say("")
        return Outcome(rows, connections, versions, absent, fsync_us(work))


def _measured(
    plan: Plan, generator: Path, servers: list[Server], places: dict[str, Path], absent: dict[str, str]
) -> dict[tuple[str, str], list[Figures]]:
    """What each run said, by load and server. A peer that fails takes no further part; Kith's failure is a failure."""
    found: dict[tuple[str, str], list[Figures]] = {}
    turns = itertools.product(range(plan.repetitions), plan.scenarios, servers)
    for repetition, scenario, server in turns:
        if server.name in absent or not _takes_part(plan, server, scenario, repetition):
            continue
        say(f"{repetition + 1}/{plan.repetitions} {scenario.says}: {server.name}")
        try:
            figures = load(generator, server, places[server.name], scenario, seconds=plan.seconds, warm=plan.warm)
        except Broken as why:
            if isinstance(server, Kith):
                raise
            absent[server.name] = str(why)
        else:
            found.setdefault((scenario.name, server.name), []).append(figures)
    return found


def _servers(plan: Plan, folder: Path, towns: dict[str, Path]) -> tuple[list[Server], dict[str, str]]:
    servers: list[Server] = [
        Kith(folder / name.replace("/", "_"), town, source, name)
        for (name, source), town in zip(_kiths(plan).items(), towns.values(), strict=False)
    ]
    servers += [kind(folder / kind.__name__.lower()) for kind in (Relay, Mosquitto)]
    slow = [] if plan.quick and not plan.servers else [Prosody, Ejabberd, Synapse]
    servers += [kind(folder / kind.__name__.lower()) for kind in slow]
    servers = [server for server in servers if not plan.servers or any(w in server.name.lower() for w in plan.servers)]
    absent: dict[str, str] = {}
    for server in list(servers):
        try:
            server.version()
        except NotHere as why:
            absent[server.name] = str(why)
            servers.remove(server)
    for server in servers:
        towns.setdefault(server.name, next(iter(towns.values())))
    return servers, absent


def _kiths(plan: Plan) -> dict[str, Path]:
    return {"Kith": REPOSITORY} | ({} if plan.against is None else {f"Kith of {plan.against.name}": plan.against})


def towns(kiths: dict[str, Path], crowd: int) -> dict[str, Path]:
    """The prepared folder of each Kith, made by the code that will serve it."""
    made = {}
    for number, (name, source) in enumerate(kiths.items()):
        command = [sys.executable, str(Path(__file__).parent / "town.py"), str(CACHE / f"towns{number}"), str(crowd)]
        environment = {**os.environ, "PYTHONPATH": str(source / "src")}
        say(f"people and rooms of {name}")
        said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        made[name] = Path(said.strip().splitlines()[-1])
    return made


def _takes_part(plan: Plan, server: Server, scenario: Scenario, repetition: int) -> bool:
    if plan.quick and scenario is not SCENARIOS[0] and (repetition or not isinstance(server, Kith)):
        return False
    return server.groups or scenario is SCENARIOS[0]


def load(generator: Path, server: Server, town: Path, scenario: Scenario, **more: object) -> Figures:
    """One run of the generator; `more` are its options."""
    options = {
        "protocol": server.protocol,
        "port": server.port,
        "traffic": town / f"{scenario.shape}.traffic",
        "rate": scenario.rate,
        "pids": server.pid,
        **more,
    }
    start = (
        [sys.executable, str(Path(__file__).with_name("matrix.py"))]
        if server.protocol == "matrix"
        else [str(generator)]
    )
    command = [*start, *(f"{name}={value}" for name, value in options.items())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (server.folder / "server.log").read_text(errors="replace")[-1000:]
        raise Broken(f"{server.name}, {scenario.says}: {done.stderr.strip()}\n{said}")
    figures: Figures = json.loads(done.stdout)
    if figures.get("undelivered"):
        raise Broken(f"{server.name}, {scenario.says}: {figures['undelivered']} messages never arrived.")
    return figures


def _row(scenario: str, server: Server, found: list[Figures]) -> Row:
    numbers = [name for name, value in found[0].items() if isinstance(value, int | float)]
    spread = {name: _spread([float(figures[name]) for figures in found]) for name in numbers}
    rate = spread.get("rate", (0.0, 0.0, 0.0))[0]
    kept_up = not rate or spread["delivered_per_s"][0] >= KEPT_UP * rate
    return Row(scenario, server.name, server.durable, spread, kept_up)


def _spread(values: list[float]) -> tuple[float, float, float]:
    """Median, least and most; a run in which nothing arrived has no latency and no cost, and says -1."""
    said = [value for value in values if value >= 0] or [-1.0]
    return statistics.median(said), min(said), max(said)


def _connections(generator: Path, servers: list[Server], towns: dict[str, Path], absent: dict[str, str]) -> list[Row]:
    """Memory of idle connections on a fresh server, and everybody coming back at once after a kill -9."""
    idle = Scenario("idle", "idle connections", "crowd", 0)
    rows = []
    for server in servers:
        if not server.groups or server.name in absent:
            continue
        say(f"idle connections and reconnecting: {server.name}")
        server.start()
        try:
            town = towns[server.name]
            load(generator, server, town, idle, idle=0.5, clients=20)
            rows.append(_row("idle", server, [load(generator, server, town, idle, idle=2)]))
            server.kill()
            server.start()
            rows.append(_row("storm", server, [load(generator, server, town, idle, idle=0.2)]))
        finally:
            server.stop()
    return rows


@contextlib.contextmanager
def _running(servers: list[Server], absent: dict[str, str]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.callback(server.stop)
            try:
                server.start()
            except Broken as why:
                if isinstance(server, Kith):
                    raise
                absent[server.name] = str(why)
        yield


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """For the servers' data, on the disk that is measured."""
    made = CACHE / f"run-{os.getpid()}"
    made.mkdir(parents=True)
    try:
        yield made
    finally:
        shutil.rmtree(made)


def fsync_us(folder: Path, times: int = 200) -> float:
    """Median microseconds of appending 4 KiB and fdatasync: what 'durable' costs on this disk."""
    spent = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(times):
            start = time.perf_counter()
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            spent.append(time.perf_counter() - start)
    return statistics.median(spent) * 1e6


def say(what: str) -> None:
    """Progress, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)
