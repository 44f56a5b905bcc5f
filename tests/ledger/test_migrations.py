"""Schemas of old databases become today's, whole or not at all, whenever the process dies."""

import asyncio
import os
import random
import signal
import time
from functools import cache
from pathlib import Path
from typing import IO

import apsw
import pytest
from sqlalchemy import Index, MetaData, Table, select

import kith.app.wiring  # noqa: F401  describes every room's tables
from kith.ledger import log, migrations, schema
from kith.ledger.database import Database, StorageError, Tx
from kith.ledger.migrations import BASELINE, STEPS, Step, bring_up, newest, rebuilt, shape, version_of
from kith.ledger.schema import cursors
from kith.messaging import store
from kith.messaging.flows import delivery

RELEASED = Path(__file__).with_name("schema_v1.sql")
"""The tables of version 1, as they were; never changed."""
ROUNDS = int(os.environ.get("KITH_MIGRATION_KILLS", "4"))
"""Kills of the upgrade under load; more for a release."""

HELP = """
The tables in the code and the steps of kith/ledger/migrations.py lead to different schemas.
Add a Step at the end of STEPS that makes the difference, for example with these statements:

{}

(ALTER TABLE … ADD COLUMN … NOT NULL needs a DEFAULT; other changes of a table: migrations.rebuilt.)
"""


def empty() -> MetaData:
    """No tables at all."""
    return MetaData()


def old(path: Path | str) -> apsw.Connection:
    """A database as version 1 left it: versions were not yet written down."""
    connection = apsw.Connection(str(path))
    connection.execute(f"BEGIN; {RELEASED.read_text()}; COMMIT")
    return connection


def suggested(here: dict[str, str], wanted: dict[str, str]) -> str:
    """Statements for a step, as far as they can be guessed."""
    differing = [what for what, form in wanted.items() if here.get(what) != form]
    lines = [f"-- no longer described: {what}" for what in here.keys() - wanted.keys()]
    for statement in migrations.ddl(schema.metadata):
        words = statement.replace('"', "").split()
        name = words[words.index("INDEX") + 1] if "INDEX" in words[:3] else words[2]
        kind = "index" if "INDEX" in words[:3] else "table"
        if f"{kind} {name}" in differing:
            lines.append(statement + ";")
    for what in differing:
        table, _, column = what.removeprefix("column ").partition(".")
        if what.startswith("column ") and f"table {table}" not in differing:
            lines.append(f"ALTER TABLE {table} ADD COLUMN {column} …;  -- or rebuilt(): {wanted[what]}")
    return "\n".join(lines)


def test_migrating_and_creating_end_in_the_same_schema() -> None:
    """Version 1 led through every step is exactly what a new database is; the message says what to add."""
    migrated, fresh = old(":memory:"), apsw.Connection(":memory:")
    for step in STEPS:
        for statement in step.statements:
            migrated.execute(statement)
    bring_up(fresh, schema.metadata)
    assert shape(migrated) == shape(fresh), HELP.format(suggested(shape(migrated), shape(fresh)))


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE extra (a TEXT)",
        "ALTER TABLE cursors ADD COLUMN extra TEXT",
        "DROP INDEX answers_by_key",
        "ALTER TABLE accounts DROP COLUMN terms_version",
    ],
)
def test_a_schema_changed_without_a_step_is_found_out(change: str) -> None:
    """The control: each kind of change makes the two ways differ."""
    changed, fresh = old(":memory:"), old(":memory:")
    changed.execute(change)
    assert shape(changed) != shape(fresh)


def test_a_table_that_lies_by_its_key_is_not_one_with_row_ids() -> None:
    """The control: a step that forgets it is found out."""
    one, other = apsw.Connection(":memory:"), apsw.Connection(":memory:")
    one.execute("CREATE TABLE t (a TEXT NOT NULL, PRIMARY KEY (a))")
    other.execute("CREATE TABLE t (a TEXT NOT NULL, PRIMARY KEY (a)) WITHOUT ROWID")
    assert shape(one) != shape(other)


def test_waiting_mail_and_answers_come_along_and_numbers_go_on(tmp_path: Path) -> None:
    """Of an old database: nobody's mail, repeat or number is lost, even past a mail that is gone."""
    before = old(tmp_path / "kith.db")
    mails = [("phone", 1, "r", 4), ("laptop", 1, "r", 4), ("phone", 4, None, 0)]
    for device, kind, room, position in mails:
        asked = "INSERT INTO mailbox (device, kind, room, room_pos, at_ms) VALUES (?, ?, ?, ?, 9)"
        before.execute(asked, (device, kind, room, position))
    before.execute("DELETE FROM mailbox WHERE mail = 3")
    before.execute("INSERT INTO answers (device, turn, submit_key, room_pos, at_ms) VALUES ('phone', 7, x'aa', 4, 9)")
    before.close()
    database = Database(tmp_path / "kith.db", log.PROJECTORS)
    database.create_tables()
    kept = list(database._writer.execute("SELECT device, mail, kind, room, room_pos FROM mailbox ORDER BY mail"))
    assert kept == [("phone", 1, 1, "r", 4), ("laptop", 2, 1, "r", 4)]
    assert database.read_now(lambda reader: reader.value(store.LAST_TURN, whose="phone")) == 7
    assert database.read_now(lambda reader: reader.any(store.ANSWERED, whose="phone", key_=b"\xaa"))
    assert [database.write_now(delivery.number_mails, count) for count in (1, 3, 1)] == [4, 5, 8]
    database.close_now()


def test_a_database_from_before_versions_is_brought_up(tmp_path: Path) -> None:
    """Version 1 with rows in it: the rows stay, and the version is written."""
    before = old(tmp_path / "kith.db")
    before.execute("INSERT INTO cursors VALUES ('safety', 7)")
    before.close()
    database = Database(tmp_path / "kith.db", log.PROJECTORS)
    database.create_tables()
    assert version_of(database._writer) == newest()
    assert database.read_now(lambda reader: reader.value(select(cursors.c.position))) == 7
    database.close_now()


def test_receipts_begin_on_only_for_adults_who_never_were_protected(tmp_path: Path) -> None:
    """What the step writes is what a replay of the ledger would: off below 18, and off for whose age ever changed."""
    before = old(tmp_path / "kith.db")
    bands = {"ana": "18+", "mia": "13-15", "zoe": "unknown", "grown": "18+"}
    for account, band in bands.items():
        row = "INSERT INTO accounts VALUES (?, ?, NULL, 1, 1, 'everyone', '1', 0)"
        before.execute(row, (account, band))
    moved = '{"type":"people:band:changed","account":"grown","band":"18+","next_band_ms":null,"because":"month"}'
    before.execute("INSERT INTO events (at_ms, kind, body) VALUES (1, 'people:band:changed', ?)", (moved,))
    before.close()
    database = Database(tmp_path / "kith.db", log.PROJECTORS)
    database.create_tables()
    asked = "SELECT account, read_receipts, typing FROM accounts ORDER BY account"
    found = list(database._writer.execute(asked))
    assert found == [("ana", 1, 1), ("grown", 0, 0), ("mia", 0, 0), ("zoe", 0, 0)]
    database.close_now()


def test_what_is_held_as_evidence_learns_its_uploader_and_size(tmp_path: Path) -> None:
    """From the rows beside it; of a blob that is over nobody knows whose it was."""
    before = old(tmp_path / "kith.db")
    number = next(at for at, step in enumerate(STEPS) if step.why == "whose the bytes held as evidence are")
    for step in STEPS[:number]:
        for statement in step.statements:
            before.execute(statement)
    before.pragma("user_version", 1 + number)
    before.execute("INSERT INTO blobs VALUES ('there', 'ana', 100, 100, 1, 1, 1, 9)")
    for blob, size in (("there", 100), ("over", 200)):
        before.execute("INSERT INTO blob_holds VALUES (?, ?)", (blob, f"exhibit of {blob}"))
        row = "INSERT INTO report_attachments VALUES (?, 1, 'case', 'report', x'aa', ?, ?, x'bb')"
        before.execute(row, (f"exhibit of {blob}", blob, size))
    before.close()
    database = Database(tmp_path / "kith.db", log.PROJECTORS)
    database.create_tables()
    found = list(database._writer.execute("SELECT blob, account, size FROM blob_holds ORDER BY blob"))
    assert found == [("over", "", 200), ("there", "ana", 100)]
    database.close_now()


def test_a_newer_database_is_refused_untouched(tmp_path: Path) -> None:
    """An older Kith must not write what it does not understand."""
    newer = apsw.Connection(str(tmp_path / "kith.db"))
    newer.execute(f"CREATE TABLE later (a TEXT); PRAGMA user_version = {newest() + 1}")
    newer.close()
    database = Database(tmp_path / "kith.db", {})
    with pytest.raises(StorageError, match="a newer Kith made it"):
        database.create_tables()
    assert list(shape(database._writer)) == ["table later", "column later.a"]
    database.close_now()


def test_a_database_that_lacks_a_table_is_refused(tmp_path: Path) -> None:
    """A file that says the right version and is not of this schema is named, not patched."""
    database = Database(tmp_path / "kith.db", {})
    database.create_tables()
    database._writer.execute("DROP TABLE cursors")
    with pytest.raises(StorageError, match="lacks table cursors"):
        database.create_tables()
    database.close_now()


def test_a_failing_step_leaves_the_version_before_it(tmp_path: Path) -> None:
    """Half a step is no step."""
    connection = old(tmp_path / "kith.db")
    steps = (Step("works", ("CREATE TABLE one (a)",)), Step("fails", ("CREATE TABLE two (a)", "CREATE TABLE two (a)")))
    with pytest.raises(apsw.SQLError):
        bring_up(connection, empty(), steps)
    assert version_of(connection) == BASELINE + 1
    assert "table one" in shape(connection)
    assert "table two" not in shape(connection)


def test_a_rebuilt_table_keeps_its_rows_and_never_reuses_a_number() -> None:
    """The counter of a table goes with it, even past its last row."""
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT)")
    connection.execute("INSERT INTO t (a) VALUES ('x'), ('y'); DELETE FROM t WHERE n = 2")
    ddl = "CREATE TABLE t (n INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT NOT NULL, b TEXT NOT NULL)"
    for statement in rebuilt("t", ddl, 'SELECT n, a, a FROM "{old}"'):
        connection.execute(statement)
    connection.execute("INSERT INTO t (a, b) VALUES ('z', 'z')")
    assert list(connection.execute("SELECT * FROM t")) == [(1, "x", "x"), (3, "z", "z")]


# The next version, for a real upgrade of a real file: a rebuilt table, a new one with its index, and a filled column.
NEXT = (
    *STEPS,
    Step(
        "cursors know when they moved",
        (
            *rebuilt(
                "cursors",
                "CREATE TABLE cursors (reader TEXT NOT NULL, position BIGINT NOT NULL, moved_ms BIGINT NOT NULL, "
                "PRIMARY KEY (reader))",
                'SELECT reader, position, 0 FROM "{old}"',
            ),
            "CREATE TABLE extra (a BIGINT NOT NULL, PRIMARY KEY (a))",
            "INSERT INTO extra SELECT position FROM cursors",
        ),
    ),
    Step("an index over them", ("CREATE INDEX cursors_moved ON cursors (moved_ms, position)",)),
)


@cache
def described_next() -> MetaData:
    """Today's tables with the next version's changes."""
    metadata = MetaData()
    for table in schema.metadata.sorted_tables:
        if table.name != "cursors":
            table.to_metadata(metadata)
    Table(
        "cursors",
        metadata,
        schema.text("reader", "which", key=True),
        schema.number("position", "where"),
        schema.number("moved_ms", "when"),
        Index("cursors_moved", "moved_ms", "position"),
    )
    Table("extra", metadata, schema.number("a", "a copy", key=True))
    return metadata


def write_for_ever(path: Path, mode: str, first: int, out: IO[str]) -> None:
    """What a server does: open, upgrade or not, then eight writers at once, which tell what was confirmed."""
    database = Database(path, log.PROJECTORS)
    print("open", file=out, flush=True)
    upgrade, table = mode == "upgrade", cursors
    if upgrade:
        migrations.bring_up(database._writer, described_next(), NEXT)
        print("upgraded", file=out, flush=True)
        table = described_next().tables["cursors"]
    else:
        database.create_tables()
    more = {"moved_ms": 5} if upgrade else {}

    def put(tx: Tx, n: int) -> None:
        tx.put(table, reader=str(n), position=n, **more)

    async def one(start: int) -> None:
        for n in range(start, start + 100_000_000, 8):
            await database.write(put, n)
            print(n, file=out, flush=True)

    async def all_of_them() -> None:
        await asyncio.gather(*(one(first + k) for k in range(8)))

    asyncio.run(all_of_them())


def run_until(path: Path, mode: str, first: int, kill_after: float | None, enough: int = 200) -> tuple[set[int], bool]:
    """A process that upgrades (or not) and writes; killed after a while, or after enough was confirmed.

    It is forked, because importing everything takes longer than all the rest.
    """
    described_next()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)  # or it would not end with whoever listens
            with os.fdopen(writing, "w") as out:
                write_for_ever(path, mode, first, out)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as said:
        opened = said.readline()
        if kill_after is None:
            lines = [said.readline() for _ in range(enough)]
        else:
            time.sleep(kill_after)  # the moment of the kill is the chance of this test, not a proof
            lines = []
        os.kill(child, signal.SIGKILL)
        lines += said.read().splitlines()
    _, status = os.waitpid(child, 0)
    assert (opened, os.waitstatus_to_exitcode(status)) == ("open\n", -signal.SIGKILL)
    return {int(line) for line in lines if line.strip().isdigit()}, any("upgraded" in line for line in lines)


def test_an_upgrade_killed_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    """Version N-1 under load is killed; the upgrade is killed again and again, then it serves: every row is there."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    print(f"seed {seed}, {ROUNDS} kills")
    path = tmp_path / "kith.db"
    old(path).close()
    confirmed, upgraded = run_until(path, "serve", 0, None, 2_000)
    spread = 0.05
    for n in range(1, ROUNDS + 1):
        some, done = run_until(path, "upgrade", n * 1_000_000_000, chance.uniform(0, spread))
        upgraded = upgraded or done
        confirmed |= some
        found = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        version = version_of(found)
        assert newest() <= version <= newest(NEXT)
        assert ("table extra" in shape(found)) == (version > newest())
        assert ("index cursors_moved" in shape(found)) == (version == newest(NEXT))
        found.close()
    some, upgraded = run_until(path, "upgrade", (ROUNDS + 1) * 1_000_000_000, None, 50)
    confirmed |= some
    assert upgraded
    after = apsw.Connection(str(path))
    assert after.pragma("integrity_check") == "ok"
    assert version_of(after) == newest(NEXT)
    kept = {position for (position,) in after.execute("SELECT position FROM cursors")}
    assert confirmed <= kept
    fresh = apsw.Connection(":memory:")
    bring_up(fresh, described_next(), NEXT)
    assert shape(after) == shape(fresh)


def test_an_upgrade_without_a_transaction_is_found_out(tmp_path: Path) -> None:
    """The control: the same step, statement by statement, leaves a database behind that is neither version."""
    connection = old(tmp_path / "kith.db")
    for statement in NEXT[-2].statements[:3]:
        connection.execute(statement)
    connection.close()
    again = apsw.Connection(str(tmp_path / "kith.db"))
    with pytest.raises(apsw.SQLError):
        bring_up(again, described_next(), NEXT)


def test_two_processes_may_start_at_once(tmp_path: Path) -> None:
    """The second waits for the first and finds the work done."""
    first, second = old(tmp_path / "kith.db"), apsw.Connection(str(tmp_path / "kith.db"))
    for connection in (first, second):
        connection.pragma("synchronous", "off")  # a busy disk would only make the other one wait
    first.execute("BEGIN IMMEDIATE")

    async def both() -> None:
        waiting = asyncio.create_task(asyncio.to_thread(bring_up, second, empty(), NEXT))
        await asyncio.to_thread(first.execute, "COMMIT")
        await asyncio.to_thread(bring_up, first, empty(), NEXT)
        await waiting

    asyncio.run(both())
    assert version_of(first) == version_of(second) == newest(NEXT)
