"""Attachments beside plain HTTP: the same bytes, the same HTTP server, up and down.

`python benches/attachments.py [--mb 10] [--rounds 5]` prints medians as ratios to plain HTTP, which is 1: a program on
Kith's own HTTP server that writes a body to a file, waits for the disk, and reads it back; no session, no database, no
checksum, no encryption. `Kith, octets`: the interface alone, ciphertext that is there already. `Kith, SDK`: hashed,
encrypted, uploaded; fetched, decrypted, verified. Sides alternate within each round, so that load falls on all alike.
Then the peaks of memory for a small and a large file, of the server and of a program on the SDK.
"""

# ruff: noqa: SLF001 - what `send_file` does is measured without the message around it

from __future__ import annotations

import argparse
import asyncio
import filecmp
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1] / "tests")

import httpx  # noqa: E402 - only found after the path is set
import uvloop  # noqa: E402

from journeys.harness import Server, free_ports, served  # noqa: E402
from kith.app.serving import listening, server_of  # noqa: E402
from kith.protocol.attachments import Attached, sealed_size  # noqa: E402
from kith.sdk import Client, Cost, transfer  # noqa: E402
from kith.sdk.files import File  # noqa: E402
from kith.sdk.sending import FileToSend, Sending, outgoing, prepared  # noqa: E402

PLAIN, OCTETS, SDK = "plain HTTP", "Kith, octets", "Kith, SDK"
UP, FIRST, DOWN = "up", "first byte down", "down"
PIECE = 256 * 1024
PASSPHRASE = "nine grey geese over a bridge"  # noqa: S105 - synthetic
CHEAP = Cost(memory_kib=8 * 1024, passes=1, lanes=1)


class Plain:
    """The yardstick: a body to a file and back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - an ASGI application
        """PUT stores, GET reads."""
        file = self._folder / scope["path"].strip("/")
        if scope["method"] == "PUT":
            with file.open("wb") as out:
                more = True
                while more:
                    message = await receive()
                    out.write(message.get("body", b""))
                    more = message.get("more_body", False)
                out.flush()
                os.fsync(out.fileno())
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        length = str(file.stat().st_size).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        with file.open("rb") as found:
            while piece := found.read(PIECE):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


@dataclass
class Times:
    """Seconds by side and step."""

    found: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def add(self, side: str, step: str, seconds: float) -> None:
        """One more."""
        self.found.setdefault((side, step), []).append(seconds)

    def median(self, side: str, step: str) -> float:
        """Of all rounds."""
        return statistics.median(self.found[side, step])


@dataclass
class Side:
    """How one side brings bytes up (what it knows them by afterwards) and down again."""

    name: str
    up: Callable[[bytes], Awaitable[Any]]
    down: Callable[[Any], AsyncIterator[bytes]]


def plain_side(http: httpx.AsyncClient) -> Side:
    """One PUT, one GET."""

    async def up(data: bytes) -> str:
        (await http.put("/file", content=data)).raise_for_status()
        return "/file"

    async def down(path: str) -> AsyncIterator[bytes]:
        async with http.stream("GET", path) as answer:
            async for piece in answer.aiter_raw():
                yield piece

    return Side(PLAIN, up, down)


def octets_side(client: Client) -> Side:
    """The interface, with bytes that need nothing done."""

    async def up(data: bytes) -> tuple[str, int]:
        begun = await transfer.begin(client.api, len(data))

        async def piece_of(at: int) -> bytes:
            return data[at : at + begun.piece]

        await transfer.upload(client.api, begun.blob, len(data), 0, piece_of=piece_of, told=None)
        return begun.blob, len(data)

    async def down(what: tuple[str, int]) -> AsyncIterator[bytes]:
        async for piece in transfer.download(client.api, *what, None):
            yield piece

    return Side(OCTETS, up, down)


def sdk_side(client: Client) -> Side:
    """What `send_file` and `File.read` do, without the message around it."""

    async def up(data: bytes) -> Attached:
        sending = await prepared(client, "bench", [FileToSend(source=data)], "", None)
        await sending._one(0, None)
        return attached(sending)

    async def down(what: Attached) -> AsyncIterator[bytes]:
        async for piece in File(client, what)._pieces(None):
            yield piece

    return Side(SDK, up, down)


def attached(sending: Sending) -> Attached:
    """What a message would say of the first file."""
    out = outgoing(sending._record.files[0])
    return Attached(
        part=0, media_type="", inline=False, name="", description="", sealed=out.sealed, media=out.media, poster=None
    )


async def measured(side: Side, data: bytes, times: Times) -> None:
    """Up and down once."""
    begun = time.perf_counter()
    what = await side.up(data)
    times.add(side.name, UP, time.perf_counter() - begun)
    begun, length, first = time.perf_counter(), 0, None
    async for piece in side.down(what):
        first = first or time.perf_counter() - begun
        length += len(piece)
    times.add(side.name, DOWN, time.perf_counter() - begun)
    times.add(side.name, FIRST, first or 0.0)
    assert length == len(data), side.name


async def compare(origin: str, plain: str, store: Path, *, mb: int, rounds: int) -> Times:
    """All sides in turn."""
    data = os.urandom(sealed_size(mb * 1000 * 1000))
    times = Times()
    async with signed_in(origin, store, "bench") as client, httpx.AsyncClient(base_url=plain, timeout=60) as http:
        sides = [plain_side(http), octets_side(client), sdk_side(client)]
        for turn in range(rounds + 1):
            held = Times() if turn == 0 else times  # the first warms up
            for side in sides[turn % 3 :] + sides[: turn % 3]:
                await measured(side, data, held)
    return times


class signed_in:  # noqa: N801 - used like a function
    """A client with an account of its own."""

    def __init__(self, origin: str, store: Path, name: str) -> None:
        self._origin, self._name = origin, name
        self._client = Client(store, PASSPHRASE, cost=CHEAP)

    async def __aenter__(self) -> Client:
        await self._client.__aenter__()
        await self._client.sign_up(self._origin, handle=self._name, password=PASSPHRASE, born=(1990, 5))
        return self._client

    async def __aexit__(self, *how: object) -> None:
        await self._client.__aexit__(*how)


def peak_of(pid: int) -> int:
    """MB that a process had at most since `forget_peak`."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


def forget_peak(pid: int) -> None:
    """Count the peak anew (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


async def one_file(origin: str, mb: int, folder: Path) -> None:
    """A program of its own: a file up, down into a file, and its own peak on stdout."""
    source = folder / "source"
    with source.open("wb") as out:
        for _ in range(mb):
            out.write(os.urandom(1_000_000))
    async with signed_in(origin, folder / "one.kith", f"memory.{mb}") as client:
        sending = await prepared(client, "bench", [FileToSend(source=source)], "", None)
        await sending._one(0, None)
        await File(client, attached(sending)).save(folder / "saved")
        assert filecmp.cmp(folder / "saved", source, shallow=False)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def memory(server: Server, mb: int, folder: Path) -> tuple[int, int]:
    """Peaks in MB, of the server and of the program, for one file up and down."""
    assert server.process is not None
    folder.mkdir()
    forget_peak(server.process.pid)
    command = [sys.executable, __file__, "--one-file", str(mb), server.origin, str(folder)]
    program = subprocess.run(command, capture_output=True, text=True, check=False)
    assert program.returncode == 0, program.stderr
    return peak_of(server.process.pid), int(program.stdout)


def serve_plain(folder: Path, sock: socket.socket) -> None:
    """The yardstick, in a process of its own as Kith is."""
    folder.mkdir()
    if (pid := os.fork()) == 0:
        uvloop.run(server_of(Plain(folder)).serve(sockets=[sock]))
        os._exit(0)
    sock.close()
    threading.Thread(target=os.waitpid, args=(pid, 0), daemon=True).start()
    PROCESSES.append(pid)


PROCESSES: list[int] = []


def report(times: Times, mb: int) -> None:
    """Ratios, and what they are ratios of."""
    print(f"\n{mb} MB, medians as ratios to plain HTTP (load {os.getloadavg()[0]:.1f})\n")
    print(f"| | {UP} | {FIRST} | {DOWN} |\n|---|---|---|---|")
    for side in (PLAIN, OCTETS, SDK):
        cells = [f"{times.median(side, step) / times.median(PLAIN, step):.1f}" for step in (UP, FIRST, DOWN)]
        print(f"| {side} | {' | '.join(cells)} |")
    base = [f"{step} {times.median(PLAIN, step) * 1000:.0f} ms" for step in (UP, FIRST, DOWN)]
    rate = [f"{step} {mb / times.median(SDK, step):.0f} MB/s" for step in (UP, DOWN)]
    print(f"\nHere and now, plain HTTP: {', '.join(base)}. Kith with the SDK: {', '.join(rate)}.")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--mb", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", type=int, default=60, help="MB of the large file whose memory is looked at")
    parser.add_argument("--one-file", nargs=3, metavar=("MB", "ORIGIN", "FOLDER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one_file:
        mb, origin, folder = asked.one_file
        asyncio.run(one_file(origin, int(mb), Path(folder)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        [port] = free_ports(1)
        serve_plain(folder / "plain", listening("127.0.0.1", port))
        try:
            with served(folder) as server:
                plain = f"http://127.0.0.1:{port}"
                store = folder / "bench.kith"
                report(asyncio.run(compare(server.origin, plain, store, mb=asked.mb, rounds=asked.rounds)), asked.mb)
                small, large = memory(server, asked.mb, folder / "small"), memory(server, asked.large, folder / "large")
                print(f"Peak memory for {asked.mb} and {asked.large} MB: server {small[0]} and {large[0]} MB, ", end="")
                print(f"program on the SDK {small[1]} and {large[1]} MB.")
        finally:
            for pid in PROCESSES:
                os.kill(pid, 15)


if __name__ == "__main__":
    main()
