"""A real server on loopback for tests of the interface, and a small client for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from journeys.harness import Server, free_ports

MONTH, YEAR = 3, 1990


def made(folder: Path) -> Server:
    """A fresh server, started."""
    port, staff_port = free_ports(2)
    server = Server(folder / "server", port, staff_port)
    server.create()
    server.start()
    return server


def sign_up(http: httpx.Client, handle: str, *, year: int = YEAR, month: int = MONTH) -> dict[str, Any]:
    """A person with a bearer session and no device keys yet."""
    ticket = http.post("/api/v1/age", json={"year": year, "month": month}).json()["ticket"]
    terms = http.get("/api/v1/terms").json()["version"]
    answer = http.post(
        "/api/v1/accounts",
        json={
            "ticket": ticket,
            "handle": handle,
            "display_name": handle.title(),
            "password": "a long enough passphrase",
            "terms_version": terms,
            "device_name": "a test",
            "bearer": True,
        },
    )
    assert answer.status_code == 201, answer.text
    session: dict[str, Any] = answer.json()
    return session


def bearer(session: dict[str, Any]) -> dict[str, str]:
    """The header of a program's session."""
    return {"Authorization": f"Bearer {session['token']}"}
