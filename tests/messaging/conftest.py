"""A town for every test, and two connected people with a phone each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from kith.ledger.database import Database
from messaging.mls import Group, Phone
from messaging.town import Clock, Town, projectors


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """An empty server."""
    clock = Clock()
    database = Database(tmp_path / "kith.db", projectors(), clock=clock)
    database.create_tables()
    made = Town(database, clock)
    database.listeners.append(made.heard.append)
    yield made
    database.close_now()


class Pair(NamedTuple):
    """Ana and Ben are connected, each with one registered phone; the group holds both."""

    ana: Phone
    ben: Phone
    room: str
    group: Group


@pytest.fixture
def pair(town: Town) -> Pair:
    """Two people who can write to each other."""
    ana, ben = town.phone(town.person("ana")), town.phone(town.person("ben"))
    room = town.connect(ana.account, ben.account)
    town.stock(ana)
    town.stock(ben)
    return Pair(ana, ben, room, town.group(room, ana, ben))
