"""The server gets a newer client while somebody has the old one open: her other screens open all the same."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from journeys.conftest import meeting
from journeys.harness import PHONE, Server, served
from journeys.person import Person
from journeys.wires import Wire

pytestmark = pytest.mark.browser

HASHED = re.compile(r"(?<=-)[\w-]{8}(?=\.(?:js|css)\b)")
"""The part of a built file's name that says what is in it."""


def newer(client: Path, into: Path) -> Path:
    """Another build of the same client: no file under /assets/ has the name it had."""
    shutil.copytree(client, into, ignore=shutil.ignore_patterns("*.br", "*.gz"))
    for file in sorted(path for path in into.rglob("*") if path.suffix in {".js", ".css", ".html"}):
        file.write_text(HASHED.sub(lambda found: found[0][::-1], file.read_text()))
        file.rename(file.with_name(HASHED.sub(lambda found: found[0][::-1], file.name)))
    worker = into / "sw.js"
    worker.write_text(re.sub(r"(?<=kith \$\{\")\w+", "newer", worker.read_text()))
    return into


def replace(client: Path, build: Path) -> None:
    """What an update of the server does: the old files are gone, the new ones are there."""
    for old in client.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    shutil.copytree(build, client, dirs_exist_ok=True)


@pytest.fixture
def updated(client: Path, tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """A server with a client of its own that may be replaced, and the newer build."""
    own = Path(shutil.copytree(client, tmp_path / "web" / "dist"))
    with served(tmp_path / "kith", client=own) as server:
        yield server, newer(client, tmp_path / "newer")


def test_an_open_page_opens_its_other_screens_after_the_server_was_updated(
    browser: Browser, updated: tuple[Server, Path]
) -> None:
    """They were kept when she first came; with one tap she has the newer client, and only then the old files go."""
    server, build = updated
    with meeting(browser, server, "updates") as meet:
        ann = meet("Ann Update")
        ann.page.evaluate("async () => { await navigator.serviceWorker.ready; }")
        ann.page.reload()
        ann.at_chats()
        assert ann.page.evaluate("navigator.serviceWorker.controller !== null")
        old = ann.page.evaluate("() => [...document.scripts].map(({src}) => src)")
        replace(Path(server.client or ""), build)
        ann.link("Open settings").click()
        ann.sees_heading("Settings")
        ann.home()
        ann.page.evaluate("async () => { await (await navigator.serviceWorker.ready).update(); }")
        ann.sees("An update is ready.")
        ann.go("#/add")  # the newer files wait beside the old ones
        ann.sees_heading("Add a person")
        ann.home()
        with ann.page.expect_navigation():
            ann.button("Update now").click()
        ann.at_chats()
        assert ann.page.evaluate("() => [...document.scripts].map(({src}) => src)") != old
        ann.link("Open settings").click()
        ann.sees_heading("Settings")
        kept = ann.page.evaluate("async () => (await caches.keys()).length")
        assert kept == 1, "what the older client was made of is gone"


def test_without_a_service_worker_the_page_says_so_and_offers_the_newer_client(
    browser: Browser, updated: tuple[Server, Path]
) -> None:
    """The control: where nothing is kept, a screen that she has not opened is gone with the old files."""
    server, build = updated
    with Wire() as wire:
        context = browser.new_context(
            base_url=server.origin, viewport=PHONE, locale="en-GB", proxy=wire.proxy, service_workers="block"
        )
        bea = Person(context, "Bea Update", wire)
        bea.sign_up()
        bea.at_chats()
        replace(Path(server.client or ""), build)
        bea.link("Open settings").click()
        bea.sees("This part of Kith isn't here yet.")
        bea.home()
        with bea.page.expect_navigation():
            bea.button("Update now").click()
        bea.at_chats()
        bea.link("Open settings").click()
        bea.sees_heading("Settings")
        expect(bea.page.get_by_role("alert").filter(has_text=re.compile(r"\w"))).to_have_count(0)
        context.close()
