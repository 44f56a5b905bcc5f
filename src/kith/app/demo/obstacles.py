"""What can stand in the way of a demo, each found before anything is started, each one sentence."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from kith.app.settings import SettingsError

NEEDED_MB = 500
"""Room for web packages, the build and a day of chatting."""
PORTS = 3
"""The people's client, the staff console, the practice CyberTipline."""
_MB = 1 << 20
_LAST_PORT = 65_535


class Obstacle(SettingsError):  # noqa: N818  it is a state of the machine, not a mistake
    """The demo cannot start; the message says what to do."""


def look(data: Path, port: int) -> None:
    """Raise the first obstacle."""
    if sys.version_info < (3, 11):  # noqa: UP036  an interpreter may be called by hand, around the package's own check
        raise Obstacle(f"Python {sys.version.split()[0]} is too old; Kith needs 3.11 or newer.")
    if not 1 <= port <= _LAST_PORT - PORTS + 1:
        raise Obstacle(f"{port} is no port to use. Choose one between 1024 and {_LAST_PORT - PORTS + 1}.")
    if (data / "town" / "story.json").is_file():
        raise Obstacle(old_town_sentence(data))
    free_mb = shutil.disk_usage(_existing(data)).free // _MB
    if free_mb < NEEDED_MB:
        raise Obstacle(disk_sentence(free_mb))
    for one in range(port, port + PORTS):
        if busy(one):
            raise Obstacle(port_sentence(one, port))


def old_town_sentence(data: Path) -> str:
    """The folder is of the time when the town ran on the web client's engine; its stores cannot be read here."""
    return (
        f"The town in {data} was made by an earlier Kith and cannot go on in this one. "
        "Name another folder with --data, or forget it: make demo-reset"
    )


def disk_sentence(free_mb: int) -> str:
    """The disk is nearly full."""
    return f"The disk has {free_mb} MB left and the demo needs {NEEDED_MB}. Free some space and run it again."


def port_sentence(busy_port: int, first: int) -> str:
    """A port is taken; names a way out that does not overlap."""
    other = first + 100 if first + 100 + PORTS <= _LAST_PORT else 8100
    return f"Port {busy_port} is in use. Stop what uses it, or run: make demo PORT={other}"


def busy(port: int) -> bool:
    """Whether somebody listens here, on either loopback: a browser tries both for `localhost`."""
    return any(_busy(family, host, port) for family, host in _LOOPBACKS)


_LOOPBACKS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


def _busy(family: socket.AddressFamily, host: str, port: int) -> bool:
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except PermissionError:
            raise Obstacle(f"Port {port} needs an administrator. Run: make demo PORT=8100") from None
        except OSError as error:  # a machine without IPv6 has nobody listening there
            return error.errno == errno.EADDRINUSE
    return False


def _existing(path: Path) -> Path:
    """The nearest folder that is there."""
    path = path.resolve()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


@contextlib.contextmanager
def alone(data: Path) -> Iterator[None]:
    """One demo per folder: two servers on one database would not hear each other."""
    data.parent.mkdir(parents=True, exist_ok=True)
    with (data.parent / f"{data.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Obstacle(f"A demo already runs from {data}. Use that one, or stop it with Ctrl-C first.") from None
        yield
