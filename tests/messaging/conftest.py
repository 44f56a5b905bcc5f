"""A town for every test, and two connected people with a phone each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from litestar.testing import TestClient

from kith.app import keys as key_files
from kith.app.http import people_app
from kith.app.keys import Keys
from kith.ledger.database import Database
from kith.messaging import facts, group_routes, routes
from kith.people import routes as people_routes
from kith.people.server import ServerFacts
from messaging.mls import HOST, Group, Phone
from messaging.town import START, Clock, Town, projectors


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


Call = Callable[..., Any]


@pytest.fixture
def calls(town: Town, tmp_path: Path) -> Iterator[Callable[[Phone], Call]]:
    """`calls(phone)("POST", path, body)` as that phone's person; `content` and `kind` instead of JSON."""
    key_files.create(tmp_path / "keys", START)
    app = people_app(
        database=town.database,
        server=ServerFacts(name=HOST, origin=f"https://{HOST}", ticket_key=b"k" * 32, clock=town.clock, met=facts.met),
        keys=Keys(tmp_path / "keys"),
        client=tmp_path,
        routes=[*people_routes.ROUTES, *routes.ROUTES, *group_routes.ROUTES],
        provide={"notice_about": lambda: lambda _reader, _to, about: {"about": about}},
    )
    with TestClient(app) as client:

        def of(phone: Phone) -> Call:
            headers = {"Authorization": f"Bearer {town.tokens[phone.device]}"}

            def call(method: str, path: str, body: Any = None, content: bytes | None = None, kind: str = "") -> Any:
                if content is None:
                    return client.request(method, f"/api/v1{path}", json=body, headers=headers)
                typed = {**headers, "Content-Type": kind}
                return client.request(method, f"/api/v1{path}", content=content, headers=typed)

            return call

        yield of
