"""Heads of the staff log, kept in a file outside the database: cutting the log short shows against them.

Whoever can write both can still cut both: `kith audit head` prints the newest for keeping elsewhere.
"""

from __future__ import annotations

import os
from pathlib import Path

from kith.ledger.audit import Head

NAME = "audit-heads.log"
CUT_SHORT = " (cut short)\n"
"""Ends a line that a power cut left unfinished."""


def append(data: Path, head: Head) -> None:
    """Add the head, durably, if the log has grown since the last one."""
    newest = newest_of(data)
    if head.seq > (newest.seq if newest else 0):
        with (data / NAME).open("a") as file:
            file.write(f"{'' if _ends_whole(data / NAME) else CUT_SHORT}{head}\n")
            file.flush()
            os.fsync(file.fileno())


def newest_of(data: Path) -> Head | None:
    """The last head written whole; None before the first."""
    file = data / NAME
    lines = file.read_text().splitlines(keepends=True) if file.is_file() else []
    whole = [line for line in lines if line.endswith("\n") and not line.endswith(CUT_SHORT)]
    return Head.parse(whole[-1].strip()) if whole else None


def _ends_whole(file: Path) -> bool:
    """False after a power cut in the middle of a line."""
    return file.stat().st_size == 0 or file.read_bytes().endswith(b"\n")
