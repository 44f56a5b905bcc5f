"""Where the bytes of blobs lie: what every storage promises, and the folder on the server's own disk."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from kith.messaging.blob_format import DamagedError

PARTIAL = ".part"


class StorageAwayError(Exception):
    """The storage does not answer now; nothing is lost, and trying again later may help."""


class Appending(Protocol):
    """An upload that goes on. Calls block, so they run in threads; one at a time for a blob."""

    def tail(self, start: int) -> bytes:
        """What is stored from here on."""

    def write(self, data: bytes) -> None:
        """Store behind what is there."""

    def settle(self) -> None:
        """Everything written is durable when this returns."""

    def finish(self) -> None:
        """All is there: settle, and make it readable under its id. May take long where that is far away."""

    def close(self) -> None:
        """Let go; what was not settled may be lost."""


class Reading(Protocol):
    """Stored bytes, one after the other."""

    def read(self, length: int) -> bytes:
        """The next bytes; DamagedError when there are fewer."""

    def close(self) -> None:
        """Let go."""


class Storage(Protocol):
    """A place for the stored bytes of blobs."""

    def append(self, blob: str, length: int) -> Appending:
        """Go on behind `length` stored bytes; whatever is behind them was never acknowledged and goes.

        DamagedError when fewer are there.
        """

    def read(self, blob: str, start: int, size: int) -> Reading:
        """A complete blob of `size` stored bytes, from `start` on; DamagedError when it is not there as such."""

    def has(self, blob: str, size: int) -> bool:
        """Whether a complete blob of `size` stored bytes is there; nothing is read."""

    def remove(self, blob: str) -> None:
        """Remove complete and partial bytes; nothing when there are none."""

    def listed(self, older_than_s: float) -> Iterator[str]:
        """The ids of everything here that was not touched for so long."""


class Folder:
    """Blobs as files below a folder: `ab/abcd…` when complete, `ab/abcd….part` before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def append(self, blob: str, length: int) -> FolderAppending:
        """A partial file, cut to what was acknowledged."""
        complete, partial = self.path(blob), self.partial(blob)
        if not partial.parent.is_dir():
            self._make(partial.parent)
        if not partial.exists() and complete.exists():  # renamed, and then the server died before it was recorded
            complete.rename(partial)
        partial.touch(mode=0o600)
        if partial.stat().st_size < length:
            raise DamagedError(blob)
        os.truncate(partial, length)
        if length == 0:
            _settle_folder(partial.parent)
        file = partial.open("r+b", buffering=0)
        file.seek(length)
        return FolderAppending(file, partial, complete)

    def read(self, blob: str, start: int, size: int) -> FolderReading:
        """A complete file of the right size."""
        try:
            file = self.path(blob).open("rb")
        except FileNotFoundError:
            raise DamagedError(blob) from None
        if os.fstat(file.fileno()).st_size != size:
            file.close()
            raise DamagedError(blob)
        file.seek(start)
        return FolderReading(file, blob)

    def has(self, blob: str, size: int) -> bool:
        """A complete file of the right size."""
        try:
            return self.path(blob).stat().st_size == size
        except FileNotFoundError:
            return False

    def remove(self, blob: str) -> None:
        """Unlink both."""
        self.partial(blob).unlink(missing_ok=True)
        self.path(blob).unlink(missing_ok=True)

    def listed(self, older_than_s: float) -> Iterator[str]:
        """Every file's id."""
        before = time.time() - older_than_s
        for file in sorted(self.folder.glob("??/*")):
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                if file.stat().st_mtime < before:
                    yield file.name.removesuffix(PARTIAL)

    def path(self, blob: str) -> Path:
        """Where a complete blob lies."""
        return self.folder / blob[:2] / blob

    def partial(self, blob: str) -> Path:
        """Where an incomplete one lies."""
        return self.path(blob).with_name(blob + PARTIAL)

    def _make(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _settle_folder(folder.parent)
        _settle_folder(folder.parent.parent)


class FolderAppending:
    """A partial file."""

    def __init__(self, file: BinaryIO, partial: Path, complete: Path) -> None:
        self._file, self._partial, self._complete = file, partial, complete

    def tail(self, start: int) -> bytes:
        """From here to the end, where writing goes on."""
        end = self._file.tell()
        self._file.seek(start)
        found = self._file.read(end - start)
        self._file.seek(end)
        return found

    def write(self, data: bytes) -> None:
        """All of it, or an OSError."""
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def settle(self) -> None:
        """Wait for the disk."""
        os.fsync(self._file.fileno())

    def finish(self) -> None:
        """The bytes first, then the name; neither is acknowledged before both are on the disk."""
        self.settle()
        self._partial.rename(self._complete)
        _settle_folder(self._complete.parent)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class FolderReading:
    """A complete file."""

    def __init__(self, file: BinaryIO, blob: str) -> None:
        self._file, self._blob = file, blob

    def read(self, length: int) -> bytes:
        """The next bytes; what a disk cannot read is damaged for its reader, and ends nothing else."""
        try:
            found = self._file.read(length)
        except OSError as failure:
            raise DamagedError(self._blob) from failure
        if len(found) != length:
            raise DamagedError(self._blob)
        return found

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _settle_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
