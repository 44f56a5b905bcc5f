"""One writer, group commit, SQLite (WAL, synchronous=FULL).

`await database.write(flow, …)` queues a flow; the next batch runs its flows inline, each in a SAVEPOINT,
then only COMMIT runs in a worker thread, and the answers leave after it. A flow loads facts first, its
writes return nothing, and its effects outside the database are signals handed to `tx.publish`, which
leave after COMMIT too. Any failure of the storage ends the process (`failstop`): what is in doubt was never
acknowledged.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar, cast

import apsw
import msgspec
from sqlalchemy import Table, bindparam, insert
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from kith.ledger import failstop, migrations, schema
from kith.ledger.events import Event, encode_event, kind_of
from kith.ledger.failstop import StorageError as StorageError  # noqa: PLC0414  also raised from here
from kith.ledger.signals import Appended

P = ParamSpec("P")
T = TypeVar("T")
Clock = Callable[[], int]
"""Milliseconds since 1970 UTC."""

BATCH_BUDGET_S = 0.004
BUSY_RETRY_S = 0.005
CHECKPOINT_PAGES = 1000
"""Pages in the write-ahead log from which a COMMIT is followed by a checkpoint."""
MINIMUM_SQLITE = (3, 51, 3)  # 3.7.0-3.51.2 are said to have a WAL-reset corruption bug

_DIALECT = sqlite.dialect(paramstyle="named")


class Compiled(NamedTuple):
    """SQL text for the driver, and the values fixed when it was written."""

    sql: str
    fixed: Mapping[str, Any]


_compiled: dict[ClauseElement, Compiled] = {}


def compile_once(statement: ClauseElement) -> Compiled:
    """SQLAlchemy describes and compiles, the driver runs: a Core execute costs ten times the statement.

    Statements are module constants; the cache keeps each for the life of the process.
    """
    found = _compiled.get(statement)
    if found is None:
        text = cast("SQLCompiler", statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True}))
        fixed = {name: value for name, value in text.params.items() if not text.binds[name].required}
        found = _compiled[statement] = Compiled(str(text), fixed)
    return found


_inserts: dict[Table, ClauseElement] = {}


def _insert(table: Table) -> ClauseElement:
    if table not in _inserts:
        _inserts[table] = insert(table).values({c.name: bindparam(c.name) for c in table.columns})
    return _inserts[table]


class Row(dict[str, Any]):
    """A row read from the database: columns as attributes."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  columns have many types
        try:
            return self[name]
        except KeyError as missing:
            raise AttributeError(name) from missing


class Reader:
    """Facts, read consistently."""

    def __init__(self, connection: apsw.Connection, now: int) -> None:
        self._connection = connection
        self.now = now
        """Milliseconds: the time of this transaction."""

    def one(self, statement: ClauseElement, **facts: object) -> Row | None:
        """The first row, or None."""
        for row in self._run(statement, facts):
            return row
        return None

    def all(self, statement: ClauseElement, **facts: object) -> list[Row]:
        """Every row."""
        return list(self._run(statement, facts))

    def value(self, statement: ClauseElement, **facts: object) -> Any:  # noqa: ANN401  columns have many types
        """The first column of the first row, or None."""
        row = self.one(statement, **facts)
        return None if row is None else next(iter(row.values()))

    def _run(self, statement: ClauseElement, facts: Mapping[str, object]) -> Iterable[Row]:
        compiled = compile_once(statement)
        cursor = self._connection.execute(compiled.sql, {**compiled.fixed, **facts})
        names = _column_names(cursor, compiled.sql)
        return (Row(zip(names, row, strict=True)) for row in cursor.fetchall())


_names: dict[str, tuple[str, ...]] = {}


def _column_names(cursor: apsw.Cursor, sql: str) -> tuple[str, ...]:
    found = _names.get(sql)
    if found is None:
        try:
            found = _names[sql] = tuple(column[0] for column in cursor.get_description())
        except apsw.ExecutionCompleteError:  # no rows, so no names are needed
            return ()
    return found


Projector = Callable[["Tx", Any], None]
"""Writes an event's projection; the only code that may write a table of kind `projection`."""
Projectors = Mapping[type[Event], tuple[Projector, ...]]


class Tx(Reader):
    """One flow's view of the batch: reads, writes, events, and signals for after the COMMIT."""

    def __init__(self, connection: apsw.Connection, now: int, projectors: Projectors) -> None:
        super().__init__(connection, now)
        self._projectors = projectors
        self.signals: list[object] = []
        self.position = 0
        """Position of the last event appended in this flow."""

    def put(self, table: Table, **row: object) -> None:
        """Insert one row; columns not named are NULL or, for a serial key, counted up."""
        compiled = compile_once(_insert(table))
        values = {column.name: row.pop(column.name, None) for column in table.columns}
        if row:
            raise TypeError(f"{table.name} has no column {', '.join(row)}")
        self._connection.execute(compiled.sql, values)

    def run(self, statement: ClauseElement, **facts: object) -> None:
        """Update or delete."""
        compiled = compile_once(statement)
        self._connection.execute(compiled.sql, {**compiled.fixed, **facts})

    def append(self, event: Event) -> None:
        """Record a fact and its projections, in this transaction."""
        self.put(schema.events, at_ms=self.now, kind=kind_of(event), body=encode_event(event))
        self.position = self._connection.last_insert_rowid()
        self.project(event)

    def project(self, event: Event) -> None:
        """Apply an event's projectors (also used when replaying)."""
        for projector in self._projectors.get(type(event), ()):
            projector(self, event)

    def publish(self, signal: object) -> None:
        """Tell listeners after the COMMIT; lost if the process dies, so only a doorbell."""
        self.signals.append(signal)


class _Queued(NamedTuple):
    flow: Callable[[Tx], Any]
    done: asyncio.Future[Any]


def wall_clock() -> int:
    """The system's time, in milliseconds."""
    return time.time_ns() // 1_000_000


class Database:
    """The server's one database; see the module's text."""

    def __init__(
        self,
        path: Path | str,
        projectors: Projectors,
        *,
        clock: Clock = wall_clock,
        on_failure: Callable[[StorageError], None] = failstop.die,
    ) -> None:
        if tuple(int(part) for part in apsw.sqlite_lib_version().split(".")) < MINIMUM_SQLITE:
            raise StorageError(f"SQLite {apsw.sqlite_lib_version()} is too old; install a current apsw.")
        self.path = str(path)
        self.projectors = projectors
        self.clock = clock
        self.listeners: list[Callable[[object], None]] = []
        self.failed: StorageError | None = None
        """Set once the storage failed: from then on nothing is read, written or confirmed."""
        self._on_failure = on_failure
        self._last_ms = 0
        try:
            self._writer = _open(self.path)
            self._reader = _open(self.path, read_only=True) if _on_disk(self.path) else self._writer
        except apsw.Error as failure:
            raise StorageError(failstop.sentence(failure, self.path)) from failure
        self._wal_pages = 0
        # SQLite's own checkpoint after a COMMIT hides its errors, failed fsyncs included; ours does not.
        self._writer.set_wal_hook(self._committed_pages)
        self._queue: deque[_Queued] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="commit")

    def now(self) -> int:
        """Milliseconds; never goes backwards within this process."""
        self._last_ms = max(self._last_ms, self.clock())
        return self._last_ms

    async def write(self, flow: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a flow in the next batch; returns when it is durable. A raising flow rolls back alone."""
        if self.failed is not None:
            raise self.failed
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append(_Queued(lambda tx: flow(tx, *args, **kwargs), done))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run_batches())
        return await done

    async def read(self, question: Callable[Concatenate[Reader, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask for facts outside a flow, on a read-only connection, from one consistent snapshot."""
        return self.read_now(question, *args, **kwargs)

    def read_now(self, question: Callable[Concatenate[Reader, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `read`, for code without an event loop."""
        if self.failed is not None:
            raise self.failed
        if self._reader is self._writer:  # an in-memory database, in tests
            return question(Reader(self._reader, self.now()), *args, **kwargs)
        try:
            self._reader.execute("BEGIN")
            try:
                return question(Reader(self._reader, self.now()), *args, **kwargs)
            finally:
                self._reader.execute("COMMIT")
        except failstop.FAILURES as failure:
            raise self.fail(failure) from failure

    def write_now(self, flow: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one flow in a transaction of its own, for the command line and tests."""
        if self.failed is not None:
            raise self.failed
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            tx = Tx(self._writer, self.now(), self.projectors)
            try:
                answer = flow(tx, *args, **kwargs)
            except BaseException:
                if self._writer.in_transaction:  # a failed disk has ended it already
                    self._writer.execute("ROLLBACK")
                raise
            self._commit()
        except failstop.FAILURES as failure:
            raise self.fail(failure) from failure
        self._announce(tx.signals)
        return answer

    def create_tables(self) -> None:
        """Make a new database's tables, or bring an older database up to today's schema."""
        try:
            migrations.bring_up(self._writer, schema.metadata)
        except failstop.FAILURES as failure:
            raise self.fail(failure) from failure

    def effective(self) -> dict[str, object]:
        """The durability settings that are really in force; start-up refuses weaker ones."""
        return {
            "journal_mode": self._writer.pragma("journal_mode"),
            "synchronous": self._writer.pragma("synchronous"),
            "qpsg": self._writer.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, -1),
            "sqlite": apsw.sqlite_lib_version(),
        }

    async def close(self) -> None:
        """Finish what is queued, then close."""
        if self._pump is not None:
            await self._pump
        self.close_now()

    def close_now(self) -> None:
        """Close at once, for code without an event loop."""
        self._committer.shutdown()
        if self._reader is not self._writer:
            self._reader.close()
        self._writer.close()

    async def _run_batches(self) -> None:
        while self._queue:
            answers: list[tuple[_Queued, Any, BaseException | None]] = []
            signals: list[object] = []
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                until = time.perf_counter() + BATCH_BUDGET_S
                while self._queue and (not answers or time.perf_counter() < until):
                    answers.append(self._run_one(self._queue[0], signals))
                    self._queue.popleft()
                await asyncio.get_running_loop().run_in_executor(self._committer, self._commit)
            except apsw.BusyError as busy:
                if answers:  # not while beginning: then a COMMIT is in doubt
                    self.fail(busy, [queued for queued, _, _ in answers])
                    return
                await asyncio.sleep(BUSY_RETRY_S)  # another process writes; a blocking wait would freeze the loop
                continue
            except apsw.Error as failure:
                self.fail(failure, [queued for queued, _, _ in answers])
                return
            for queued, answer, error in answers:
                _settle(queued.done, answer, error)
            self._announce(signals)

    def _run_one(self, queued: _Queued, signals: list[object]) -> tuple[_Queued, Any, BaseException | None]:
        tx = Tx(self._writer, self.now(), self.projectors)
        self._writer.execute("SAVEPOINT flow")
        try:
            answer = queued.flow(tx)
        except failstop.FAILURES:
            raise
        except Exception as error:  # noqa: BLE001  the flow rolls back alone; its caller gets the error
            self._writer.execute("ROLLBACK TO flow")
            self._writer.execute("RELEASE flow")
            return queued, None, error
        self._writer.execute("RELEASE flow")
        signals.extend(tx.signals)
        if tx.position:
            signals.append(Appended(tx.position))
        return queued, answer, None

    def _committed_pages(self, _: apsw.Connection, __: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _commit(self) -> None:
        """COMMIT and, when the log has grown, a checkpoint; any error of either is the storage's failure."""
        self._writer.execute("COMMIT")
        if self._wal_pages >= CHECKPOINT_PAGES:
            try:
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            except apsw.BusyError:  # another process is at it
                return

    def _announce(self, signals: list[object]) -> None:
        for signal in signals:
            for listener in self.listeners:
                listener(signal)

    def fail(self, failure: BaseException, batch: Iterable[_Queued] = ()) -> StorageError:
        """Fail-stop: nobody in doubt is answered with success, nothing more is done, and the process ends."""
        error = self.failed = StorageError(failstop.sentence(failure, self.path))
        waiting = [*batch, *self._queue]
        self._queue.clear()
        for queued in waiting:
            _settle(queued.done, None, error)
        self._on_failure(error)
        return error


def _settle(done: asyncio.Future[Any], answer: object, error: BaseException | None) -> None:
    if done.done():  # the caller went away; the write stands
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(answer)


def _on_disk(path: str) -> bool:
    return path != ":memory:"


def _open(path: str, *, read_only: bool = False) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    connection = apsw.Connection(path, flags=flags)
    connection.set_busy_timeout(0 if not read_only else 1000)
    # Without QPSG, joins are prepared again on every new binding (28-38 us instead of 4.4).
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    if not read_only:
        connection.set_busy_timeout(5000)  # only while opening; a blocking wait would freeze the loop later
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "full")
        connection.pragma("foreign_keys", 1)
        connection.pragma("secure_delete", 1)  # a destroyed key share must not linger in freed pages
        connection.set_busy_timeout(0)
        connection.wal_autocheckpoint(0)
        _assert_durable(connection, path)
    return connection


def _assert_durable(connection: apsw.Connection, path: str) -> None:
    mode, synchronous = connection.pragma("journal_mode"), connection.pragma("synchronous")
    if _on_disk(path) and (mode != "wal" or synchronous != 2):  # noqa: PLR2004  2 is FULL
        raise StorageError(f"SQLite runs with journal_mode={mode}, synchronous={synchronous}; Kith needs WAL and FULL.")
    if not connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, -1):
        raise StorageError("SQLite refuses the query planner stability guarantee (QPSG); install a current apsw.")


def decode_json(text: str, type_: type[T]) -> T:
    """Decode a JSON column."""
    return msgspec.json.decode(text, type=type_)
