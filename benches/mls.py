"""MLS engines beside each other in one run, in groups of 2, 10, 100 and 256 devices.

Kith's own (as the SDK uses it), the web client's (the built engine, under Node and in Chromium), and their peers:
mls-rs (through its Python wheel) and ts-mls alone (under Node).

`python benches/mls.py [--quick] [--size N] [--only NAME]` prints medians as ratios to Kith's engine, which is 1, and
to the group of two; above 1 is slower. Milliseconds are of this machine and this moment, so only ratios mean anything.
Engines that are not here are left out, by name. Sides alternate within each round, so that load falls on all alike.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

# In place of this folder, where `mls` would be this file.
sys.path[0] = str(Path(__file__).resolve().parents[1] / "tests")

from playwright.sync_api import Browser, Route, sync_playwright  # noqa: E402

from journeys.harness import BROWSER_ARGS, chromium_path  # noqa: E402 - only found after the path is set
from kith.app.web import WebError  # noqa: E402
from kith.app.web import engine as build_web_engine  # noqa: E402
from kith.protocol.mls.engine import Settings  # noqa: E402
from mls.peers import (  # noqa: E402
    Asked,
    KithPeer,
    Node,
    Peer,
    PeerError,
    RsPeer,
    TsPeer,
    mls_rs,
    relaxed,
    why_no_node,
)
from mls.people import GROUP_ID  # noqa: E402

TEXT = b"x" * 200
SETTINGS = relaxed(Settings())
SIZES = (2, 10, 100, 256)
KITH, WEB, PAGE, RUST, ALONE = "Kith", "web, Node", "web, Chromium", "mls-rs", "ts-mls"
PACKAGE, ADD, JOIN, FOLLOW_ADD = "make a key package", "add one device", "join by Welcome", "follow an add"
COMMIT, FOLLOW, ENCRYPT, DECRYPT = "empty commit", "follow it", "encrypt 200 bytes", "decrypt 200 bytes"
STORE, LOAD = "write the state as bytes", "read it back"
STEPS = (PACKAGE, ADD, JOIN, FOLLOW_ADD, COMMIT, FOLLOW, ENCRYPT, DECRYPT, STORE, LOAD)


def span(peer: Peer, work: Callable[[], object]) -> float:
    """Milliseconds of one operation, measured where it runs: a pipe to another process does not count."""
    start = time.perf_counter()
    work()
    return peer.ms if isinstance(peer, TsPeer) else (time.perf_counter() - start) * 1000


@dataclass
class Side:
    """One engine's group: the first and the last to join are live, the rest joined and never committed."""

    name: str
    make: Callable[[str], Peer]
    size: int
    spans: dict[str, list[float]] = field(default_factory=lambda: {step: [] for step in STEPS})
    sizes: dict[str, int] = field(default_factory=dict)

    def found(self, packages: list[bytes]) -> None:
        """A group of one device less than `size`."""
        self.first = self.make(f"{self.name} {self.size} first")
        self.last: Peer | None = None
        self.first.create(GROUP_ID)
        if self.size > 2:
            last = self.make(f"{self.name} {self.size} last")
            _, welcome = self.first.commit([*packages[: self.size - 3], last.package()], [], encrypted=False)
            self.first.accept()
            assert welcome is not None
            last.join(welcome)
            self.last = last

    def add(self, turn: int, *, stays: bool) -> None:
        """The last device comes; unless it stays, it is removed again."""
        new = self.make(f"{self.name} {self.size} new {turn}")
        packages: list[bytes] = []
        self.spans[PACKAGE].append(span(new, lambda: packages.append(new.package())))
        commit, welcome = self._commit(ADD, packages)
        assert welcome is not None
        self.sizes |= {"commit that adds": len(commit), "Welcome": len(welcome)}
        self.spans[JOIN].append(span(new, lambda: new.join(welcome)))
        if self.last is not None:
            self.spans[FOLLOW_ADD].append(span(self.last, lambda: self._followed(commit)))
        if stays:
            self.last = self.last or new
            return
        if isinstance(self.first, RsPeer) and isinstance(new, RsPeer):
            self.first.introduce([new])
        commit, _ = self.first.commit([], [new.name], encrypted=False)
        self.first.accept()
        if self.last is not None:
            self.last.follow(commit)

    def _followed(self, commit: bytes) -> None:
        assert self.last is not None
        self.last.follow(commit)

    def _commit(self, step: str, packages: list[bytes]) -> tuple[bytes, bytes | None]:
        """Made and adopted: some engines do most of the work in the one, some in the other."""
        made: list[tuple[bytes, bytes | None]] = []
        took = span(self.first, lambda: made.append(self.first.commit(packages, [], encrypted=False)))
        self.spans[step].append(took + span(self.first, self.first.accept))
        return made[0]

    def renew(self) -> None:
        """An empty commit of each of the two; the second has a path of its own from then on."""
        for _ in range(2):
            commit, _ = self._commit(COMMIT, [])
            self.sizes["empty commit"] = len(commit)
            assert self.last is not None
            self.spans[FOLLOW].append(span(self.last, lambda commit=commit: self._followed(commit)))
            self.first, self.last = self.last, self.first

    def say(self) -> None:
        """One message and its reading."""
        said: list[bytes] = []
        self.spans[ENCRYPT].append(span(self.first, lambda: said.append(self.first.protect(TEXT, b""))))
        last = self.last
        assert last is not None
        self.spans[DECRYPT].append(span(last, lambda: last.read(said[0])))
        self.sizes["message"] = len(said[0])

    def restart(self) -> None:
        """The state as bytes, and the group from them."""
        if isinstance(self.first, TsPeer):
            answer = self.first.ask("restart")
            self.sizes["state"] = answer["bytes"]
            if "storeMs" in answer:
                self.spans[STORE].append(answer["storeMs"])
                self.spans[LOAD].append(answer["loadMs"])
        elif isinstance(self.first, KithPeer):
            peer, stored = self.first, list[bytes]()
            self.spans[STORE].append(span(peer, lambda: stored.append(peer.engine.serialise(peer.group))))
            self.spans[LOAD].append(span(peer, lambda: peer.engine.restore(stored[0])))
            self.sizes["state"] = len(stored[0])


def measure(sides: list[Side], packages: list[bytes], *, commits: int, messages: int) -> None:
    """Everything, the sides in turn."""
    for side in sides:
        side.found(packages)
    for turn in range(commits):
        for side in sides:
            side.add(turn, stays=turn == commits - 1)
    for work, times in ((Side.renew, commits), (Side.say, messages), (Side.restart, commits)):
        for _ in range(times):
            for side in sides:
                work(side)


# --- where the web engine runs --------------------------------------------------------------------------------------


class WebPage:
    """A page of a headless Chromium with the built web engine in it."""

    def __init__(self, browser: Browser, built: Path) -> None:
        self._page = browser.new_page()
        self._page.route("**/*", lambda route: self._serve(route, built))
        self._page.goto("http://localhost/")  # WebCrypto wants a secure context; nothing listens there
        self._page.evaluate("async () => { window.peer = await import('/peer.js'); }")

    @staticmethod
    def _serve(route: Route, built: Path) -> None:
        path = route.request.url.removeprefix("http://localhost/")
        if not path.endswith(".js"):
            return route.fulfill(body="<!doctype html><title>peer</title>", content_type="text/html")
        return route.fulfill(body=(built / path).read_text(), content_type="text/javascript")

    def ask(self, op: str, **arguments: object) -> dict[str, Any]:
        """One operation; PeerError when it is refused."""
        answer: dict[str, Any] = self._page.evaluate("(one) => window.peer.ask(one)", {"op": op, **arguments})
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer


Make = Callable[[str], Peer]


@contextlib.contextmanager
def engines(wanted: list[str]) -> Iterator[dict[str, Make]]:
    """How to make a device of each engine that is here; Kith's always."""
    found: dict[str, Make] = {KITH: lambda name: KithPeer(name, 0, SETTINGS)}
    with contextlib.ExitStack() as open_here:
        if (why := why_no_node()) is not None:
            print(f"{WEB}, {PAGE} and {ALONE} are left out: {why}")
        else:
            _with_node(wanted, found, open_here)
        if RUST in wanted and mls_rs() is None:
            print(f"{RUST} is left out: there is no wheel for this platform")
        elif RUST in wanted:
            found[RUST] = RsPeer
        yield {name: found[name] for name in wanted if name in found}


def _with_node(wanted: list[str], found: dict[str, Make], open_here: contextlib.ExitStack) -> None:
    if WEB in wanted or PAGE in wanted:
        try:
            built = build_web_engine()
        except WebError as error:
            print(f"{WEB} and {PAGE} are left out: {error}")
            return
        script = Path(__file__).with_name("web_engine.mjs")
        found[WEB] = _asked(open_here.enter_context(Node(command=["node", str(script), str(built)])))
        if PAGE in wanted and (path := chromium_path()) is None:
            print(f"{PAGE} is left out: there is no Chromium")
        elif PAGE in wanted:
            playwright = open_here.enter_context(sync_playwright())
            browser = playwright.chromium.launch(executable_path=path, args=BROWSER_ARGS)
            open_here.callback(browser.close)
            print(f"Chromium {browser.version}")
            found[PAGE] = _asked(WebPage(browser, built))
    if ALONE in wanted:
        found[ALONE] = _asked(open_here.enter_context(Node()))


def _asked(there: Asked) -> Make:
    return lambda name: TsPeer(there, name)


# --- the tables -----------------------------------------------------------------------------------------------------


def times_table(step: str, groups: dict[int, list[Side]], names: list[str]) -> str:
    """One step at every size, as Markdown: ratios to Kith's engine, then to that engine's smallest group."""
    lines = [f"| {step} | Kith, ms | {' | '.join(names)} |", f"|---|---|{'---|' * len(names)}"]
    first: dict[str, float] = {}
    for size, sides in groups.items():
        spans = {side.name: side.spans[step] for side in sides if side.spans[step]}
        if KITH not in spans:
            continue
        unit = statistics.median(spans[KITH])
        for name, found in spans.items():
            first.setdefault(name, statistics.median(found))
        cells = [cell(spans.get(name), unit, first.get(name)) for name in names]
        lines.append(f"| N = {size} | {unit:.2f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(found: list[float] | None, unit: float, first: float | None) -> str:
    """Median with least and most in units of Kith's median, and how many times the smallest group's."""
    if not found or first is None:
        return "–"
    low, middle, high = (_short(one / unit) for one in (min(found), statistics.median(found), max(found)))
    return f"{middle} ({low}–{high}) ×{_short(statistics.median(found) / first)}"


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 10 else f"{number:.1f}"


def sizes_table(groups: dict[int, list[Side]]) -> str:
    """Bytes. What travels is of one size in all engines but for the tree that each built, the state is not."""
    kinds = ("message", "empty commit", "commit that adds", "Welcome", "state")
    lines = [f"| bytes | {' | '.join(kinds)} |", f"|---|{'---|' * len(kinds)}"]
    for size, sides in groups.items():
        for side in sides:
            figures = " | ".join(f"{side.sizes[kind]:,}" if kind in side.sizes else "–" for kind in kinds)
            lines.append(f"| N = {size}, {side.name} | {figures} |")
    return "\n".join(lines)


def machine() -> str:
    """What the figures were measured on."""
    node = "no Node"
    if why_no_node() is None:
        node = (
            f"Node {subprocess.run(['node', '--version'], capture_output=True, text=True, check=True).stdout.strip()}"
        )
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return (
        f"{os.cpu_count()} cores at a load of {load}, Linux {platform.release()}, Python {platform.python_version()}, "
        f"cryptography {version('cryptography')}, {node}"
    )


def main() -> None:
    """The tables."""
    names = [KITH, WEB, PAGE, RUST, ALONE]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="Kith and the web engine under Node, in groups of 2 and 10"
    )
    parser.add_argument("--size", type=int, action="append", help="of the group (several times for several)")
    parser.add_argument("--only", action="append", choices=names[1:], help="beside Kith's")
    asked = parser.parse_args()
    sizes = asked.size or (SIZES[:2] if asked.quick else SIZES)
    wanted = [KITH, *(asked.only or ([WEB] if asked.quick else names[1:]))]
    print(machine())
    people = [KithPeer(f"one of many {at}", 0, SETTINGS) for at in range(max(sizes))]
    packages = [one.package() for one in people]
    groups: dict[int, list[Side]] = {}
    with engines(wanted) as here:
        measure([Side(name, make, 3) for name, make in here.items()], packages, commits=3, messages=20)  # warm up
        for size in sizes:
            groups[size] = [Side(name, make, size) for name, make in here.items()]
            measure(groups[size], packages, commits=5, messages=20 if asked.quick else 50)
            print(f"N = {size} done, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
    for step in STEPS:
        print(f"\n{times_table(step, groups, list(here))}")
    print(f"\n{sizes_table(groups)}")


if __name__ == "__main__":
    main()
