"""A demo in a process of its own, and synthetic people who visit it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

from kith.app import web
from kith.app.demo import obstacles
from kith.ledger.database import Database, Reader

T = TypeVar("T")
OPEN = "Ctrl-C stops it."
PATIENCE_S = 280.0
"""The first run may install and build the web client."""


def free_base() -> int:
    """A port whose two neighbours are free as well."""
    start = 20_000 + os.getpid() % 20_000
    return next(
        base for base in range(start, 60_000, 3) if not any(map(obstacles.busy, range(base, base + obstacles.PORTS)))
    )


def eventually(ask: Callable[[], T | None], what: str, within_s: float = 30.0) -> T:
    """The first answer that is not None (or False)."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.1)
    raise AssertionError(f"waited {within_s:.0f} s for {what}")


@dataclass
class Demo:
    """`kith demo`, as a person at a terminal starts and stops it."""

    data: Path
    port: int
    process: subprocess.Popen[str] | None = None
    took_s: float = 0.0

    @property
    def origin(self) -> str:
        """Where visitors go."""
        return f"http://localhost:{self.port}"

    @property
    def _file(self) -> Path:
        return self.data.with_suffix(".out")

    @property
    def output(self) -> str:
        """All it has printed in this run."""
        return self._file.read_text()

    def start(self) -> None:
        """Start it, and wait until it says that it is open."""
        began = time.monotonic()
        with self._file.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kith", "demo", "--data", str(self.data), "--port", str(self.port)],
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        eventually(self._opened, "the demo to open", PATIENCE_S)
        self.took_s = time.monotonic() - began

    def _opened(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the demo ended:\n{self.output}")
        return OPEN in self.output

    def stop(self) -> int:
        """Ctrl-C; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def end(self) -> None:
        """Leave nothing running."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()
            self.process.kill()

    def town(self) -> int | None:
        """The town's process id, if there is one."""
        assert self.process is not None
        listed = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        found = [line.split(None, 1) for line in listed.stdout.splitlines() if "kith.app.demo.town" in line]
        return int(found[0][0]) if found else None

    def read(self, question: Callable[..., T], *args: Any) -> T:
        """Ask the demo's database."""

        def asked(reader: Reader) -> T:
            return question(reader, *args)

        database = Database(self.data / "kith.db", {})
        try:
            return database.read_now(asked)
        finally:
            database.close_now()


@dataclass
class Visitors:
    """Synthetic people at devices of their own, driven line by line; they are what a visitor's browser would be."""

    origin: str
    process: subprocess.Popen[str] = field(init=False)
    _complaints: IO[str] = field(init=False)
    _last: int = 0

    def __post_init__(self) -> None:
        script = web.engine() / "stdio.js"
        # A pipe that nobody reads would stop them when full.
        self._complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed in close()
        self.process = subprocess.Popen(
            [*web.node(), str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
        )

    def do(self, person: str, op: str, **args: Any) -> Any:
        """One operation; its result."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._last += 1
        command = {"id": self._last, "person": person, "op": op, "args": args}
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        for line in self.process.stdout:
            said = json.loads(line)
            if said.get("id") == self._last:
                assert "error" not in said, said
                return said["result"]
        self._complaints.seek(0)
        raise AssertionError(f"the visitors' process ended: {self._complaints.read()[-4000:]}")

    def sign_in(self, handle: str, password: str, folder: Path) -> None:
        """Sign in at a new device, which becomes the account's first."""
        self.do(handle, "open", origin=self.origin, folder=str(folder))
        answer = self.do(handle, "sign_in_person", handle=handle, password=password)
        assert answer["phase"] == "needs-identity", answer
        self.do(handle, "make_identity")

    def chat(self, person: str, handle: str) -> dict[str, Any]:
        """The chat with somebody, once there is one."""

        def look() -> dict[str, Any] | None:
            return next((chat for chat in self.do(person, "chats") if chat["handle"] == handle), None)

        return eventually(look, f"a chat of {person} with {handle}")

    def heard(self, person: str, handle: str, more_than: int = 0) -> list[str]:
        """What somebody wrote, once it is more than so many messages."""
        room = self.chat(person, handle)["room"]

        def look() -> list[str] | None:
            messages = self.do(person, "thread", room=room)["messages"]
            texts = [one["text"] for one in messages if one["kind"] == "text" and not one["mine"]]
            return texts if len(texts) > more_than else None

        return eventually(look, f"{handle} writing to {person}")

    def close(self) -> None:
        """End their process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()
        self._complaints.close()
