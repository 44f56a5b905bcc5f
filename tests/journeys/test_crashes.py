"""The server is killed while people write: nothing is lost, nothing comes twice, and they go on."""

from __future__ import annotations

import threading

import pytest
from playwright.sync_api import expect

from journeys.harness import Server
from journeys.person import NO_NETWORK, Meet, Person

pytestmark = pytest.mark.browser


def test_a_killed_server_loses_and_doubles_nothing(meet: Meet, server: Server) -> None:
    """kill -9 with messages in flight both ways, twice; every message once, in one order, on both screens."""
    ann, ben = meet("Ann Lake"), meet("Ben Hill")
    for person in (ann, ben):
        person.expects(*NO_NETWORK)
    ann.request("ben.hill", "Round 0")
    ann.sees_request_sent()
    ben.accept("Ann Lake")
    ben.reads("Round 0")
    ann.open_chat("Ben Hill")

    said: dict[str, list[str]] = {"Ann": ["Round 0"], "Ben": []}
    for number, after_s in enumerate((0.15, 0.5)):
        killed = threading.Timer(after_s, server.kill)
        killed.start()
        for at in range(5):
            for name, person in (("Ann", ann), ("Ben", ben)):
                text = f"{name} {number}.{at}"
                person.say(text)
                said[name].append(text)
        killed.join()
        expect(ann.page.get_by_text("· Waiting to send").first).to_be_visible()
        server.start()
        for person in (ann, ben):
            if number > 0:  # the first time Kith finds back by itself; later a changed network is the hint
                person.network_changes()
            person.reads(f"Ann {number}.4")
            person.reads(f"Ben {number}.4")

    in_agreement(ann, ben, said)
    for person in (ann, ben):
        person.page.reload()
        person.reads("Ann 1.4")
        person.reads("Ben 1.4")
    in_agreement(ann, ben, said)


def in_agreement(ann: Person, ben: Person, said: dict[str, list[str]]) -> None:
    """One order on both screens, each sender's own order kept, everything sent and delivered, nothing missing."""
    for person in (ann, ben):
        expect(person.page.get_by_text("· Waiting to send")).to_have_count(0)
    assert ann.texts() == ben.texts()
    for name, texts in said.items():
        assert [text for text in ann.texts() if text in texts] == texts, name
    assert len(ann.texts()) == sum(map(len, said.values()))
    ann.sees_state(said["Ann"][-1], "Delivered")
    ben.sees_state(said["Ben"][-1], "Delivered")
    for person in (ann, ben):
        expect(person.page.get_by_text("missing here")).to_have_count(0)
        expect(person.page.get_by_text("Not sent")).to_have_count(0)
