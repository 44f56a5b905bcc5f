"""From behaviour to action, without reading a word: many first contacts, few wanted, a notice, a limit, a reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from journeys.harness import Server, served
from journeys.looks import Looks
from journeys.person import Meet, Person
from kith.safety.limits import DEFAULT
from kith.safety.rules import MANY_UNANSWERED

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, client: Path) -> Iterator[Server]:
    """A server on which the rule does what it says."""
    with served(tmp_path_factory.mktemp("behaviour"), client=client, rules={MANY_UNANSWERED: "live"}) as running:
        yield running


class Recipient:
    """Somebody at the interface, without a browser: enough to be asked and to say no."""

    def __init__(self, server: Server, handle: str) -> None:
        self.handle = handle
        self._http = httpx.Client(base_url=f"{server.origin}/api/v1")
        ticket = self._ask("POST", "/age", {"year": 1985, "month": 4})["ticket"]
        session = self._ask(
            "POST",
            "/accounts",
            {
                "ticket": ticket,
                "handle": handle,
                "display_name": handle,
                "password": "a kettle on the roof",
                "terms_version": self._ask("GET", "/terms")["version"],
                "device_name": "none",
                "bearer": True,
            },
        )
        self._http.headers["Authorization"] = f"Bearer {session['token']}"

    def declines(self) -> None:
        """Say no to everybody who asks."""
        for request in self._ask("GET", "/requests")["received"]:
            self._http.post(f"/requests/{request['request']}/decline").raise_for_status()

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        answer = self._http.request(method, path) if body is None else self._http.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json()


def test_many_unwanted_first_contacts_are_noticed_and_slowed(meet: Meet, server: Server) -> None:
    """Those who were asked read a fact and a reassurance; the one who asked: what, why, and how to object."""
    looks = Looks()
    pat = meet("Pat Reach")
    wren = meet("Wren Hill")
    pat.request("wren.hill", "Hello you")
    pat.sees_request_sent()
    everybody = [Recipient(server, f"person.{number}") for number in range(DEFAULT.many_first_contacts - 1)]
    for one in everybody:
        assert pat.call("POST", "/api/v1/requests", {"handle": one.handle})["status"] == 201
        one.declines()
        one.close()

    wren.open_request("Pat Reach")
    notice = wren.page.get_by_role("region", name="Notice").or_(wren.page.get_by_label("Notice"))
    expect(notice.first).to_contain_text("has messaged many people")
    expect(notice.first).to_contain_text("You never owe anyone a reply or a photo.")
    looks.at(wren.page, "request-notice")
    wren.button("Hide this").click()
    expect(wren.page.get_by_text("has messaged many people")).to_have_count(0)
    wren.page.reload()
    wren.sees_heading("Pat Reach")
    expect(wren.page.get_by_text("has messaged many people")).to_have_count(0)

    slowed(pat, looks)
    assert looks.faults == []


def slowed(pat: Person, looks: Looks) -> None:
    """What it looks like from the other side."""
    pat.go("#/settings/standing")
    pat.sees_heading(f"You can start {DEFAULT.friction_requests_per_day} new chats a day")
    pat.sees("You sent many message requests in a day and few were accepted.")
    looks.at(pat.page, "standing-limited")
    expect(pat.button("Request review")).to_be_visible()
    pat.expects("429 (Too Many Requests)", "403 (Forbidden)")
    pat.request("one.more")
    assert re.search("limit|today", pat.problem())
    looks.at(pat.page, "add-limited")
