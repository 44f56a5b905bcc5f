"""Being told: on the page, by the system, and while Kith is closed; and by whom nobody is ever told."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from app.push_service import Browser as Subscribed
from app.push_service import PushService, unb64
from journeys.conftest import meeting
from journeys.harness import Server, free_ports
from journeys.person import Person, connect

pytestmark = pytest.mark.browser

AS_THE_BROWSER_WOULD = """
  globalThis.applied = [];
  PushManager.prototype.subscribe = async ({ applicationServerKey }) => {
    globalThis.applied.push(applicationServerKey);
    return { toJSON: () => (SUBSCRIPTION) };
  };
  PushManager.prototype.getSubscription = async () => null;
"""
"""Chromium's own push service is a company's and cannot be here: this much of it stands in."""


@pytest.fixture
def service() -> Iterator[PushService]:
    """A push service on loopback."""
    with PushService() as made:
        yield made


@pytest.fixture
def waking(tmp_path: Path, client: Path, service: PushService) -> Iterator[Server]:
    """A server whose operator named that service."""
    port, staff_port = free_ports(2)
    made = Server(tmp_path / "server", port, staff_port, client=client)
    made.create()
    settings = made.data / "kith.toml"
    settings.write_text(f'push_services = ["{service.origin}"]\n{settings.read_text()}')
    made.start()
    yield made
    made.stop()


def can_be_woken(person: Person, subscribed: Subscribed) -> None:
    """Give this browser a push service, and the person's leave."""
    person.context.grant_permissions(["notifications"])
    keys = {"p256dh": subscribed.subscription["p256dh"], "auth": subscribed.subscription["auth"]}
    subscription = json.dumps({"endpoint": subscribed.endpoint, "keys": keys})
    person.context.add_init_script(AS_THE_BROWSER_WOULD.replace("SUBSCRIPTION", subscription))
    person.page.goto("/")
    person.page.reload()
    person.at_chats()


def shown(person: Person) -> list[dict[str, Any]]:
    """The system's notices of Kith."""
    worker = person.context.service_workers[0]
    found: list[dict[str, Any]] = worker.evaluate(
        "async () => (await registration.getNotifications()).map(({ title, body, tag }) => ({ title, body, tag }))"
    )
    return found


def deliver(person: Person, plaintext: bytes) -> None:
    """Hand a wake-up to the service worker, as the browser does, and wait for what comes of it."""
    page = person.context.new_page()
    session = person.context.new_cdp_session(page)
    registrations: list[str] = []
    session.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: registrations.extend(one["registrationId"] for one in event["registrations"]),
    )
    session.send("ServiceWorker.enable")
    until = time.monotonic() + 20
    while not registrations and time.monotonic() < until:
        page.wait_for_timeout(50)
    origin = person.context.service_workers[0].url.removesuffix("/sw.js")
    session.send(
        "ServiceWorker.deliverPushMessage",
        {"origin": origin, "registrationId": registrations[0], "data": plaintext.decode("latin-1")},
    )
    until = time.monotonic() + 20
    while not shown(person) and time.monotonic() < until:
        page.wait_for_timeout(100)
    page.close()


def test_a_closed_kith_is_woken_and_shows_a_notice_without_name_or_words(
    browser: Browser, waking: Server, service: PushService, request: pytest.FixtureRequest
) -> None:
    """From the switch over the wire to the notice; a muted chat's message does not get that far."""
    with meeting(browser, waking, request.node.name) as meet:
        ann, bea = connect(meet, "Ann Notice", "Bea Notice")
        subscribed = service.browser()
        can_be_woken(bea, subscribed)
        bea.go("#/settings/notifications")
        switch = bea.page.get_by_role("switch", name="Tell me about new messages on this device")
        expect(switch).not_to_be_checked()
        switch.check()
        bea.sees("Saved.")
        expect(switch).to_be_checked()
        service.public_key = unb64(bea.page.evaluate("applied[0]"))
        bea.page.close()

        ann.open_chat("Bea Notice")
        ann.say("a secret on the way to a locked screen")
        wake = service.wait_for(1)[0]
        assert wake.plaintext == bytes(64)
        assert shown(bea) == []
        deliver(bea, wake.plaintext)
        assert shown(bea) == [{"title": "Kith", "body": "New message", "tag": "kith"}]

        bea.page = bea.new_page()
        bea.page.goto("/")
        bea.at_chats()
        bea.go("#/settings/notifications")
        expect(bea.page.get_by_role("switch")).to_be_checked()


def test_news_of_another_chat_is_one_line_that_leads_there(
    browser: Browser, server: Server, request: pytest.FixtureRequest
) -> None:
    """On screen it is a line with the name alone; the open chat and muted ones say nothing."""
    with meeting(browser, server, request.node.name) as meet:
        ann, bea = connect(meet, "Ann News", "Bea News")
        bea.go("#/settings")
        ann.open_chat("Bea News")
        ann.say("something for the chat alone")
        line = bea.page.get_by_role("link", name="Ann News New message")
        expect(line).to_be_visible()
        expect(bea.page.get_by_text("something for the chat alone")).to_have_count(0)
        line.click()
        bea.reads("something for the chat alone")
        ann.say("and while it is open")
        bea.reads("and while it is open")
        expect(line).to_have_count(0)
