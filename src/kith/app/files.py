"""Files that survive a power cut, readable by their owner alone; and the mark that a server lives in a folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

LOCK = "kith.lock"


def write_durably(path: Path, content: bytes) -> None:
    """Write a 0600 file and wait until it is on the disk; its name is not yet (`settle`)."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def settle(path: Path) -> None:
    """Make a file's content, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class OccupiedError(RuntimeError):
    """A server runs in the folder, or a restore is at work there."""


class Occupancy:
    """Held while a server or a restore works in a folder; the system lets go of it when the process dies."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise OccupiedError(f"A server runs in {folder}. Stop it first.") from None

    def leave(self) -> None:
        """Let go."""
        os.close(self._descriptor)
