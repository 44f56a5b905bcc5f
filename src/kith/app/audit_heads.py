"""Heads of the staff log, kept in a file outside the database: cutting the log short shows against them.

Whoever can write both can still cut both: `kith audit head` prints the newest for keeping elsewhere.
"""

from __future__ import annotations

from pathlib import Path

from kith.ledger.audit import Head

NAME = "audit-heads.log"


def append(data: Path, head: Head) -> None:
    """Add the head, if the log has grown since the last one."""
    newest = newest_of(data)
    if head.seq > (newest.seq if newest else 0):
        with (data / NAME).open("a") as file:
            file.write(f"{head}\n")


def newest_of(data: Path) -> Head | None:
    """The last head written; None before the first."""
    file = data / NAME
    lines = file.read_text().split() if file.is_file() else []
    return Head.parse(lines[-1]) if lines else None
