"""One demo for all tests of this folder: its first run is the slow part."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.running import Demo, Visitors, free_base
from kith.app import web
from kith.app.demo.residents import PEOPLE


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo that has opened for the first time."""
    if not (web.WEB / "package.json").is_file():
        pytest.skip("an installed package does not build the web client; run from a checkout")
    running = Demo(tmp_path_factory.mktemp("demo") / "demo", free_base())
    try:
        running.start()
        yield running
    finally:
        running.end()


@pytest.fixture(scope="session")
def visitors(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitors]:
    """The printed people, each signed in at her first device."""
    people = Visitors(demo.origin)
    folder = tmp_path_factory.mktemp("visitors")
    try:
        for person in PEOPLE:
            people.sign_in(person.handle, person.password, folder / person.handle)
        yield people
    finally:
        people.close()
