"""Replay the whole ledger into an empty database and compare every projection: they must be equal."""

from __future__ import annotations

from sqlalchemy import Table, select

from kith.ledger import log as ledger
from kith.ledger import schema
from kith.ledger.database import Database, Projectors


def differences(live: Database, projectors: Projectors) -> list[str]:
    """Where replayed and live projections differ: a line for each table, empty when all are equal."""
    again = Database(":memory:", projectors)
    again.create_tables()
    ledger.replay(live, again)
    found = [difference for table in projections() if (difference := _difference(live, again, table))]
    again.close_now()
    return found


def projections() -> list[Table]:
    """Every table that projectors alone may write."""
    return [table for table in schema.metadata.sorted_tables if table.info["kind"] == "projection"]


def _difference(live: Database, again: Database, table: Table) -> str | None:
    here, there = _rows(live, table), _rows(again, table)
    if here == there:
        return None
    only_here, only_there = sorted(here - there)[:2], sorted(there - here)[:2]
    return f"{table.name}: {len(here)} live, {len(there)} replayed; only live {only_here}; only replayed {only_there}"


def _rows(database: Database, table: Table) -> set[str]:
    return {repr(sorted(row.items())) for row in database.read_now(lambda reader: reader.all(select(table)))}
