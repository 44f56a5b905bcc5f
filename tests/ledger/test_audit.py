"""The staff log: what its chain and an outside head show, and what each alone cannot."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kith.ledger import audit
from kith.ledger.audit import GENESIS, Access, Broken, Head, Intact
from kith.ledger.database import Database, Row

LENGTH = 30
TAMPERINGS = 10_000
Log = list[Row]


def access(number: int = 0, **changes: Any) -> Access:
    """An ordinary read of evidence."""
    words: dict[str, Any] = {
        "actor": f"reviewer-{number % 5}",
        "role": "reviewer",
        "action": "evidence.read",
        "object": f"exhibit-{number}",
        "case": f"case-{number % 7}",
        "purpose": "review",
        "request": f"request-{number}",
    }
    return Access(**{**words, **changes})


def row_of(entry: Access, *, seq: int, ms: int, prev: bytes) -> Row:
    """A row as the database keeps it."""
    digest = audit.entry_hash(prev, audit.encode(entry, seq=seq, ms=ms))
    fields = {name: getattr(entry, name) for name in Access.__struct_fields__}
    return Row(fields | {"seq": seq, "ms": ms, "prev": prev, "hash": digest})


def log_of(length: int) -> Log:
    """An honest log."""
    rows: Log = []
    for number in range(1, length + 1):
        prev = rows[-1]["hash"] if rows else GENESIS
        rows.append(row_of(access(number), seq=number, ms=1_000 + number, prev=prev))
    return rows


def rechained(rows: Log) -> Log:
    """The same words with numbers and hashes made to fit again: what a skilled insider would do."""
    made: Log = []
    for number, row in enumerate(rows, start=1):
        entry = Access(**{name: row[name] for name in Access.__struct_fields__})
        prev = made[-1]["hash"] if made else GENESIS
        made.append(row_of(entry, seq=number, ms=row["ms"], prev=prev))
    return made


def head_of(rows: Log) -> Head:
    """The head that an outsider kept."""
    return Head(rows[-1]["seq"], rows[-1]["hash"])


def alter(rows: Log, chance: random.Random) -> Log:
    """Change one field of one entry."""
    at = chance.randrange(len(rows))
    field = chance.choice(("actor", "role", "action", "object", "case", "purpose", "outcome", "request", "ms"))
    row = Row(rows[at])
    row[field] = row["ms"] + chance.randrange(1, 9) if field == "ms" else f"{row[field]}-{chance.randrange(9)}"
    return [*rows[:at], row, *rows[at + 1 :]]


def delete(rows: Log, chance: random.Random) -> Log:
    """Take one entry out."""
    at = chance.randrange(len(rows))
    return [*rows[:at], *rows[at + 1 :]]


def reorder(rows: Log, chance: random.Random) -> Log:
    """Let two entries change places."""
    one, other = chance.sample(range(len(rows)), 2)
    mixed = list(rows)
    mixed[one], mixed[other] = mixed[other], mixed[one]
    return mixed


def insert(rows: Log, chance: random.Random) -> Log:
    """Put an invented entry in."""
    at = chance.randrange(len(rows))
    invented = row_of(access(chance.randrange(999)), seq=at + 1, ms=rows[at]["ms"], prev=rows[at]["prev"])
    return [*rows[:at], invented, *rows[at:]]


def truncate(rows: Log, chance: random.Random) -> Log:
    """Cut the end off."""
    return rows[: chance.randrange(len(rows))]


def fork(rows: Log, chance: random.Random) -> Log:
    """Cut the end off and go on with another story."""
    kept = truncate(rows, chance)
    return rechained([*kept, *(Row(row, object="elsewhere") for row in rows[len(kept) :])])


TRICKS: tuple[Callable[[Log, random.Random], Log], ...] = (alter, delete, reorder, insert, truncate, fork)


def test_ten_thousand_random_tamperings_are_all_detected_against_an_outside_head() -> None:
    """Plain and re-hashed alteration, deletion, reordering, insertion, cuts and forks: none passes."""
    chance = random.Random(20261101)
    honest = log_of(LENGTH)
    kept = head_of(honest)
    missed = []
    for number in range(TAMPERINGS):
        trick = chance.choice(TRICKS)
        forged = trick(honest, chance)
        if chance.random() < 0.5:
            forged = rechained(forged)
        if not isinstance(audit.check(forged, kept), Broken):
            missed.append((number, trick.__name__))
    assert missed == []


def test_an_honest_log_is_intact_with_and_without_an_outside_head() -> None:
    """The control: the detector does not cry at everything."""
    honest = log_of(LENGTH)
    assert audit.check(honest) == Intact(head_of(honest), anchored=False)
    assert audit.check(honest, head_of(honest)) == Intact(head_of(honest), anchored=True)
    assert audit.check(honest, head_of(honest[:7])) == Intact(head_of(honest), anchored=True)


def test_without_an_outside_head_a_rewritten_or_cut_log_looks_intact() -> None:
    """The control for the head: the chain alone cannot show these, which is why heads go outside."""
    chance = random.Random(1)
    honest = log_of(LENGTH)
    assert isinstance(audit.check(fork(honest, chance)), Intact)
    assert isinstance(audit.check(honest[:10]), Intact)


def test_the_first_broken_entry_is_named() -> None:
    """An auditor learns where to look."""
    honest = log_of(LENGTH)
    honest[11] = Row(honest[11], purpose="curiosity")
    assert audit.check(honest) == Broken(12, "was altered: its hash does not fit its words")


@pytest.mark.parametrize("wrong", [{"ms": "soon"}, {"actor": None}, {"prev": b""}, {"seq": -1}, {"object": b"\xff"}])
def test_a_row_of_the_wrong_type_is_broken_and_never_a_crash(wrong: dict[str, object]) -> None:
    """SQLite lets a thief store anything anywhere."""
    honest = log_of(3)
    honest[1] = Row(honest[1], **wrong)
    assert isinstance(audit.check(honest), Broken)


@given(st.lists(st.one_of(st.none(), st.text("ab\x00\x01", max_size=3)), min_size=2, max_size=2), st.data())
def test_no_two_entries_share_an_encoding(fields: list[str | None], data: st.DataObject) -> None:
    """Lengths are part of the encoding, so words cannot slide from one field into the next."""
    others = data.draw(st.lists(st.one_of(st.none(), st.text("ab", max_size=3)), min_size=2, max_size=2))
    printable = [None if field is None else field.replace("\x00", "").replace("\x01", "") for field in fields]
    one = audit.encode(access(case=printable[0], request=printable[1]), seq=1, ms=1)
    other = audit.encode(access(case=others[0], request=others[1]), seq=1, ms=1)
    assert (one == other) == (printable == others)


@pytest.mark.parametrize("wrong", [{"purpose": "x" * 301}, {"purpose": "two\nlines"}, {"before": b"short"}])
def test_an_entry_with_unbounded_or_hidden_words_is_refused(wrong: dict[str, Any]) -> None:
    """A refused entry raises inside the transaction, so the act does not happen either."""
    with pytest.raises(ValueError, match="audit"):
        access(**wrong)


@pytest.mark.parametrize("words", ["", "7", "7:", "7:zz", "-1:" + "00" * 32, "7:" + "00" * 31, "٣:" + "00" * 32])
def test_a_malformed_head_is_refused(words: str) -> None:
    """Heads come back from outside, where people copy them by hand."""
    with pytest.raises(ValueError, match=r".+"):
        Head.parse(words)


def test_a_head_survives_being_written_down() -> None:
    """`seq:hash` and back."""
    kept = head_of(log_of(3))
    assert Head.parse(str(kept)) == kept


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """A real file."""
    made = Database(tmp_path / "kith.db", {})
    made.create_tables()
    return made


def test_entries_written_in_flows_verify_from_the_file(database: Database) -> None:
    """The stored chain is the computed chain, across pages."""
    for number in range(25):
        database.write_now(audit.write, access(number, before=GENESIS, after=b"\x01" * 32))
    kept = database.read_now(audit.head)
    assert kept.seq == 25
    assert database.read_now(audit.verify, kept) == Intact(kept, anchored=True)


def test_tampering_with_the_file_is_detected(database: Database) -> None:
    """With plain SQL, as somebody with the disk would."""
    for number in range(5):
        database.write_now(audit.write, access(number))
    kept = database.read_now(audit.head)
    thief = apsw.Connection(database.path)
    thief.execute("UPDATE audit SET outcome = 'refused' WHERE seq = 3")
    assert database.read_now(audit.verify, kept) == Broken(3, "was altered: its hash does not fit its words")
    thief.execute("DELETE FROM audit WHERE seq >= 3")
    broken = database.read_now(audit.verify, kept)
    assert isinstance(broken, Broken)
    assert "cut off" in broken.why


def test_an_act_whose_entry_fails_does_not_happen(database: Database) -> None:
    """Fail closed: the flow rolls back with its entry."""

    def act(tx: Any) -> None:
        audit.write(tx, access(1))
        raise RuntimeError("the act failed afterwards")

    with pytest.raises(RuntimeError):
        database.write_now(act)
    assert database.read_now(audit.head) == Head(0, GENESIS)


def test_an_empty_log_is_intact_but_not_where_a_head_says_otherwise(database: Database) -> None:
    """Dropping the table's rows is a cut like any other."""
    assert database.read_now(audit.verify) == Intact(Head(0, GENESIS), anchored=False)
    assert isinstance(database.read_now(audit.verify, Head(4, b"\x05" * 32)), Broken)


def test_reads_are_counted_apart_from_acts(database: Database) -> None:
    """Every opening of a message or note that happened, and nothing else."""
    for action, outcome in (
        ("evidence.read", "done"),
        ("evidence.read", "refused"),
        ("note.read", "done"),
        ("case.claimed", "done"),
    ):
        entry = msgspec.structs.replace(access(1), action=action, outcome=outcome)
        database.write_now(audit.write, entry)
    assert database.read_now(audit.reads) == 2
