"""Replaying the events rebuilds every projection of reports, exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Table

from kith.ledger import log
from kith.reports import review, store
from reports.test_appeals import Suspended
from reports.test_review import Open
from reports.world import World


def projections() -> list[str]:
    """The tables of this room that are rebuilt."""
    tables = [value for value in vars(store).values() if isinstance(value, Table)]
    return sorted(table.name for table in tables if table.info["kind"] == "projection")


def contents(world: World) -> dict[str, list[Any]]:
    """Every row of them."""
    return {name: sorted(map(repr, world.raw(f"select * from {name}"))) for name in projections()}  # noqa: S608


def test_a_replay_gives_the_live_projections(world: World, tmp_path: Path) -> None:
    """After claims, verdicts, a decision, an appeal that was overturned, a move, and staff that came and went."""
    scene = Suspended(world)
    case = scene.appealed()
    ben = world.staff("ben", "reviewer")
    world.do(review.claim, ben, case, world.desk.limits)
    scene.rule(ben, case, "overturned")
    world.report(None, scene.them, scene.me, category="other")
    world.report(None, scene.them, scene.me, category="drugs_weapons", minor_involved=True)
    general = next(row for row in world.open_cases() if row.queue == "general")
    world.do(review.claim, ben, general.case, world.desk.limits)
    assert world.do(review.escalate, ben, general.case, world.desk).allowed
    (tmp_path / "again").mkdir()
    copy = World(tmp_path / "again" / "kith.db")
    log.replay(world.database, copy.database)
    assert projections() == ["appeals", "cases", "reports", "staff", "verdicts"]
    assert contents(copy) == contents(world)
    assert all(contents(world).values())
    copy.database.close_now()


def test_a_projection_that_differs_would_be_seen(world: World, tmp_path: Path) -> None:
    """Control: one changed row and the comparison fails."""
    scene = Open(world)
    (tmp_path / "again").mkdir()
    copy = World(tmp_path / "again" / "kith.db")
    log.replay(world.database, copy.database)
    world.do(lambda tx: tx.run(store.SET_CLAIM, id=scene.case, by="nobody", until=1))
    assert contents(copy) != contents(world)
    copy.database.close_now()
