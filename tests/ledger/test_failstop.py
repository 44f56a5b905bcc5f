"""Fail-stop: whatever write the disk refuses, nothing is confirmed after it and nothing confirmed before it is lost."""

import asyncio
import errno
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest
from sqlalchemy import select

from kith.ledger import database as module
from kith.ledger import failstop, log
from kith.ledger.database import Database, Tx
from kith.ledger.schema import cursors

WRITES = 16
"""Flows of a run; with a checkpoint every few pages they pass every kind of call several times."""


class Fault:
    """The n-th call of one kind fails, and only that one: SQLite by itself would go on."""

    def __init__(self) -> None:
        self.kind, self.at, self.code, self.seen = "", 0, 0, 0

    def plan(self, kind: str, at: int, code: int) -> None:
        """Fail the `at`-th call of this kind with SQLite's result code."""
        self.kind, self.at, self.code, self.seen = kind, at, code, 0

    def heal(self) -> None:
        """No more faults."""
        self.plan("", 0, 0)

    def pass_by(self, kind: str) -> None:
        """Raise when it is this call's turn."""
        if kind == self.kind:
            self.seen += 1
            if self.seen == self.at:
                raise apsw.exception_for(self.code)


FAULT = Fault()


class File(apsw.VFSFile):
    """A file whose writes and syncs can fail."""

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802  SQLite's name
        """One pwrite."""
        FAULT.pass_by("write")
        super().xWrite(data, offset)

    def xSync(self, _: int) -> None:  # noqa: N802  SQLite's name
        """One fsync."""
        FAULT.pass_by("sync")  # really syncing would only take time: this disk is never unplugged


class Disk(apsw.VFS):
    """The ordinary file system with faults."""

    def __init__(self) -> None:
        self.below = apsw.vfs_names()[0]
        super().__init__("faulty", self.below, iVersion=3)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> File:  # noqa: N802  SQLite's name
        """Every file is one of ours."""
        return File(self.below, name, flags)


@pytest.fixture
def faulty() -> Iterator[Fault]:
    """Every database opened in the test lies on a disk with faults."""
    before = apsw.vfs_names()[0]
    disk = Disk()
    apsw.set_default_vfs("faulty")
    FAULT.heal()
    yield FAULT
    FAULT.heal()
    apsw.set_default_vfs(before)
    disk.unregister()


def put(tx: Tx, n: int) -> None:
    """A flow that changes several pages."""
    tx.put(cursors, reader=f"{n:04}" + "x" * 3000, position=n)


async def confirmed_until_failure(database: Database) -> list[int]:
    """Write one after another, whatever happens; which were confirmed."""
    confirmed = []
    for n in range(WRITES):
        try:
            await database.write(put, n)
        except failstop.StorageError:
            continue
        confirmed.append(n)
    return confirmed


def kept_after_crash(path: Path, into: Path) -> set[int]:
    """What another process finds in the files as they are now."""
    into.mkdir()
    for file in path.parent.glob("kith.db*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, into / file.name)
    again = Database(into / "kith.db", {})
    assert again._writer.pragma("integrity_check") == "ok"
    kept = {row.position for row in again.read_now(lambda reader: reader.all(select(cursors)))}
    again.close_now()
    return kept


@pytest.mark.parametrize("code", [apsw.SQLITE_IOERR_WRITE, apsw.SQLITE_FULL])
@pytest.mark.parametrize("kind", ["write", "sync"])
def test_whichever_call_fails_confirmation_stops_there(
    kind: str, code: int, tmp_path: Path, faulty: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """n = 1, 2, 3 … until a run passes clean: none confirmed after the failure, none lost from before it."""
    monkeypatch.setattr(module, "CHECKPOINT_PAGES", 12)
    prepared = tmp_path / "kith.db"  # every room's tables, made once: that is the slow part
    made = Database(prepared, log.PROJECTORS)
    made.create_tables()
    made.close_now()
    left_open = []  # closing one would write too
    for n in range(1, 10_000):
        path = tmp_path / str(n) / "kith.db"
        path.parent.mkdir()
        shutil.copy(prepared, path)
        failures: list[failstop.StorageError] = []
        database = Database(path, log.PROJECTORS, on_failure=failures.append)
        left_open.append(database)
        faulty.plan(kind, n, code)
        confirmed = asyncio.run(confirmed_until_failure(database))
        done = faulty.seen < n
        faulty.heal()
        assert confirmed == list(range(len(confirmed))), "something was confirmed after the failure"
        assert len(failures) == (0 if done else 1)
        kept = kept_after_crash(path, tmp_path / f"again-{n}")
        assert set(confirmed) <= kept
        assert len(kept - set(confirmed)) <= 1  # at most the one in doubt
        if done:
            assert len(confirmed) == WRITES
            break
    assert n > 10, "the faults hit nothing"
    for database in left_open:
        database.close_now()


def test_the_process_ends_before_anybody_is_told(
    tmp_path: Path, faulty: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever waited would log the failure as one of its own, with a traceback, beside the one sentence."""
    order: list[str] = []
    settle = module._settle

    def told(*how: Any) -> None:
        order.append("told")
        settle(*how)

    monkeypatch.setattr(module, "_settle", told)
    database = Database(tmp_path / "kith.db", log.PROJECTORS, on_failure=lambda _: order.append("ended"))
    database.create_tables()
    faulty.plan("sync", 1, apsw.SQLITE_IOERR)

    async def run() -> None:
        with pytest.raises(failstop.StorageError):
            await database.write(put, 1)

    asyncio.run(run())
    database.close_now()
    assert order == ["ended", "told"]


def test_a_writer_that_goes_on_is_found_out(tmp_path: Path, faulty: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: told of the failure but not stopped, the same run confirms writes after it."""

    def shrug(self: Database, failure: BaseException, batch: Sequence[module._Released] = ()) -> failstop.StorageError:
        error = failstop.StorageError(failstop.sentence(failure, self.path))
        for released in batch:
            assert released.queued is not None, "only flows are written here"
            module._settle(released.queued.done, None, error)
        return error

    monkeypatch.setattr(Database, "fail", shrug)
    database = Database(tmp_path / "kith.db", log.PROJECTORS)
    database.create_tables()
    faulty.plan("sync", 3, apsw.SQLITE_IOERR)
    confirmed = asyncio.run(confirmed_until_failure(database))
    database.close_now()
    assert confirmed != list(range(len(confirmed)))


CHILD = textwrap.dedent("""
    import asyncio, sys
    from ledger.test_failstop import FAULT, Disk, put
    import apsw
    from kith.ledger import log
    from kith.ledger.database import Database

    disk = Disk()
    apsw.set_default_vfs("faulty")
    database = Database(sys.argv[1], log.PROJECTORS)
    database.create_tables()
    FAULT.plan("sync", 5, apsw.SQLITE_IOERR)

    async def main():
        for n in range(100):
            await database.write(put, n)
            print(n, flush=True)

    asyncio.run(main())
""")


def test_the_process_ends_with_one_sentence_and_its_code(tmp_path: Path) -> None:
    """Exit code 74, one line on standard error that names the file and the failure, and every confirmed row kept."""
    path = tmp_path / "kith.db"
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == failstop.EXIT_STORAGE, done.stderr
    assert done.stderr.count("\n") == 1
    assert str(path) in done.stderr
    assert "the disk failed" in done.stderr
    confirmed = {int(line) for line in done.stdout.split()}
    assert confirmed
    assert confirmed <= kept_after_crash(path, tmp_path / "again")


def test_last_words_that_nobody_reads_do_not_keep_the_process_alive() -> None:
    """Standard error is a full pipe: the process ends all the same."""
    script = textwrap.dedent("""
        import fcntl, os, sys
        from kith.ledger import failstop
        from kith.ledger.failstop import StorageError
        failstop.LAST_WORDS_S = 1
        os.set_blocking(2, False)
        try:
            while True:
                os.write(2, b"x" * 65536)
        except BlockingIOError:
            os.set_blocking(2, True)
        failstop.die(StorageError("the disk failed"))
    """)
    child = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)
    try:
        assert child.wait(60) != 0
    finally:
        child.kill()
        assert child.stderr is not None
        child.stderr.close()


def test_a_flow_that_hides_the_failure_does_not_survive_it(tmp_path: Path) -> None:
    """A full disk inside a flow rolls the transaction back; even a flow that catches it cannot be confirmed."""
    failures: list[failstop.StorageError] = []
    database = Database(tmp_path / "kith.db", {}, on_failure=failures.append)
    database.create_tables()

    def hides(tx: Tx) -> str:
        try:
            tx.put(cursors, reader="a", position=1)
            raise apsw.FullError("injected")
        except apsw.Error:
            tx._connection.execute("ROLLBACK")  # what SQLite does by itself
            return "fine"

    async def run() -> None:
        with pytest.raises(failstop.StorageError):
            await database.write(hides)

    asyncio.run(run())
    assert len(failures) == 1


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (apsw.FullError("x"), "the disk is full"),
        (apsw.IOError("x"), "the disk failed"),
        (apsw.CorruptError("x"), "the database is damaged"),
        (OSError(errno.ENOSPC, "No space left on device", "/data/keys/hub-2"), "the disk is full: /data/keys/hub-2"),
    ],
)
def test_the_sentence_names_what_failed(failure: Exception, words: str) -> None:
    """What, where, and what to do."""
    said = failstop.sentence(failure, "/data/kith.db")
    assert words in said
    assert said.endswith("then start again.")


def test_a_database_that_cannot_be_opened_is_a_sentence(tmp_path: Path) -> None:
    """Not a traceback: the folder is missing, or the file is no database."""
    with pytest.raises(failstop.StorageError, match="cannot be opened"):
        Database(tmp_path / "missing" / "kith.db", {})
    (tmp_path / "kith.db").write_bytes(b"not a database" * 100)
    with pytest.raises(failstop.StorageError, match="damaged"):
        Database(tmp_path / "kith.db", {})
