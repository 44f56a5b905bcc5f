"""Browsers and servers for the journeys."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

from journeys.harness import PHONE, Server, chromium_path, launch, served
from journeys.looks import PICTURES
from journeys.person import Meet, Person, connect
from journeys.staff_browser import Review, Reviewer
from journeys.wires import Wire
from kith.app import web

expect.set_options(timeout=20_000)  # a busy machine is slow; nothing here waits longer than it must


@pytest.fixture(scope="session")
def playwright_here() -> Iterator[Playwright]:
    """Playwright. The absence of Chromium fails in CI and is a loud skip elsewhere."""
    if chromium_path() is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have Chromium: tools/chromium.py installs it")
        pytest.skip("no Chromium here: the browser journeys did NOT run (apt install chromium)")
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright_here: Playwright) -> Iterator[Browser]:
    """Real Chromium."""
    chromium = launch(playwright_here)
    yield chromium
    chromium.close()


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built client, copied, so that a build in the meantime does not pull files from under a journey."""
    built = web.client_folder()
    if not (built / "index.html").is_file():
        pytest.fail("the client is not built: make web")
    return Path(shutil.copytree(built, tmp_path_factory.mktemp("client") / "dist"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, client: Path) -> Iterator[Server]:
    """A module's server; one for all would meet its own limits, so many people sign up from one address."""
    with served(tmp_path_factory.mktemp("journeys"), client=client) as running:
        yield running


@contextmanager
def meeting(browser: Browser, server: Server, pictures: str) -> Iterator[Meet]:
    """Meets people; when they part, no console may have complained."""
    with ExitStack() as stack:
        met: list[Person] = []

        def one(name: str, *, joined: bool = True, **facts: Any) -> Person:
            wire = stack.enter_context(Wire())
            context = browser.new_context(base_url=server.origin, viewport=PHONE, locale="en-GB", proxy=wire.proxy)
            stack.callback(context.close)
            person = Person(context, name, wire, **facts)
            met.append(person)
            if joined:
                person.sign_up()
                person.at_chats()
            return person

        yield one
        if PICTURES:
            for number, person in enumerate(met):
                person.page.screenshot(path=Path(PICTURES) / f"{pictures}-{number}-{person.handle}.png")
        assert {person.name: person.surprises() for person in met if person.surprises()} == {}


@pytest.fixture
def meet(browser: Browser, server: Server, request: pytest.FixtureRequest) -> Iterator[Meet]:
    """`meet("Ann Lake")` is signed up and at her chats; everybody goes home after the test."""
    with meeting(browser, server, request.node.name) as one:
        yield one


@pytest.fixture(scope="module")
def old_friends(browser: Browser, server: Server, request: pytest.FixtureRequest) -> Iterator[tuple[Person, Person]]:
    """Two people who have a chat, for all tests of a module: joining takes seconds."""
    family = request.module.__name__.rpartition("test_")[2].capitalize()
    with meeting(browser, server, request.module.__name__) as one:
        yield connect(one, f"Ada {family}", f"Bea {family}")


@pytest.fixture
def friends(old_friends: tuple[Person, Person]) -> tuple[Person, Person]:
    """The two old friends, both online, with their chat open."""
    for person, other in (old_friends, old_friends[::-1]):
        person.has_network_again()
        person.open_chat(other.name)
        person.in_chat()
        expect(person.log.locator(".bubble").first).to_be_visible()
    return old_friends


@pytest.fixture
def review(browser: Browser, server: Server) -> Iterator[Review]:
    """Lets staff in: `review("rita", "reviewer")` is at the queue."""
    with ExitStack() as stack:
        present: list[Reviewer] = []

        def one(login: str, *roles: str) -> Reviewer:
            server.add_staff(login, *roles)
            context = browser.new_context(
                base_url=server.staff_origin, viewport={"width": 1200, "height": 900}, locale="en-GB"
            )
            stack.callback(context.close)
            reviewer = Reviewer(context, login)
            present.append(reviewer)
            reviewer.sign_in()
            return reviewer

        yield one
        assert {staff.login: staff.surprises() for staff in present if staff.surprises()} == {}
