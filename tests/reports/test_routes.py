"""The people's API of reports over HTTP, as docs/api.md says it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar, Router
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.testing import TestClient

from kith.app.http import on_bug, on_http_exception, on_problem
from kith.ledger.problem import Problem
from kith.people import connections, enforcement, ladder
from kith.people.server import ServerFacts
from kith.people.sessions import Session
from kith.reports.routes import ROUTES, ReportsKit
from reports.world import HOST, World


class Api:
    """One person's calls."""

    def __init__(self, world: World, client: TestClient[Litestar]) -> None:
        self.world, self.client = world, client
        self.me, self.them = world.account("me"), world.account("them")
        world.do(connections.grant, self.me, self.them)
        self.chat = world.hub.chat(self.me, self.them)
        world.hub.say(self.chat, self.them, "one", "two")

    def body(self, **changes: Any) -> dict[str, Any]:
        """A true report, with changes."""
        items = [base64.b64encode(item.encode()).decode() for item in self.chat.items]
        return {
            "account": self.them,
            "room": self.chat.room,
            "category": "scam",
            "minor_involved": False,
            "note": "",
            "items": items,
        } | changes

    def post(self, path: str, body: object) -> tuple[int, Any]:
        """Status and answer."""
        answer = self.client.post(f"/api/v1{path}", json=body)
        return answer.status_code, answer.json()


@pytest.fixture
def api(world: World) -> Iterator[Api]:
    """The routes with the real error shapes, signed in as `me`."""
    kit = ReportsKit(
        rooms=world.hub, hub_key=world.hub.hub_keys.get, signing_key=world.hub.signing_key, desk=world.desk
    )
    server = ServerFacts(name=HOST, origin=f"https://{HOST}", ticket_key=bytes(32), clock=world.clock)
    signed_in: dict[str, str] = {}
    app = Litestar(
        route_handlers=[Router("/api/v1", route_handlers=ROUTES)],
        dependencies={
            "database": Provide(lambda: world.database, sync_to_thread=False),
            "server": Provide(lambda: server, sync_to_thread=False),
            "reports_kit": Provide(lambda: kit, sync_to_thread=False),
            "session": Provide(lambda: Session(account=signed_in["me"], device="d"), sync_to_thread=False),
        },
        exception_handlers={Problem: on_problem, HTTPException: on_http_exception, Exception: on_bug},
    )
    with TestClient(app) as client:
        made = Api(world, client)
        signed_in["me"] = made.me
        yield made


def test_a_report_is_taken_and_followed(api: Api) -> None:
    """201 with class and first; then it is in one's list."""
    status, answer = api.post("/reports", api.body(note="They asked for money."))
    assert status == 201
    assert set(answer) == {"report", "class", "first", "missing"}
    assert (answer["class"], answer["first"]) == ("FULL", False)
    [mine] = api.client.get("/api/v1/reports").json()
    assert mine["report"] == answer["report"]
    assert (mine["status"], mine["outcome"], mine["handle"]) == ("received", None, "them")


def test_unproven_is_taken_and_malformed_is_not(api: Api) -> None:
    """A chat that one was never in proves nothing and is still a report; framing is what gets 400."""
    assert api.post("/reports", api.body(room=api.world.hub.new_id()))[1]["class"] == "NONE"
    assert api.post("/reports", api.body(room=None, items=[]))[1]["class"] == "NONE"
    one = api.body()["items"][0]
    for changes, words in (
        ({"items": [one] * 31}, "at most 30"),
        ({"items": [one[:-8]]}, "Message 1"),
        ({"items": ["?"]}, "Message 1"),
        ({"room": None}, "name the room"),
        ({"room": "somewhere"}, "not an id"),
        ({"note": "x" * 1001}, "1000 characters"),
        ({"category": "annoying"}, ""),
        ({"extra": 1}, ""),
        ({"minor_involved": "yes"}, ""),
    ):
        status, answer = api.post("/reports", api.body(**changes))
        assert (status, answer["error"]["code"]) == (400, "invalid"), changes
        assert words in answer["error"]["message"]
    assert len(api.client.get("/api/v1/reports").json()) == 2


def test_a_person_who_is_not_there_and_oneself_answer_alike(api: Api) -> None:
    """Byte for byte."""
    one = api.post("/reports", api.body(account=api.world.hub.new_id()))
    assert one == api.post("/reports", api.body(account=api.me)) == api.post("/reports", api.body(account="x"))
    assert one[0] == 404


def test_a_report_sent_again_is_the_same_report(api: Api) -> None:
    """A lost answer costs nothing: the id that the device chose makes it one; without it there are two."""
    chosen = api.world.hub.new_id()
    first = api.post("/reports", api.body(id=chosen))
    assert first == api.post("/reports", api.body(id=chosen))
    assert (first[0], first[1]["report"]) == (201, chosen)
    assert len(api.client.get("/api/v1/reports").json()) == 1
    api.post("/reports", api.body())
    assert len(api.client.get("/api/v1/reports").json()) == 2
    other = api.world.account("somebody else")
    api.world.do(connections.grant, api.me, other)
    assert api.post("/reports", api.body(id=chosen, account=other))[0] == 409
    assert api.post("/reports", api.body(id="one"))[0] == 400


def test_a_report_names_nobody_whom_one_never_met(api: Api) -> None:
    """The list of one's reports shows handles, so an id from nowhere answers as if it were nobody's."""
    stranger = api.world.account("a stranger")
    nobody = api.post("/reports", api.body(account=api.world.hub.new_id(), room=None, items=[]))
    assert api.post("/reports", api.body(account=stranger, room=None, items=[])) == nobody
    assert api.client.get("/api/v1/reports").json() == []


def test_a_report_may_be_large_but_not_endless(api: Api) -> None:
    """Thirty messages of 64 KiB fit; over 4 MiB is 413 with a sentence."""
    big = api.world.hub.chat(api.me, api.them)
    api.world.hub.say(big, api.them, *["x" * 65_000] * 30)
    items = [base64.b64encode(item.encode()).decode() for item in big.items]
    status, answer = api.post("/reports", api.body(room=big.room, items=items))
    assert (status, answer["class"]) == (201, "FULL")
    status, answer = api.post("/reports", api.body(items=["A" * 1_000_000] * 5))
    assert (status, answer["error"]["code"]) == (413, "too_large")


def test_an_appeal_is_taken_once(api: Api) -> None:
    """201 with its id; then 409; a stranger's measure is 404."""
    mine, theirs = (
        api.world.do(enforcement.impose, who, ladder.suspended(), rule="spam", because="…", source="rule:x", facts={})
        for who in (api.me, api.them)
    )
    for body, status in (({"text": " "}, 400), ({"text": "x" * 1001}, 400), ({"text": "It was not me."}, 201)):
        assert api.post(f"/me/standing/{mine}/appeal", body)[0] == status
    assert api.post(f"/me/standing/{mine}/appeal", {"text": "Again."})[0] == 409
    assert api.post(f"/me/standing/{theirs}/appeal", {"text": "Not mine."})[0] == 404
    assert api.post("/me/standing/x/appeal", {"text": "Nothing."})[0] == 404
