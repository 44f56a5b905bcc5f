"""Looking at a server from the command line, read-only."""

from __future__ import annotations

import code
from pathlib import Path

from kith.app import audit_heads
from kith.app.settings import SettingsError
from kith.ledger import audit
from kith.ledger import log as ledger
from kith.ledger.database import Database


def opened(data: Path) -> Database:
    """The server's database; one sentence if there is none."""
    if not (data / "kith.db").is_file():
        raise SettingsError(f"{data} holds no server. Make one with `kith init`, or name its folder with --data.")
    return Database(data / "kith.db", {})


def verify_audit(data: Path, head: str) -> tuple[str, bool]:
    """What the staff log's check says, and whether it is intact."""
    database = opened(data)
    try:
        kept = audit.Head.parse(head) if head else audit_heads.newest_of(data)
        verdict = database.read_now(audit.verify, kept)
        if isinstance(verdict, audit.Broken):
            return f"Broken at entry {verdict.at}: {verdict.why}.", False
        reads = database.read_now(audit.reads)
        against = ", and agrees with the head kept outside" if verdict.anchored else ""
        entries = f"{verdict.head.seq} entries, {reads} of them reads of evidence"
        return f"Intact{against}: {entries}. Head {verdict.head}", True
    finally:
        database.close_now()


def audit_head(data: Path) -> str:
    """The newest head of the staff log, SEQ:HASH."""
    database = opened(data)
    try:
        return str(database.read_now(audit.head))
    finally:
        database.close_now()


def prompt(data: Path) -> None:
    """A Python prompt: `database`, `events()`, `ask(statement, **facts)`."""
    database = opened(data)

    def events() -> list[ledger.Recorded]:
        return list(ledger.every(database))

    def ask(statement: object, **facts: object) -> object:
        return database.read_now(lambda reader: reader.all(statement, **facts))  # type: ignore[arg-type]

    banner = f"Kith, {data}. `events()` lists the ledger; `ask(select(table))` asks; nothing here writes."
    code.interact(banner, local={"database": database, "events": events, "ask": ask})
