"""Notices over HTTP: one's own alone, and one answer for what is absent or another's."""

from __future__ import annotations

from litestar import Litestar
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.testing import TestClient

from kith.app.http import on_http_exception, on_problem
from kith.ledger.problem import Problem
from kith.people.sessions import Session
from kith.safety.routes import ROUTES
from safety.test_rules import limited
from safety.town import Town


def signed_in(town: Town, account: str) -> TestClient[Litestar]:
    """A client of one person."""
    app = Litestar(
        route_handlers=list(ROUTES),
        dependencies={
            "database": Provide(lambda: town.database, sync_to_thread=False),
            "session": Provide(lambda: Session(account=account, device="device"), sync_to_thread=False),
        },
        exception_handlers={Problem: on_problem, HTTPException: on_http_exception},
    )
    return TestClient(app)


def test_a_person_reads_and_puts_away_her_own_notices(town: Town) -> None:
    """List, dismiss, gone; a second dismissal changes nothing."""
    limited(town)
    town.ask("mallory", "bystander")
    with signed_in(town, "bystander") as client:
        (notice,) = client.get("/api/v1/notices").json()
        assert notice["about"] == "mallory"
        assert set(notice) == {"id", "rule", "about", "text", "since_ms"}
        for _ in range(2):
            assert client.post(f"/api/v1/notices/{notice['id']}/dismiss").status_code == 204
        assert client.get("/api/v1/notices").json() == []


def test_another_persons_notice_and_an_absent_one_answer_alike(town: Town) -> None:
    """404, byte for byte."""
    limited(town)
    town.ask("mallory", "bystander")
    with signed_in(town, "bystander") as client:
        theirs = client.get("/api/v1/notices").json()[0]["id"]
    with signed_in(town, "somebody-else") as client:
        one = client.post(f"/api/v1/notices/{theirs}/dismiss")
        other = client.post("/api/v1/notices/none/dismiss")
        assert (one.status_code, one.content) == (other.status_code, other.content)
        assert one.status_code == 404
