"""The store: sealed, bound, all or nothing, for those who know the passphrase."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from kith.sdk.errors import StoreError, WrongPassphrase
from kith.sdk.recovery import NotACode, format_code, open_aik, parse_code, seal_aik
from kith.sdk.vault import Vault
from sdk.meeting import CHEAP

SECRET = "the words that nobody else may read"


def filled(path: Path) -> None:
    """A store with two records."""
    vault = Vault.open(path, "pass", CHEAP)
    with vault.transaction():
        vault.put("messages", "room/1", SECRET)
        vault.put("messages", "room/2", "others")
    vault.close()


def test_nothing_of_a_record_is_on_the_disk(tmp_path: Path) -> None:
    """Neither in the file nor in its journal; the control finds the key, which stands in clear."""
    filled(tmp_path / "s")
    raw = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert SECRET.encode() not in raw
    assert b"room/1" in raw
    assert (tmp_path / "s").stat().st_mode & 0o077 == 0


def test_only_the_passphrase_opens_it(tmp_path: Path) -> None:
    """Another passphrase is refused; the right one reads what was written."""
    filled(tmp_path / "s")
    with pytest.raises(WrongPassphrase):
        Vault.open(tmp_path / "s", "pass2")
    vault = Vault.open(tmp_path / "s", "pass")
    assert vault.get("messages", "room/1", str) == SECRET
    assert vault.scan("messages", "room/", str, newest=1) == [("room/2", "others")]
    vault.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE records SET sealed = (SELECT sealed FROM records WHERE key = 'room/2') WHERE key = 'room/1'",
        "UPDATE records SET tbl = 'outbox' WHERE key = 'room/1'",
        "UPDATE records SET sealed = zeroblob(80) WHERE key = 'room/1'",
    ],
)
def test_a_moved_or_altered_record_is_refused(tmp_path: Path, change: str) -> None:
    """Records are bound to their table and key."""
    filled(tmp_path / "s")
    with sqlite3.connect(tmp_path / "s") as database:
        database.execute(change)
    database.close()
    vault = Vault.open(tmp_path / "s", "pass")
    with pytest.raises(StoreError, match="altered or moved"):
        vault.get("outbox" if "tbl" in change else "messages", "room/1", str)
    vault.close()


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    """What is interrupted leaves no trace, and writing outside one is a bug that is seen."""
    vault = Vault.open(tmp_path / "s", "pass", CHEAP)

    def interrupted() -> None:
        with vault.transaction():
            vault.put("meta", "one", 1)
            vault.put("meta", "two", object())

    with pytest.raises(TypeError):
        interrupted()
    assert vault.keys("meta") == []
    with pytest.raises(RuntimeError, match="inside a transaction"):
        vault.put("meta", "one", 1)
    vault.close()


def test_another_programs_file_is_left_alone(tmp_path: Path) -> None:
    """A database of somebody else, or no database at all, gets a sentence and keeps its bytes."""
    foreign, text = tmp_path / "f", tmp_path / "t"
    with sqlite3.connect(foreign) as database:
        database.execute("CREATE TABLE things (x)")
    database.close()
    text.write_text("a letter, long enough not to look like an empty database " * 20)
    for file in (foreign, text):
        before = file.read_bytes()
        with pytest.raises(StoreError):
            Vault.open(file, "pass", CHEAP)
        assert file.read_bytes() == before


def test_recovery_codes_survive_typing() -> None:
    """Any case, spaces, look-alikes; a slip is told from a wrong code."""
    code = bytes(range(20))
    shown = format_code(code)
    assert parse_code(shown.lower().replace("-", " ").replace("0", "o").replace("1", "l")) == code
    for typed in (shown[:-1], shown[:-1] + ("0" if shown[-1] != "0" else "1"), shown.replace("G", "U", 1)):
        with pytest.raises(NotACode):
            parse_code(typed)
    account = "mimi://kith.test/u/00000000-0000-4000-8000-000000000001"
    sealed = seal_aik(code, b"s" * 32, account, b"i" * 12)
    assert open_aik(code, sealed, account) == b"s" * 32
    assert open_aik(code, sealed, account[:-1] + "2") is None
    assert open_aik(bytes(20), sealed, account) is None
