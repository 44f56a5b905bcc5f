"""The one writer: durable before told, alone when it fails, stopped when the disk refuses."""

import asyncio
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import apsw
import pytest
from sqlalchemy import bindparam, select, update

from kith.ledger import log
from kith.ledger.database import Database, Reader, StorageError, Tx
from kith.ledger.decision import refuse
from kith.ledger.events import Blocked
from kith.ledger.schema import cursors
from kith.ledger.signals import Appended

POSITION = select(cursors.c.position).where(cursors.c.reader == bindparam("name"))
MOVE = update(cursors).where(cursors.c.reader == bindparam("name")).values(position=bindparam("to"))


def made(tmp_path: Path, **options: object) -> Database:
    """A database with its tables."""
    database = Database(tmp_path / "kith.db", log.PROJECTORS, **options)  # type: ignore[arg-type]
    database.create_tables()
    return database


def put(tx: Tx, name: str, position: int) -> int:
    """A small flow."""
    tx.put(cursors, reader=name, position=position)
    return position


def position_of(reader: Reader, name: str) -> object:
    """What `put` stored under a name."""
    return reader.value(POSITION, name=name)


def test_the_effective_settings_are_wal_and_full(tmp_path: Path) -> None:
    """What is in force is read back, not assumed."""
    database = made(tmp_path)
    assert database.effective()["journal_mode"] == "wal"
    assert database.effective()["synchronous"] == 2


def test_a_weaker_journal_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: were synchronous weaker than FULL, opening would stop with a sentence."""
    original = apsw.Connection.pragma

    def weak(self: apsw.Connection, name: str, *value: object) -> object:
        return original(self, name, *(["normal"] if (name, *value) == ("synchronous", "full") else value))

    monkeypatch.setattr("kith.ledger.database.apsw.Connection", type("Weak", (apsw.Connection,), {"pragma": weak}))
    with pytest.raises(StorageError, match="WAL and FULL"):
        Database(tmp_path / "kith.db", {})


def test_many_flows_share_a_commit_and_each_gets_its_own_answer(tmp_path: Path) -> None:
    """Group commit does not mix answers up."""
    database = made(tmp_path)

    async def run() -> list[int]:
        answers = await asyncio.gather(*(database.write(put, f"r{n}", n) for n in range(300)))
        await database.close()
        return answers

    assert asyncio.run(run()) == list(range(300))


def test_a_raising_flow_rolls_back_alone(tmp_path: Path) -> None:
    """Neither its neighbours in the batch nor its signals survive or suffer wrongly."""
    database = made(tmp_path)
    heard: list[object] = []
    database.listeners.append(heard.append)

    def bad(tx: Tx) -> None:
        tx.put(cursors, reader="bad", position=1)
        tx.publish("never")
        raise ValueError("no")

    async def run() -> list[object]:
        answers = await asyncio.gather(
            database.write(put, "before", 1),
            database.write(bad),
            database.write(put, "after", 2),
            return_exceptions=True,
        )
        found = [database.read_now(position_of, n) for n in ("before", "bad", "after")]
        await database.close()
        return [*answers, *found]

    before, error, after, *found = asyncio.run(run())
    assert (before, after, found) == (1, 2, [1, None, 2])
    assert isinstance(error, ValueError)
    assert heard == []


def test_signals_leave_only_after_the_commit(tmp_path: Path) -> None:
    """When the bell rings, another connection already sees the row."""
    database = made(tmp_path)
    seen: list[object] = []

    def look(signal: object) -> None:
        if isinstance(signal, Appended):
            other = apsw.Connection(database.path)
            seen.append(next(iter(other.execute("select count(*) from events")))[0])

    database.listeners.append(look)

    async def run() -> None:
        await database.write(lambda tx: tx.append(Blocked(by="a", account="b")))
        await database.close()

    asyncio.run(run())
    assert seen == [1]


def test_a_failed_commit_stops_the_process_and_confirms_nothing(tmp_path: Path) -> None:
    """The disk refuses at COMMIT: the caller hears of it, and the process is told to end."""
    failures: list[BaseException] = []
    database = made(tmp_path, on_failure=failures.append)
    database._writer.set_commit_hook(lambda: True)  # SQLite turns the COMMIT into an error

    async def run() -> None:
        with pytest.raises(StorageError):
            await database.write(put, "lost", 1)

    asyncio.run(run())
    assert len(failures) == 1


def test_another_process_holding_the_database_only_delays(tmp_path: Path) -> None:
    """A foreign writer makes the batch wait its turn, without freezing the loop."""
    database = made(tmp_path)
    other = apsw.Connection(database.path)
    other.execute("BEGIN IMMEDIATE")

    async def run() -> tuple[bool, int]:
        waiting = asyncio.create_task(database.write(put, "patient", 7))
        await asyncio.sleep(0.05)
        undecided = not waiting.done()
        other.execute("COMMIT")
        answer = await waiting
        await database.close()
        return undecided, answer

    assert asyncio.run(run()) == (True, 7)


def test_time_never_runs_backwards_within_a_process(tmp_path: Path) -> None:
    """A clock that jumps back leaves records in order."""
    times = iter([1_000, 5_000, 2_000, 6_000])
    database = made(tmp_path, clock=lambda: next(times))
    assert [database.now() for _ in range(4)] == [1_000, 5_000, 5_000, 6_000]


CRASH = textwrap.dedent("""
    import asyncio, os, sys
    from kith.ledger import log
    from kith.ledger.database import Database
    from kith.ledger.decision import refuse

    database = Database(sys.argv[1], log.PROJECTORS)
    database.create_tables()

    async def one(n):
        while True:
            made = await database.write(log.record, "crash", str(n), refuse("r", "b"), {})
            print(made, flush=True)

    async def main():
        async def killer():
            await asyncio.sleep(0.5)
            os.kill(os.getpid(), 9)
        asyncio.create_task(killer())
        await asyncio.gather(*(one(n) for n in range(50)))

    asyncio.run(main())
""")


def test_what_was_confirmed_before_a_kill_is_there_afterwards(tmp_path: Path) -> None:
    """kill -9 in mid-batch: every confirmed decision is in the database that is opened next."""
    path = tmp_path / "kith.db"
    done = subprocess.run([sys.executable, "-c", CRASH, str(path)], capture_output=True, text=True, check=False)
    confirmed = done.stdout.split()
    assert done.returncode == -9, done.stderr
    assert confirmed
    database = Database(path, {})
    kept = {row.decision for row in database.read_now(lambda r: r.all(select(log.decisions)))}
    assert set(confirmed) <= kept


def test_replaying_the_events_rebuilds_the_projections(tmp_path: Path) -> None:
    """Decisions, live and replayed, are equal; a row written past the projector is found out."""
    database = made(tmp_path)
    for n in range(5):
        database.write_now(log.record, "policy", f"person-{n}", refuse("rule", "because"), {"n": n})
    again = Database(":memory:", log.PROJECTORS)
    again.create_tables()
    assert log.replay(database, again) == 5
    everything = select(log.decisions).order_by(log.decisions.c.decision)
    assert again.read_now(lambda r: r.all(everything)) == database.read_now(lambda r: r.all(everything))
    past_the_projector = {"policy": "", "outcome": "", "about": "", "reasons": "[]", "facts": "{}"}
    database.write_now(lambda tx: tx.put(log.decisions, decision="x", at_ms=1, **past_the_projector))
    assert again.read_now(lambda r: r.all(everything)) != database.read_now(lambda r: r.all(everything))


def test_an_unknown_column_is_a_mistake_that_is_named(tmp_path: Path) -> None:
    """A typo in a column is not silently dropped."""
    with pytest.raises(TypeError, match="readr"):
        made(tmp_path).write_now(lambda tx: tx.put(cursors, readr="x", position=1))


def test_updates_run_with_their_facts(tmp_path: Path) -> None:
    """Statements written once take their values at each run."""
    database = made(tmp_path)
    database.write_now(put, "a", 1)
    database.write_now(lambda tx: tx.run(MOVE, name="a", to=9))
    assert database.read_now(lambda r: r.value(POSITION, name="a")) == 9


def test_a_command_waits_for_a_server_that_is_writing(tmp_path: Path) -> None:
    """`kith staff add` beside a busy server: the other's transaction ends first, then this one begins."""
    database = made(tmp_path)
    server = apsw.Connection(database.path)
    server.execute("BEGIN IMMEDIATE")
    ends = threading.Timer(0.3, server.execute, ("COMMIT",))
    ends.start()
    database.write_now(put, "a", 1)
    ends.join()
    server.close()
    assert database.read_now(lambda reader: reader.value(select(cursors.c.position))) == 1
    database.close_now()
