"""One writer, group commit, SQLite (WAL, synchronous=FULL).

`await database.write(flow, …)` queues a flow; the next batch runs its flows inline, each in a SAVEPOINT,
then only COMMIT runs in a worker thread, and the answers leave after it. A flow loads facts first, its
writes return nothing, and its effects outside the database are signals handed to `tx.publish`, which
leave after COMMIT too. Any failure of the storage ends the process (`failstop`): what is in doubt was never
acknowledged.

A `Lane` takes what comes in numbers, messages above all: the items that stand side by side in the queue run as one,
with shared facts and writes of many rows. What raises goes back alone: the others run again one by one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar, cast

import apsw
import msgspec
import structlog
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

log = structlog.get_logger("kith.database")

BATCH_BUDGET_S = 0.004
LANE_PIECE = 64
"""Items of a lane that run as one: about two milliseconds, and one seal."""
GATHERED = 32
"""Queued work for which a batch begins at once."""
LINGER_S = 0.003
"""How long a batch waits for company while there is some."""
RIDE_S = 0.05
"""How long what need not be durable soon waits for a batch to ride on."""
BUSY_RETRY_S = 0.005
BUSY_PATIENCE_MS = 30_000
"""How long a command waits for the server, which holds the lock for milliseconds."""
CHECKPOINT_PAGES = 1000
"""Pages in the write-ahead log from which a COMMIT is followed by a checkpoint."""
CACHE_KIB = 16 * 1024
"""Pages that the writer keeps in memory, at most: the ends of the trees that every message touches."""
STATEMENTS = 400
"""Prepared statements kept by each connection; the product has some 250."""
MINIMUM_SQLITE = (3, 51, 3)  # 3.7.0-3.51.2 are said to have a WAL-reset corruption bug

_DIALECT = sqlite.dialect(paramstyle="named")
_IN_ORDER = sqlite.dialect(paramstyle="qmark")


class Compiled(NamedTuple):
    """SQL text for the driver, the values fixed when it was written, and the table that it changes."""

    sql: str
    fixed: Mapping[str, Any]
    changes: str = ""


_compiled: dict[ClauseElement, Compiled] = {}


def compile_once(statement: ClauseElement) -> Compiled:
    """SQLAlchemy describes and compiles, the driver runs: a Core execute costs ten times the statement.

    Statements are module constants; the cache keeps each for the life of the process.
    """
    found = _compiled.get(statement)
    if found is None:
        text = cast("SQLCompiler", statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True}))
        fixed = {name: value for name, value in text.params.items() if not text.binds[name].required}
        table = getattr(statement, "table", None)
        found = _compiled[statement] = Compiled(str(text), fixed, "" if table is None else table.name)
    return found


_inserts: dict[Table, ClauseElement] = {}


def _insert(table: Table) -> ClauseElement:
    if table not in _inserts:
        _inserts[table] = insert(table).values({c.name: bindparam(c.name) for c in table.columns})
    return _inserts[table]


_inserts_in_order: dict[Table, str] = {}


def _insert_in_order(table: Table) -> str:
    """The INSERT whose values come as a row in the order of the columns, which costs less than by name."""
    found = _inserts_in_order.get(table)
    if found is None:
        values: dict[str, object] = {column.name: bindparam(column.name) for column in table.columns}
        found = _inserts_in_order[table] = str(insert(table).values(values).compile(dialect=_IN_ORDER))
    return found


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
        row = self._first(statement, facts)
        return None if row is None else row[0]

    def any(self, statement: ClauseElement, **facts: object) -> bool:
        """Whether there is a row."""
        return self._first(statement, facts) is not None

    def _first(self, statement: ClauseElement, facts: Mapping[str, object]) -> Any:  # noqa: ANN401  a row as the driver has it
        compiled = compile_once(statement)
        values = {**compiled.fixed, **facts} if compiled.fixed else facts
        return self._connection.execute(compiled.sql, values).fetchone()

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
        self.changed: set[str] = set()
        """Names of the tables that this flow has written to."""

    def put(self, table: Table, **row: object) -> None:
        """Insert one row; columns not named are NULL or, for a serial key, counted up."""
        compiled = compile_once(_insert(table))
        values = {column.name: row.pop(column.name, None) for column in table.columns}
        if row:
            raise TypeError(f"{table.name} has no column {', '.join(row)}")
        self.changed.add(table.name)
        self._connection.execute(compiled.sql, values)

    def put_many(self, table: Table, rows: Sequence[Sequence[object]]) -> None:
        """Insert rows, each with a value for every column in their order (None = NULL or counted up)."""
        self.changed.add(table.name)
        self._connection.executemany(_insert_in_order(table), rows)

    def last_serial(self) -> int:
        """The number that the last inserted row was given; rows of one `put_many` are numbered without holes."""
        return self._connection.last_insert_rowid()

    def run(self, statement: ClauseElement, **facts: object) -> None:
        """Update or delete."""
        compiled = compile_once(statement)
        self.changed.add(compiled.changes)
        self._connection.execute(compiled.sql, {**compiled.fixed, **facts})

    def run_many(self, statement: ClauseElement, facts: Sequence[Mapping[str, object]]) -> None:
        """Update or delete once for each of these facts."""
        compiled = compile_once(statement)
        self.changed.add(compiled.changes)
        every = [{**compiled.fixed, **one} for one in facts] if compiled.fixed else facts
        self._connection.executemany(compiled.sql, every)

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


class Lane(Protocol):
    """Work of one kind that comes in numbers. What it remembers between batches must be what the database says."""

    def run(self, tx: Tx, items: Sequence[Any]) -> Sequence[object]:
        """Do these, as one; an outcome for each. When it raises, all is undone and they run again one by one."""

    def forget(self) -> None:
        """Something was undone, or changed by somebody else: nothing remembered may be relied on."""

    def changed(self, tables: set[str]) -> None:
        """A flow wrote to these tables."""

    def release(self, done: Sequence[tuple[Any, object]]) -> None:
        """These items are durable (or failed: the outcome is the exception). Must not raise."""


class _Queued(NamedTuple):
    flow: Callable[[Tx], Any]
    done: asyncio.Future[Any]


class _Lined(NamedTuple):
    lane: Lane
    item: object


class _Released(NamedTuple):
    """What leaves after COMMIT, in the order in which it was done: a flow's answer or a lane's outcomes; signals."""

    queued: _Queued | None
    answer: object
    error: BaseException | None
    lane: Lane | None
    done: list[tuple[object, object]]
    signals: list[object]


def linger(queued: int, before: int, since_s: float) -> float:
    """Seconds to wait before the next batch: none for a lone writer, whom it would only delay.

    `before`: how much the last batch held, `since_s`: how long ago it ended. Company now foretells company.
    """
    return LINGER_S if before > 1 and queued < GATHERED and since_s < LINGER_S else 0.0


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
        self._queue: deque[_Queued | _Lined] = deque()
        self._riders: list[_Lined] = []
        self._ride: asyncio.TimerHandle | None = None
        self._lanes: list[Lane] = []
        self._seen_version = -1
        self._last_batch, self._last_end = 0, 0.0
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
        self._start_pump()
        return await done

    def open_lane(self, lane: Lane) -> None:
        """Tell this lane from now on what others change."""
        self._lanes.append(lane)

    def submit(self, lane: Lane, item: object) -> None:
        """Put an item into a lane; it runs in its turn among flows and other items, and `lane.release` hears of it."""
        if self.failed is not None:
            lane.release([(item, self.failed)])
            return
        self._queue.append(_Lined(lane, item))
        self._start_pump()

    def ride(self, lane: Lane, item: object) -> None:
        """As `submit`, for what may wait: it rides on the next batch, and pays for one only after a while."""
        self._riders.append(_Lined(lane, item))
        if self._ride is None:
            self._ride = asyncio.get_running_loop().call_later(RIDE_S, self._ride_now)

    def _ride_now(self) -> None:
        self._ride = None
        if self._riders:
            self._start_pump()

    def _start_pump(self) -> None:
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._run_batches())

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
        """Run one flow in a transaction of its own, for the command line and tests.

        A server that writes at this moment is waited for; raises apsw.BusyError if it does not let go.
        """
        if self.failed is not None:
            raise self.failed
        try:
            self._writer.set_busy_timeout(BUSY_PATIENCE_MS)
            try:
                self._writer.execute("BEGIN IMMEDIATE")
            finally:
                self._writer.set_busy_timeout(0)
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
        self._tell_lanes(tx)
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
        if self._riders:
            self._start_pump()
        if self._pump is not None:
            await self._pump
        if self._ride is not None:
            self._ride.cancel()
        self.close_now()

    def close_now(self) -> None:
        """Close at once, for code without an event loop."""
        self._committer.shutdown()
        if self._reader is not self._writer:
            self._reader.close()
        self._writer.close()

    async def _run_batches(self) -> None:
        while self._queue or self._riders:
            wait = linger(len(self._queue), self._last_batch, time.perf_counter() - self._last_end)
            if wait:
                await asyncio.sleep(wait)
            batch: list[_Released] = []
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                self._run_batch(batch)
                await asyncio.get_running_loop().run_in_executor(self._committer, self._commit)
            except apsw.BusyError as busy:
                if batch:  # not while beginning: then a COMMIT is in doubt
                    self.fail(busy, batch)
                    return
                await asyncio.sleep(BUSY_RETRY_S)  # another process writes; a blocking wait would freeze the loop
                continue
            except apsw.Error as failure:
                self.fail(failure, batch)
                return
            for released in batch:
                self._release(released)
            self._last_batch = sum(len(released.done) or 1 for released in batch)
            self._last_end = time.perf_counter()

    def _run_batch(self, batch: list[_Released]) -> None:
        """Run what is queued, for a few milliseconds. What is being run stays in the queue until it is done."""
        self._notice_foreign_writers()
        queue = self._queue
        queue.extend(self._riders)
        self._riders.clear()
        until = time.perf_counter() + BATCH_BUDGET_S
        while queue and (not batch or time.perf_counter() < until):
            first = queue[0]
            if isinstance(first, _Queued):
                batch.append(self._run_one(first))
                queue.popleft()
                continue
            items = self._side_by_side(first)
            self._run_in_lane(first.lane, items, batch)
            for _ in items:
                queue.popleft()

    def _side_by_side(self, first: _Lined) -> list[object]:
        """The items of one lane at the head of the queue; none overtakes a flow, a device's commit least of all."""
        items: list[object] = []
        for following in islice(self._queue, LANE_PIECE):
            if not isinstance(following, _Lined) or following.lane is not first.lane:
                break
            items.append(following.item)
        return items

    def _run_in_lane(self, lane: Lane, items: list[object], batch: list[_Released]) -> None:
        tx = Tx(self._writer, self.now(), self.projectors)
        self._writer.execute("SAVEPOINT flow")
        try:
            outcomes = lane.run(tx, items)
        except failstop.FAILURES:
            raise
        except Exception as error:  # noqa: BLE001  undone; who raised is found by running them one by one
            self._undo()
            if len(items) > 1:
                log.warning("lane-one-by-one", items=len(items), error=type(error).__name__)
                for item in items:
                    self._run_in_lane(lane, [item], batch)
                return
            batch.append(_Released(None, None, None, lane, [(items[0], error)], []))
            return
        self._writer.execute("RELEASE flow")
        self._tell_lanes(tx, but=lane)
        batch.append(_Released(None, None, None, lane, list(zip(items, outcomes, strict=True)), _signals(tx)))

    def _run_one(self, queued: _Queued) -> _Released:
        tx = Tx(self._writer, self.now(), self.projectors)
        self._writer.execute("SAVEPOINT flow")
        try:
            answer = queued.flow(tx)
        except failstop.FAILURES:
            raise
        except Exception as error:  # noqa: BLE001  the flow rolls back alone; its caller gets the error
            self._undo()
            return _Released(queued, None, error, None, [], [])
        self._writer.execute("RELEASE flow")
        self._tell_lanes(tx)
        return _Released(queued, answer, None, None, [], _signals(tx))

    def _undo(self) -> None:
        self._writer.execute("ROLLBACK TO flow")
        self._writer.execute("RELEASE flow")
        self._forget()

    def _release(self, released: _Released) -> None:
        if released.queued is not None:
            _settle(released.queued.done, released.answer, released.error)
        if released.lane is not None:
            released.lane.release(released.done)
        self._announce(released.signals)

    def _notice_foreign_writers(self) -> None:
        """What lanes remember holds only while nobody else writes: SQLite counts the commits of other connections."""
        version = self._writer.pragma("data_version")
        if version != self._seen_version:
            self._seen_version = int(cast("int", version))
            self._forget()

    def _tell_lanes(self, tx: Tx, but: Lane | None = None) -> None:
        for lane in self._lanes:
            if lane is not but:
                lane.changed(tx.changed)

    def _forget(self) -> None:
        for lane in self._lanes:
            lane.forget()

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
                try:
                    listener(signal)
                except Exception as bug:  # one listener's fault must not cost the others their doorbells
                    log.error("listener-failed", signal=type(signal).__name__, exc_info=bug)

    def fail(self, failure: BaseException, batch: Sequence[_Released] = ()) -> StorageError:
        """Fail-stop: nobody in doubt is answered with success, nothing more is done, and the process ends."""
        error = self.failed = StorageError(failstop.sentence(failure, self.path))
        self._on_failure(error)  # the process ends here; what follows is for who takes failures otherwise
        self._forget()
        waiting = [*self._queue, *self._riders]
        self._queue.clear()
        self._riders.clear()
        for released in batch:
            if released.queued is not None:
                _settle(released.queued.done, None, error)
            if released.lane is not None:
                released.lane.release([(item, error) for item, _ in released.done])
        for left in waiting:
            if isinstance(left, _Queued):
                _settle(left.done, None, error)
            else:
                left.lane.release([(left.item, error)])
        return error


def _signals(tx: Tx) -> list[object]:
    return [*tx.signals, Appended(tx.position)] if tx.position else tx.signals


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
    connection = apsw.Connection(path, flags=flags, statementcachesize=STATEMENTS)
    connection.set_busy_timeout(0 if not read_only else 1000)
    # Without QPSG, joins are prepared again on every new binding (28-38 us instead of 4.4).
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    if not read_only:
        connection.set_busy_timeout(5000)  # only while opening; a blocking wait would freeze the loop later
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "full")
        connection.pragma("foreign_keys", 1)
        # What a SAVEPOINT keeps of changed pages serves its batch alone; above 64 KiB it would go to a file.
        connection.pragma("temp_store", 2)
        connection.pragma("cache_size", -CACHE_KIB)
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
