"""A furnished console, and somebody who uses it over HTTP."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from litestar.types import ASGIApp

from console.scene import PASSWORD, add_staff, app_for, furnish
from reports.world import World

ORIGIN = "https://staff.kith.test"


class Person:
    """A member of staff with a browser that does what forms do."""

    def __init__(self, app: ASGIApp, runner: asyncio.Runner) -> None:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # an ASGI application
        self.http = httpx.AsyncClient(transport=transport, base_url=ORIGIN)
        self._runner = runner

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Follow no redirect."""
        return self._runner.run(self.http.get(path, headers=headers))

    def post(self, path: str, fields: dict[str, str], *, origin: str | None = ORIGIN, **headers: str) -> httpx.Response:
        """Send a form as it stands."""
        if origin is not None:
            headers["Origin"] = origin
        return self._runner.run(self.http.post(path, data=fields, headers=headers))

    def csrf(self, path: str = "/decisions") -> str:
        """The form token on a page."""
        found = re.search(r'name="csrf" value="([0-9a-f]+)"', self.get(path).text)
        assert found, path
        return found[1]

    def submit(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> httpx.Response:
        """Send a form with this session's token."""
        return self.post(path, {"csrf": self.csrf("/"), **(fields or {})}, **headers)

    def sign_in(self, login: str, password: str = PASSWORD) -> httpx.Response:
        """Through the form."""
        fields = {"csrf": self.csrf("/sign-in"), "login": login, "password": password}
        return self.post("/sign-in", fields)

    def close(self) -> None:
        """Put the browser away."""
        self._runner.run(self.http.aclose())


class Console:
    """The console and everybody at it."""

    def __init__(self, world: World, runner: asyncio.Runner) -> None:
        self.world = world
        add_staff(world)
        self.people = furnish(world)
        self.app = app_for(world, ORIGIN)
        self._runner = runner
        self._visitors: list[Person] = []

    def visitor(self) -> Person:
        """Somebody with an empty browser."""
        made = Person(self.app, self._runner)
        self._visitors.append(made)
        return made

    def as_(self, login: str) -> Person:
        """Somebody who is signed in."""
        made = self.visitor()
        assert made.sign_in(login).headers["location"] == "/"
        return made

    def case_about(self, handle: str, queue: str = "general") -> str:
        """The open case about a person."""
        about = self.people[handle]
        [found] = [row.case for row in self.world.open_cases() if row.account == about and row.queue == queue]
        return str(found)

    def taken(self, login: str, handle: str, queue: str = "general") -> tuple[Person, str]:
        """Somebody who has taken the case about a person."""
        person, case = self.as_(login), self.case_about(handle, queue)
        assert person.submit(f"/cases/{case}/claim").headers["location"] == f"/cases/{case}"
        return person, case

    def close(self) -> None:
        """Everybody goes home."""
        for person in self._visitors:
            person.close()


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    """A console with cases of every kind."""
    world = World(tmp_path / "kith.db")
    with asyncio.Runner() as runner:
        made = Console(world, runner)
        yield made
        made.close()
    world.database.close_now()
