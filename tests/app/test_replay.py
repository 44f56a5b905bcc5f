"""Replaying the ledger of a server that was really used rebuilds every projection."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from sqlalchemy import Table, select, update

from app.serverside import bearer, made, sign_up
from kith.app.replaying import differences, projections
from kith.app.wiring import projectors
from kith.ledger.database import Database, Reader
from kith.people import store as people


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a server on which people signed up, asked, accepted, declined, blocked and changed their minds."""
    server = made(tmp_path_factory.mktemp("replay"))
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as http:
            ada, ben, cleo = (sign_up(http, handle) for handle in ("ada_lamp", "ben_oak", "cleo_sky"))
            noor = sign_up(http, "noor_reed", year=2011, month=2)
            for asker in (ben, cleo, noor):
                http.post("/api/v1/requests", json={"handle": "ada_lamp"}, headers=bearer(asker)).raise_for_status()
            for nobody in ("nobody_here", "noor_reed"):
                http.post("/api/v1/requests", json={"handle": nobody}, headers=bearer(ben)).raise_for_status()
            received = http.get("/api/v1/requests", headers=bearer(ada)).json()["received"]
            first, second, _ = (row["request"] for row in received)
            http.post(f"/api/v1/requests/{first}/accept", headers=bearer(ada)).raise_for_status()
            http.post(f"/api/v1/requests/{second}/decline", headers=bearer(ada)).raise_for_status()
            http.put("/api/v1/me/controls", json={"requests": "nobody"}, headers=bearer(cleo)).raise_for_status()
            blocked = received[0]["account"]
            http.put(f"/api/v1/blocks/{blocked}", headers=bearer(ada)).raise_for_status()
            http.delete(f"/api/v1/blocks/{blocked}", headers=bearer(ada)).raise_for_status()
            http.put(f"/api/v1/hushes/{blocked}", headers=bearer(ada)).raise_for_status()
            http.delete("/api/v1/sessions/current", headers=bearer(cleo)).raise_for_status()
            report = {
                "account": blocked,
                "room": None,
                "category": "scam",
                "minor_involved": True,
                "note": "",
                "items": [],
            }
            http.post("/api/v1/reports", json=report, headers=bearer(ada)).raise_for_status()
    finally:
        server.stop()
    return server.data


def has_rows(reader: Reader, table: Table) -> bool:
    """Whether there is anything in it."""
    return reader.one(select(table)) is not None


def test_replaying_the_ledger_rebuilds_the_same_projections(used: Path) -> None:
    """Every projection table, row by row, and there is something in the ones this world touches."""
    live = Database(used / "kith.db", projectors())
    assert differences(live, projectors()) == []
    filled = {table.name for table in projections() if live.read_now(has_rows, table)}
    assert {"accounts", "devices", "connections", "requests", "decisions", "cases", "reports"} <= filled
    live.close_now()


def test_a_row_changed_past_its_projector_is_found_out(used: Path) -> None:
    """The control: one band altered behind the ledger's back."""
    live = Database(used / "kith.db", projectors())
    live.write_now(lambda tx: tx.run(update(people.accounts).values(band="16-17")))
    assert [line.split(":")[0] for line in differences(live, projectors())] == ["accounts"]
    live.close_now()
