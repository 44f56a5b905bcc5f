"""MLS engines beside each other in one run: Kith's, mls-rs (through its Python wheel) and ts-mls (under Node).

`python benches/mls.py [--quick]` prints medians as ratios to Kith's engine, which is 1.00; above 1 is slower than Kith.
Milliseconds are of this machine and this moment, so only the ratios mean anything. Engines without a wheel or Node
are left out, by name. Sides alternate within each row, so that load on the machine falls on all alike.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

# In place of this folder, where `mls` would be this file.
sys.path[0] = str(Path(__file__).resolve().parents[1] / "tests")

from kith.protocol.mls.engine import Settings  # noqa: E402 - only found after the path is set
from mls.peers import KithPeer, Node, RsPeer, TsPeer, mls_rs, relaxed, why_no_node  # noqa: E402
from mls.people import GROUP_ID  # noqa: E402

TEXT = b"x" * 200
SETTINGS = relaxed(Settings())


class Row(NamedTuple):
    """Medians in milliseconds of one operation; None where an engine is missing."""

    what: str
    kith: float
    rust: float | None
    node: float | None


def spans(work: Callable[[], object], times: int) -> list[float]:
    """Milliseconds of each run."""
    found: list[float] = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append((time.perf_counter() - start) * 1000)
    return found


class Groups:
    """One group of each engine with `size` members, of which two are live: the creator and the last to join."""

    def __init__(self, size: int, node: Node | None) -> None:
        self.size = size
        self.kith = (KithPeer(f"kith {size} first", 0, SETTINGS), KithPeer(f"kith {size} last", 0, SETTINGS))
        _fill(self.kith[0], self.kith[1], [KithPeer(f"k {size} {at}", 0, SETTINGS) for at in range(size - 2)])
        self.rust = None
        if mls_rs() is not None:
            self.rust = (RsPeer(f"rust {size} first"), RsPeer(f"rust {size} last"))
            _fill(self.rust[0], self.rust[1], [RsPeer(f"r {size} {at}") for at in range(size - 2)])
        self.node = None
        if node is not None:
            self.node = (TsPeer(node, f"node {size} first"), TsPeer(node, f"node {size} last"))
            _fill(self.node[0], self.node[1], [TsPeer(node, f"n {size} {at}") for at in range(size - 2)])


def _fill(
    first: KithPeer | RsPeer | TsPeer,
    last: KithPeer | RsPeer | TsPeer,
    others: list[RsPeer] | list[KithPeer] | list[TsPeer],
) -> None:
    first.create(GROUP_ID)
    _, welcome = first.commit([*(peer.package() for peer in others), last.package()], [], encrypted=False)
    first.accept()
    assert welcome is not None
    last.join(welcome)


def messages(groups: Groups, times: int) -> list[Row]:
    """Encrypt and decrypt 200 bytes."""
    kith, rust, node = groups.kith, groups.rust, groups.node
    sealed: dict[str, list[bytes]] = {"kith": [], "rust": []}
    rounds: dict[str, list[float]] = {name: [] for name in ("ke", "kd", "re", "rd")}
    for _ in range(times):
        rounds["ke"] += spans(lambda: sealed["kith"].append(kith[0].protect(TEXT, b"")), 1)
        if rust is not None:
            rounds["re"] += spans(lambda: sealed["rust"].append(rust[0].protect(TEXT, b"")), 1)
    for at in range(times):
        rounds["kd"] += spans(lambda at=at: kith[1].read(sealed["kith"][at]), 1)
        if rust is not None:
            rounds["rd"] += spans(lambda at=at: rust[1].read(sealed["rust"][at]), 1)
    encrypt, decrypt = None, None
    if node is not None:
        # ts-mls is timed inside Node, so that the pipe does not count against it.
        encrypt = statistics.median(node[0].ask("repeat", what="encrypt", times=times, text=TEXT.hex())["spans"])
        mail = [node[0].protect(TEXT, b"").hex() for _ in range(times)]
        decrypt = statistics.median(node[1].ask("repeat", what="decrypt", times=times, message=mail)["spans"])
    return [
        Row(f"encrypt 200 bytes, N = {groups.size}", *_medians(rounds["ke"], rounds["re"]), encrypt),
        Row(f"decrypt 200 bytes, N = {groups.size}", *_medians(rounds["kd"], rounds["rd"]), decrypt),
    ]


def _medians(kith: list[float], rust: list[float]) -> tuple[float, float | None]:
    return statistics.median(kith), statistics.median(rust) if rust else None


def commits(groups: Groups, times: int) -> list[Row]:
    """An empty commit with a path, and following it."""
    kith, rust, node = groups.kith, groups.rust, groups.node
    made: dict[str, list[float]] = {"kc": [], "kf": [], "rc": [], "rf": []}
    node_spans: dict[str, list[float]] = {"commit": [], "follow": []}
    for _ in range(times):
        for by, other in ((0, 1), (1, 0)):
            _one_commit(kith[by], kith[other], made["kc"], made["kf"])
            if rust is not None:
                _one_commit(rust[by], rust[other], made["rc"], made["rf"])
            if node is not None:
                node_spans["commit"] += node[by].ask("repeat", what="commit", times=1)["spans"]
                commit, _ = node[by].commit([], [], encrypted=False)
                node_spans["follow"] += node[other].ask("repeat", what="follow", times=1, message=commit.hex())["spans"]
                node[other].follow(commit)
                node[by].accept()
    size = groups.size
    return [
        Row(f"commit, N = {size}", *_medians(made["kc"], made["rc"]), _or_none(node_spans["commit"])),
        Row(f"follow a commit, N = {size}", *_medians(made["kf"], made["rf"]), _or_none(node_spans["follow"])),
    ]


def _one_commit(by: KithPeer | RsPeer, other: KithPeer | RsPeer, making: list[float], following: list[float]) -> None:
    sent: list[bytes] = []
    making += spans(lambda: sent.append(by.commit([], [], encrypted=False)[0]), 1)
    following += spans(lambda: other.follow(sent[0]), 1)
    by.accept()


def _or_none(found: list[float]) -> float | None:
    return statistics.median(found) if found else None


def packages(node: Node | None, times: int) -> Row:
    """Making a key package."""
    kith = KithPeer("kith package", 0, SETTINGS)
    rust = RsPeer("rust package") if mls_rs() is not None else None
    made: dict[str, list[float]] = {"k": [], "r": []}
    for _ in range(times):
        made["k"] += spans(kith.package, 1)
        if rust is not None:
            made["r"] += spans(rust.package, 1)
    found = None
    if node is not None:
        peer = TsPeer(node, "node package")
        found = statistics.median(peer.ask("repeat", what="package", times=times)["spans"])
    return Row("key package", *_medians(made["k"], made["r"]), found)


def sizes(groups: Groups) -> str:
    """Bytes of the stored state."""
    kith = len(groups.kith[0].engine.serialise(groups.kith[0].group))
    node = groups.node[0].ask("restart")["bytes"] if groups.node is not None else 0
    return f"state, N = {groups.size:<4} Kith {kith:>8} bytes   ts-mls {node:>8} bytes"


def line(row: Row) -> str:
    """Ratios to Kith's engine."""

    def ratio(other: float | None) -> str:
        return "   -   " if other is None else f"{other / row.kith:7.2f}"

    return f"{row.what:<30} {row.kith:9.3f} ms   1.00 {ratio(row.rust)} {ratio(row.node)}"


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    if mls_rs() is None:
        print("mls-rs is left out: there is no wheel for this platform")
    node = None
    if (why := why_no_node()) is not None:
        print(f"ts-mls is left out: {why}")
    else:
        node = Node()
    print(f"{'':<30} {'Kith':>12}   {'Kith':>4} {'mls-rs':>7} {'ts-mls':>7}")
    print(line(packages(node, 10 if quick else 50)))
    stored: list[str] = []
    for size in (2, 10) if quick else (2, 10, 100):
        groups = Groups(size, node)
        stored.append(sizes(groups))
        for row in messages(groups, 40 if quick else 200) + commits(groups, 2 if quick else 5):
            print(line(row), flush=True)
    print(*stored, sep="\n")
    if node is not None:
        node.__exit__(None, None, None)


if __name__ == "__main__":
    main()
