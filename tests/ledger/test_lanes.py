"""Lanes: items as one, alone when one of them breaks, nothing remembered that is not so, nothing told too early."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest
from sqlalchemy import func, select

from kith.ledger import log
from kith.ledger.database import GATHERED, LINGER_S, Database, StorageError, Tx, linger
from kith.ledger.schema import cursors

COUNT = select(func.count()).select_from(cursors)


class Rows:
    """A lane that writes a row for each item, and keeps count of how it was used."""

    def __init__(self, *, keeps_its_memory: bool = False) -> None:
        self.keeps_its_memory = keeps_its_memory
        self.runs: list[list[Any]] = []
        self.told: list[tuple[Any, object]] = []
        self.remembered: set[str] = set()
        self.heard_of: list[set[str]] = []

    def run(self, tx: Tx, items: Sequence[Any]) -> list[str]:
        """A row for each; `bad` raises after the others were written."""
        self.runs.append(list(items))
        self.remembered.update(items)
        tx.put_many(cursors, [(item, 1) for item in items])
        if "bad" in items:
            raise ZeroDivisionError
        return [f"did {item}" for item in items]

    def forget(self) -> None:
        """Drop the memory; the control does not."""
        if not self.keeps_its_memory:
            self.remembered.clear()

    def changed(self, tables: set[str]) -> None:
        """Note."""
        self.heard_of.append(tables)

    def release(self, done: Sequence[tuple[Any, object]]) -> None:
        """Note."""
        self.told += done


def made(tmp_path: Path, lane: Rows, **options: Any) -> Database:
    """A database with this lane."""
    database = Database(tmp_path / "kith.db", log.PROJECTORS, **options)
    database.create_tables()
    database.open_lane(lane)
    return database


def stored(database: Database) -> int:
    """How many rows are durable."""
    other = apsw.Connection(database.path)
    [(count,)] = other.execute("SELECT count(*) FROM cursors")
    return int(count)


def played(database: Database, *items: str) -> None:
    """Submit these at once and close."""

    async def run() -> None:
        lane = database._lanes[0]
        for item in items:
            database.submit(lane, item)
        await database.close()

    asyncio.run(run())


def test_items_side_by_side_run_as_one_and_are_told_in_order(tmp_path: Path) -> None:
    """One run, an outcome for each."""
    lane = Rows()
    played(made(tmp_path, lane), "a", "b", "c")
    assert lane.runs == [["a", "b", "c"]]
    assert lane.told == [("a", "did a"), ("b", "did b"), ("c", "did c")]


def test_no_item_overtakes_a_flow(tmp_path: Path) -> None:
    """A flow in the queue parts the items before it from those behind it, and the lane hears what it wrote to."""
    lane = Rows()
    order: list[tuple[int, int]] = []
    database = made(tmp_path, lane)

    async def run() -> None:
        database.submit(lane, "a")
        flow = asyncio.create_task(database.write(lambda tx: order.append((len(lane.runs), tx.value(COUNT)))))
        await asyncio.sleep(0)
        database.submit(lane, "b")
        await flow
        await database.write(lambda tx: tx.put(cursors, reader="flow", position=1))
        await database.close()

    asyncio.run(run())
    assert lane.runs == [["a"], ["b"]]
    assert order == [(1, 1)]
    assert lane.heard_of[-1] == {"cursors"}


def test_a_batch_that_breaks_runs_one_by_one(tmp_path: Path) -> None:
    """Everything of it is undone first; only the bad item fails, and each is told once."""
    lane = Rows()
    database = made(tmp_path, lane)
    played(database, "a", "bad", "c")
    assert lane.runs == [["a", "bad", "c"], ["a"], ["bad"], ["c"]]
    assert [type(outcome) for _, outcome in lane.told] == [str, ZeroDivisionError, str]
    assert stored(database) == 2
    assert lane.remembered == {"c"}


@pytest.mark.parametrize("keeps_its_memory", [False, True])
def test_a_failed_commit_tells_nobody_and_leaves_no_memory(tmp_path: Path, keeps_its_memory: bool) -> None:
    """Every item, queued ones too, hears the failure; a lane that kept its memory would know what never was."""
    lane = Rows(keeps_its_memory=keeps_its_memory)
    failures: list[BaseException] = []
    database = made(tmp_path, lane, on_failure=failures.append)
    database._writer.set_commit_hook(lambda: True)

    async def run() -> None:
        database.submit(lane, "a")
        database.submit(lane, "b")
        database.ride(lane, "c")
        while not failures:  # noqa: ASYNC110  nobody rings
            await asyncio.sleep(0.01)
        database.submit(lane, "d")

    asyncio.run(run())
    assert sorted(item for item, _ in lane.told) == ["a", "b", "c", "d"]
    assert all(isinstance(outcome, StorageError) for _, outcome in lane.told)
    assert stored(database) == 0
    assert bool(lane.remembered) is keeps_its_memory


def test_riders_ride_on_the_next_batch_or_pay_for_one_after_a_while(tmp_path: Path) -> None:
    """No batch of their own while another is coming; but none waits for ever."""
    lane = Rows()
    database = made(tmp_path, lane)

    async def run() -> None:
        database.ride(lane, "rider")
        database.submit(lane, "item")
        while len(lane.told) < 2:  # noqa: ASYNC110  nobody rings
            await asyncio.sleep(0.01)
        database.ride(lane, "lonely")
        while len(lane.told) < 3:  # noqa: ASYNC110  nobody rings
            await asyncio.sleep(0.01)
        database.ride(lane, "at the end")
        await database.close()

    asyncio.run(run())
    assert lane.runs == [["item", "rider"], ["lonely"], ["at the end"]]


def test_what_another_process_wrote_makes_a_lane_forget(tmp_path: Path) -> None:
    """SQLite counts foreign commits; its own leave the memory alone."""
    lane = Rows()
    database = made(tmp_path, lane)

    async def run() -> None:
        for item in ("a", "b"):
            database.submit(lane, item)
            await database.write(lambda tx: tx.value(COUNT))
        assert lane.remembered == {"a", "b"}
        apsw.Connection(database.path).execute("INSERT INTO cursors VALUES ('foreign', 1)")
        database.submit(lane, "c")
        await database.close()

    asyncio.run(run())
    assert lane.remembered == {"c"}


def test_a_listener_that_raises_costs_the_others_nothing(tmp_path: Path) -> None:
    """Every doorbell is rung."""
    lane = Rows()
    heard: list[object] = []
    database = made(tmp_path, lane)

    def broken(_: object) -> None:
        raise ZeroDivisionError

    database.listeners += [broken, heard.append]

    async def run() -> None:
        await database.write(lambda tx: tx.publish("bell"))
        await database.close()

    asyncio.run(run())
    assert heard == ["bell"]


def test_a_batch_waits_only_while_there_is_company() -> None:
    """Not for a lone writer, not after a pause, not when enough is queued."""
    assert linger(1, 1, 0.0) == 0
    assert linger(1, 5, LINGER_S) == 0
    assert linger(GATHERED, 5, 0.0) == 0
    assert linger(1, 5, 0.0) == LINGER_S <= 0.004
