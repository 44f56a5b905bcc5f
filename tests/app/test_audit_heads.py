"""The staff log against heads outside the database."""

from __future__ import annotations

from pathlib import Path

import apsw

from kith.app import audit_heads
from kith.app.looking import verify_audit
from kith.ledger import audit
from kith.ledger.audit import Access
from kith.ledger.database import Database


def written(folder: Path, entries: int) -> None:
    """A staff log with some reads, and its head in the file."""
    database = Database(folder / "kith.db", {})
    database.create_tables()
    for n in range(entries):
        access = Access(actor="staff", role="reviewer", action="exhibit.read", object=str(n))
        database.write_now(audit.write, access)
    audit_heads.append(folder, database.read_now(audit.head))
    database.close_now()


def test_an_untouched_log_is_intact(tmp_path: Path) -> None:
    """The control: nothing altered, nothing found."""
    written(tmp_path, 5)
    sentence, intact = verify_audit(tmp_path, "")
    assert intact, sentence
    assert "agrees with the head kept outside" in sentence


def test_a_log_cut_short_shows_against_the_head_outside(tmp_path: Path) -> None:
    """The last entries removed: the chain alone is whole, the head outside tells."""
    written(tmp_path, 5)
    apsw.Connection(str(tmp_path / "kith.db")).execute("delete from audit where seq > 3")
    assert not verify_audit(tmp_path, "")[1]
    (tmp_path / audit_heads.NAME).unlink()
    assert verify_audit(tmp_path, "")[1], "without a head outside a cut cannot show"


def test_heads_are_added_only_when_the_log_grew(tmp_path: Path) -> None:
    """One line for each new head; a shorter log adds none that would excuse it."""
    written(tmp_path, 3)
    written_before = (tmp_path / audit_heads.NAME).read_text()
    database = Database(tmp_path / "kith.db", {})
    audit_heads.append(tmp_path, database.read_now(audit.head))
    database.close_now()
    apsw.Connection(str(tmp_path / "kith.db")).execute("delete from audit where seq > 1")
    again = Database(tmp_path / "kith.db", {})
    audit_heads.append(tmp_path, again.read_now(audit.head))
    again.close_now()
    assert (tmp_path / audit_heads.NAME).read_text() == written_before
