"""How tables are described: every one with a purpose and a retention, every column with a comment.

`docs/data.md` is generated from these descriptions, so nothing can be kept that is not listed.
"""

from __future__ import annotations

from typing import Literal

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text

Kind = Literal["log", "projection", "personal", "operational", "secret"]
"""log: append-only · projection: rebuilt by replaying events · personal: erasable names, texts, addresses
· operational: queues, cursors, limits · secret: hashes and sealed keys."""

metadata = MetaData()


def table(
    name: str, *parts: Column[object] | Index, purpose: str, retention: str, kind: Kind, by_key: bool = False
) -> Table:
    """Describe one table; refuses columns without a comment.

    `by_key`: rows lie in the order of their key, one B-tree instead of two; for short rows (a few hundred bytes).
    """
    silent = [part.name for part in parts if isinstance(part, Column) and not part.comment]
    if silent:
        raise ValueError(f"table {name}: say what these columns hold: {', '.join(map(str, silent))}")
    counts_up = any(isinstance(part, Column) and part.autoincrement is True for part in parts)
    info = {"purpose": purpose, "retention": retention, "kind": kind}
    # Without AUTOINCREMENT SQLite gives a deleted last row's number out again.
    return Table(name, metadata, *parts, info=info, sqlite_autoincrement=counts_up, sqlite_with_rowid=not by_key)


def text(name: str, comment: str, *, key: bool = False, null: bool = False) -> Column[object]:
    """A text column; `key` makes it (part of) the primary key."""
    return Column(name, Text, primary_key=key, nullable=null and not key, comment=comment)


def number(name: str, comment: str, *, key: bool = False, null: bool = False) -> Column[object]:
    """A 64-bit integer column: counts, milliseconds, or 0/1 for no/yes."""
    return Column(name, BigInteger, primary_key=key, nullable=null and not key, comment=comment, autoincrement=False)


def serial(name: str, comment: str) -> Column[object]:
    """The primary key that the database counts up itself, never reusing a number."""
    number_type = Integer().with_variant(BigInteger, "postgresql")
    return Column(name, number_type, primary_key=True, comment=comment, autoincrement=True)


def data(name: str, comment: str, *, key: bool = False, null: bool = False) -> Column[object]:
    """A column of bytes."""
    return Column(name, LargeBinary, primary_key=key, nullable=null and not key, comment=comment)


events = Table(
    "events",
    metadata,
    serial("position", "order of the events; cursors count in it"),
    number("at_ms", "when it was recorded"),
    text("kind", "which event: room:subject:action"),
    text("body", "the event as JSON: ids, numbers and closed words, never names, texts or addresses"),
    info={
        "purpose": "every fact that Kith records; projections are rebuilt from it",
        "retention": "life of the accounts concerned",
        "kind": "log",
    },
    sqlite_autoincrement=True,
)

cursors = table(
    "cursors",
    text("reader", "which job reads the ledger", key=True),
    number("position", "the last event position it has dealt with"),
    purpose="where each reader of the ledger stands",
    retention="life of the server",
    kind="operational",
)

settings_kept = table(
    "server",
    text("name", "which setting", key=True),
    text("value", "its value, written once by `kith init`"),
    purpose="the server's own name and identifiers, which may never change",
    retention="life of the server",
    kind="operational",
)
