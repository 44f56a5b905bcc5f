"""Who takes part: Kith from a source tree, the relay that is the floor, and other servers when they are installed.

Each runs in processes of its own on a free port of this machine, with its limits off, in a folder that goes after.
"""

from __future__ import annotations

import abc
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

HERE = Path(__file__).parent
START_PATIENCE_S = 60.0


class NotHere(Exception):  # noqa: N818  a fact about this machine, not a fault
    """This server cannot take part; the message says why."""


class Server(abc.ABC):
    """A server that the generator can talk to."""

    name: str
    protocol: str
    durable: str
    """What the server has done when it confirms a message."""
    groups: bool = True
    """Whether one message reaches a whole room."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @abc.abstractmethod
    def command(self) -> list[str]:
        """How it is started; writes what it needs into its folder first."""

    @abc.abstractmethod
    def version(self) -> str:
        """Its version in a few words."""

    def environment(self) -> dict[str, str]:
        """Of its process."""
        return dict(os.environ)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = self.command()
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment())
        until = time.monotonic() + START_PATIENCE_S
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.5):
                return
            time.sleep(0.02)
        said = (self.folder / "server.log").read_text(errors="replace")[-2000:]
        self.stop()
        raise RuntimeError(f"{self.name} did not start:\n{said}")

    @property
    def pid(self) -> int:
        """Of its first process; the generator finds the others."""
        assert self.process is not None
        return self.process.pid

    def stop(self) -> None:
        """Ask it to stop; insist after a while."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """kill -9: nothing is flushed, nobody is told."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


class Kith(Server):
    """The whole product: one process, everything on."""

    protocol = "kith"
    durable = "yes, fsync"

    def __init__(self, folder: Path, town: Path, source: Path, name: str = "Kith") -> None:
        super().__init__(folder)
        self.name, self._town, self._source = name, town, source

    def command(self) -> list[str]:
        """Its own copy of the town, on free ports."""
        data = self.folder / "server"
        if not data.is_dir():
            shutil.copytree(self._town / "server", data)
        settings = data / "kith.toml"
        text = re.sub(r"(?m)^port = \d+$", f"port = {self.port}", settings.read_text())
        settings.write_text(re.sub(r"(?m)^staff_port = \d+$", f"staff_port = {free_port()}", text))
        return [sys.executable, str(HERE / "serve.py"), "serve", "--data", str(data)]

    def environment(self) -> dict[str, str]:
        """With the source tree that it is to run."""
        return {**os.environ, "PYTHONPATH": str(self._source / "src")}

    def version(self) -> str:
        """Version and commit."""
        ask = ["git", "-C", str(self._source), "describe", "--always", "--dirty"]
        found = subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()
        return found or "no commit"


class Relay(Server):
    """The floor: C, epoll, from one socket to the other, and nothing else."""

    name, protocol, durable, groups = "C relay (floor)", "relay", "no", False

    def command(self) -> list[str]:
        """The compiled relay."""
        return [str(compiled("relay", self.folder)), str(self.port)]

    def version(self) -> str:
        """Ours."""
        return "relay.c"


class Mosquitto(Server):
    """MQTT 3.1.1 at QoS 1, from memory, without limits."""

    name, protocol, durable = "mosquitto QoS 1", "mqtt", "no"
    CONFIGURATION: ClassVar = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_inflight_messages 0
max_queued_messages 0
set_tcp_nodelay true
log_type error
"""

    def command(self) -> list[str]:
        """A configuration of its own."""
        file = self.folder / "mosquitto.conf"
        file.write_text(self.CONFIGURATION.format(port=self.port))
        return [program("mosquitto"), "-c", str(file)]

    def version(self) -> str:
        """As it says."""
        said = subprocess.run([program("mosquitto"), "-h"], capture_output=True, text=True, check=False)
        return (said.stdout or said.stderr).splitlines()[0].removeprefix("mosquitto version ")


def program(name: str) -> str:
    """Where an installed program is; NotHere when it is not."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise NotHere("not installed")
    return found


def compiled(name: str, folder: Path) -> Path:
    """One of the C programs beside this file, compiled for this machine."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise NotHere(
            f"benches/delivery/{name}.c needs a C compiler and there is none here; on Debian: apt install gcc"
        )
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / name
    subprocess.run([compiler, "-O2", "-o", str(made), str(HERE / f"{name}.c")], check=True)
    return made


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
