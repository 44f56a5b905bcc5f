"""Room on the disk: below a watermark the server takes nothing new, before the disk itself refuses.

A full disk would end the process (`ledger.failstop`). Read-only comes earlier and is calm: people read, receive, sign
in, report, block and leave as before, all of which need little room, and nobody's message is taken that could not be
kept. It ends by itself when there is space again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger("kith.disk")

MEGABYTE: Final = 1024 * 1024
USUAL_RESERVE: Final = 256 * MEGABYTE
SMALL_DISK_SHARE: Final = 20
"""The reserve is at most one part in so many of the disk, unless it is set: a small disk would never be writable."""
LOOK_EVERY_S: Final = 1.0
"""At a hundred megabytes a second the usual reserve lasts longer than two looks."""
RETRY_MS: Final = 30_000
"""When clients may try again."""
PAGE: Final = 4096
"""SQLite maps its index in pages of this size; see `check_blocks`."""

SENTENCE: Final = (
    "The server is short of disk space and takes nothing new for now. What was sent before is safe, and you can go on "
    "reading. Your message waits on this device."
)
WHOLE: Final = (
    "The server is short of disk space and takes nothing new for now. Try again later; you can go on reading."
)


class Disk:
    """Whether there is room for new things on the disk that holds a folder."""

    def __init__(
        self, folder: Path, reserve_mb: int | None, *, statvfs: Callable[[Path], os.statvfs_result] = os.statvfs
    ) -> None:
        self._folder, self._statvfs = folder, statvfs
        found = statvfs(folder)
        usual = min(USUAL_RESERVE, found.f_blocks * found.f_frsize // SMALL_DISK_SHARE)
        self.reserve = usual if reserve_mb is None else reserve_mb * MEGABYTE
        """Bytes below which the server is read-only."""
        self.resume = self.reserve + self.reserve // 4
        """Bytes from which it takes new things again; more than the reserve, so that it does not flicker."""
        self.read_only = False
        self.look()

    def look(self) -> None:
        """Measure, and say so when the answer changes."""
        free = self.free()
        before, self.read_only = self.read_only, free < (self.resume if self.read_only else self.reserve)
        if self.read_only and not before:
            log.warning(
                "read-only", free_mb=free // MEGABYTE, until_mb=self.resume // MEGABYTE, folder=str(self._folder)
            )
        elif before and not self.read_only:
            log.warning("writable-again", free_mb=free // MEGABYTE)

    def free(self) -> int:
        """Bytes that this process may still use."""
        found = self._statvfs(self._folder)
        return found.f_bavail * found.f_frsize

    def check_blocks(self) -> str | None:
        """Why starting here is dangerous now, or None.

        Where blocks are smaller than SQLite's mapped pages, a page of the shared index can lie on a block that a full
        disk cannot give: touching it ends the process by SIGBUS instead of an error. With room left it cannot happen.
        """
        found = self._statvfs(self._folder)
        if found.f_frsize >= PAGE or not self.read_only:
            return None
        return (
            f"The disk of {self._folder} is nearly full and has blocks of {found.f_frsize} bytes, on which SQLite can "
            f"crash. Free {self.resume // MEGABYTE} MB, or move the folder to a disk with blocks of {PAGE} bytes."
        )


OPEN_WHEN_READ_ONLY: Final = ("age", "sessions", "recovery", "me/", "blocks/", "hushes/", "reports", "notices/")
"""Paths under /api/v1/ that go on: signing in, one's own account, and every way to get help or out of harm's reach."""
OPEN_ENDINGS: Final = ("/decline", "/leave")


def needs_room(method: str, path: str) -> bool:
    """Whether a request makes something new, and so waits until there is space. Unknown paths do."""
    if method in ("GET", "HEAD", "OPTIONS", "DELETE"):
        return False
    return not path.removeprefix("/api/v1/").startswith(OPEN_WHEN_READ_ONLY) and not path.endswith(OPEN_ENDINGS)
