"""A real server in a process of its own, and real browsers: what the journeys stand on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from playwright.sync_api import Browser, Playwright, ViewportSize

from kith.app import setting_up
from kith.app.settings import Operator
from kith.app.tipline import Tipline

BROWSER_ARGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
]

STAFF_PASSWORD = "nine grey herons at dawn"
PHONE: ViewportSize = {"width": 390, "height": 844}


def chromium_path() -> str | None:
    """Where Chromium is, if it is."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def free_ports(count: int) -> list[int]:
    """Ports that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


@dataclass
class Server:
    """A server's folder and its process."""

    data: Path
    port: int
    staff_port: int
    rules: dict[str, str] = field(default_factory=dict)
    tipline: tuple[str, str, str] = ("", "", "")
    client: Path | None = None
    """A client to serve in place of web/dist."""
    program: tuple[str, ...] = ("-m", "kith")
    """What runs it: `kith`, or something that lifts its limits for a bench."""
    process: subprocess.Popen[str] | None = None

    @property
    def origin(self) -> str:
        """Where people's browsers go."""
        return f"http://localhost:{self.port}"

    @property
    def staff_origin(self) -> str:
        """Where staff's browsers go."""
        return f"http://staff.localhost:{self.staff_port}"

    @property
    def log(self) -> Path:
        """Everything the server printed."""
        return self.data.parent / f"{self.data.name}.log"

    def create(self) -> None:
        """Make the server's folder."""
        setting_up.create(
            self.data,
            name="kith.localhost",
            origin=self.origin,
            staff_origin=self.staff_origin,
            port=self.port,
            staff_port=self.staff_port,
            rules=self.rules,
            operator=Operator(
                name="Kith test community", first_name="Tess", last_name="Tester", email="safety@kith.example"
            ),
            tipline=self.tipline,
        )
        settings = self.data / "kith.toml"
        named = 'first_name = "Olu"\nlast_name = "Ade"\nemail = "safety@kith.example"'
        settings.write_text(settings.read_text().replace('first_name = ""\nlast_name = ""\nemail = ""', named))

    def add_staff(self, login: str, *roles: str) -> None:
        """Add a member of staff, as `kith staff add` does; the server may be running."""
        setting_up.add_staff(self.data, login, roles, STAFF_PASSWORD)

    def start(self) -> None:
        """Start it and wait until both ports answer."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.program, "serve", "--data", str(self.data)],
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                env=self._environment(),
            )
        for port in (self.port, self.staff_port):
            self._wait_for(port)

    def _environment(self) -> dict[str, str]:
        named = {} if self.client is None else {"KITH_CLIENT_DIR": str(self.client)}
        return {**os.environ, "PYTHONUNBUFFERED": "1", **named}

    def _wait_for(self, port: int) -> None:
        until = time.monotonic() + 90
        while time.monotonic() < until:
            if self.process is None or self.process.poll() is not None:
                raise AssertionError(f"the server ended:\n{self.log.read_text()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                return
            time.sleep(0.05)
        raise AssertionError(f"nothing answers on {port}:\n{self.log.read_text()}")

    def kill(self) -> None:
        """kill -9: nothing is flushed, nobody is told."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> None:
        """Ask it to stop, and see that it does."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise


class PracticeTipline:
    """The practice CyberTipline, serving from a thread of its own for as long as the block runs."""

    USERNAME, PASSWORD = "journey", "six white geese"

    def __init__(self) -> None:
        self.line = Tipline(self.USERNAME, self.PASSWORD)
        self.endpoint = ""
        self._loop = asyncio.new_event_loop()
        self._done = asyncio.Event()

    def __enter__(self) -> Self:
        ready = threading.Event()

        async def serve() -> None:
            async with self.line.listening() as self.endpoint:
                ready.set()
                await self._done.wait()

        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(serve(),), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(10)
        self._loop.close()

    def settings(self, folder: Path) -> tuple[str, str, str]:
        """Endpoint, user name and password file, as `kith.toml` wants them."""
        file = folder / "tipline-password"
        file.touch(0o600)
        file.write_text(self.PASSWORD)
        return self.endpoint, self.USERNAME, str(file)


@contextlib.contextmanager
def served(folder: Path, **options: Any) -> Iterator[Server]:
    """A fresh server, running."""
    port, staff_port = free_ports(2)
    server = Server(folder / "server", port, staff_port, **options)
    server.create()
    try:
        server.start()
        yield server
    finally:
        server.stop()


def launch(playwright: Playwright) -> Browser:
    """Debian's Chromium."""
    path = chromium_path()
    assert path is not None
    return playwright.chromium.launch(executable_path=path, args=BROWSER_ARGS)
