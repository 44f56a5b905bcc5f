"""`kith serve` in a child process whose imports are done already, so that a proof can start it a thousand times."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import kith.app.serving  # noqa: F401  imported before the fork, or every child would spend seconds on it
from kith.app import cli
from kith.app.wiring import Kith
from kith.messaging.limits import DEFAULTS
from kith.people import handles

PACE = ("frames_per_second", "frames_burst", "submits_per_second", "submits_burst", "backlog")
"""Limits of a person's pace."""
START_S = 60.0
ENDED_S = 30.0


def free_ports(count: int) -> list[int]:
    """Ports that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


def warm(data: Path) -> None:
    """Do once, on a prepared server, what every child would do anew: compile statements, read tables and templates."""
    with tempfile.TemporaryDirectory() as folder:  # a copy, because a server locks its folder
        Kith(shutil.copytree(data, Path(folder) / "server")).database.close_now()
    handles.skeleton("warm")
    gc.freeze()


class Forked:
    """A running `kith serve --data DATA`."""

    def __init__(
        self, data: Path, port: int, log: Path, plant: Callable[[], None] | None = None, *, paced: bool = False
    ) -> None:
        """Start it. `plant` runs in the child first: controls weaken it there, never by a setting of the product.

        Unless `paced`, the limits of pace are so high that they never bite: a client that sends on without waiting
        for answers and is told `limited` for one of its messages has itself put that one behind the next.
        """
        self.port, self.log = port, log
        self.pid = os.fork()
        if self.pid == 0:
            _serve(data, log, plant, paced=paced)
        self._status: int | None = None

    @property
    def url(self) -> str:
        """Where its stream is."""
        return f"ws://127.0.0.1:{self.port}/ws"

    def wait_until_up(self) -> None:
        """Wait until its port answers; raises AssertionError with its log when it ends instead."""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
                return
            if self.ended() is not None:
                break
            time.sleep(0.005)
        raise AssertionError(f"the server did not start:\n{self.log.read_text()}")

    def ended(self) -> int | None:
        """Its exit code (minus the signal's number), None while it runs."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status

    def wait(self, seconds: float = ENDED_S) -> int | None:
        """Its exit code; None when it still runs after that time."""
        until = time.monotonic() + seconds
        while self.ended() is None and time.monotonic() < until:
            time.sleep(0.002)
        return self.ended()

    def kill(self) -> None:
        """kill -9."""
        if self.ended() is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def stop(self) -> int | None:
        """SIGTERM; its exit code."""
        if self.ended() is None:
            os.kill(self.pid, signal.SIGTERM)
        return self.wait()


def lift_pace() -> None:
    """No limit of pace bites in this process any more; the limits themselves still run."""
    for name in PACE:
        object.__setattr__(DEFAULTS, name, 10_000_000)  # frozen for the product


def _serve(data: Path, log: Path, plant: Callable[[], None] | None, *, paced: bool) -> None:
    """What the child does: never returns."""
    code = 1
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        if not paced:
            lift_pace()
        if plant is not None:
            plant()
        sys.argv = ["kith", "serve", "--data", str(data)]
        cli.main()
        code = 0
    except SystemExit as ended:
        if isinstance(ended.code, str):  # the interpreter would print it; this child ends without its help
            sys.stderr.write(f"{ended.code}\n")
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001  the log is read by whoever finds the wrong exit code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
