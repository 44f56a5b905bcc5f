"""What becomes of a request is told by nothing: not by an export, not by what is forgotten when, not by a retry."""

from __future__ import annotations

from typing import Any

import pytest

from kith.ledger.events import BandChanged, ControlsChanged
from kith.ledger.limits import DAY
from kith.messaging import facts, store
from kith.messaging.flows import requests, sweeping
from kith.people import blocks, enforcement, export
from kith.people.ladder import Step
from messaging.town import Town

FATES = ("nobody", "open", "declined", "blocked before", "blocked after", "closed", "minor", "younger now", "suspended")


def told(town: Town, account: str) -> tuple[Any, Any]:
    """Everything an export says of requests, without the ids that chance made and the handles that she typed."""
    listed = town.ask(facts.held, account)["requests_sent"]
    history = town.ask(export.history, account, 0).entries
    for entry in (*listed, *history):
        for chance in ("request", "to", "account", "requester", "decision"):
            entry.pop(chance, None)
    return listed, history


def suspend(town: Town, account: str) -> None:
    """The last rung."""
    town.do(
        enforcement.impose,
        account,
        Step(what="suspended"),
        rule="test",
        because="A test.",
        source="rule:test",
        facts={},
    )


def meet(town: Town, fate: str, asker: str) -> None:
    """Ask for somebody, who then does something, or is something."""
    handle = fate.replace(" ", ".")
    band = "13-15" if fate == "minor" else "18+"
    asked = None if fate == "nobody" else town.person(handle, band)
    if asked is not None and fate == "blocked before":
        town.do(blocks.block, asked, asker)
    if asked is not None and fate == "closed":
        town.do(lambda tx: tx.append(ControlsChanged(account=asked, requests="nobody")))
    sent = town.request(asker, handle)
    if asked is None:
        return
    if fate == "declined":
        town.do(requests.decline, asked, sent.request)
    if fate == "blocked after":
        town.do(blocks.block, asked, asker)
    if fate == "younger now":
        town.do(lambda tx: tx.append(BandChanged(account=asked, band="13-15", because="lowered")))
    if fate == "suspended":
        suspend(town, asked)
        town.do(requests.accept, asked, sent.request)


@pytest.mark.parametrize("days", [0, 31, 95, 119, 121, 200])
def test_an_export_says_the_same_of_every_request_at_every_time(town: Town, days: int) -> None:
    """Whatever the other is or did: the same entries, forgotten on the same day."""
    askers = {fate: town.person(f"asker.{number}") for number, fate in enumerate(FATES)}
    for fate, asker in askers.items():
        meet(town, fate, asker)
    town.react()
    town.clock.now += days * DAY
    town.do(sweeping.sweep)
    town.do(sweeping.forget)
    answers = {fate: told(town, asker) for fate, asker in askers.items()}
    assert answers == dict.fromkeys(FATES, answers["nobody"])
    assert len(answers["nobody"][0]) == (1 if days <= 120 else 0)


def test_an_export_does_not_say_whether_an_invite_reached_its_maker(town: Town) -> None:
    """Used up, made by somebody who blocked the opener, or good: the same entry."""
    good, used, blocker = town.person("good"), town.person("used"), town.person("blocker")
    tokens = {maker: town.do(requests.invite, maker).token for maker in (good, used, blocker)}
    town.do(requests.ask, town.person("earlier"), token=tokens[used])
    openers = {maker: town.person(f"opener{number}") for number, maker in enumerate(tokens)}
    town.do(blocks.block, blocker, openers[blocker])
    for maker, opener in openers.items():
        town.do(requests.ask, opener, token=tokens[maker])
    answers = [told(town, opener) for opener in openers.values()]
    assert answers[0] == answers[1] == answers[2]


def test_a_handle_of_spaces_takes_no_invite_back(town: Town) -> None:
    """It is nobody's handle, and not the empty words under which invites are kept."""
    maker, opener = town.person("maker"), town.person("opener")
    opened = town.do(requests.ask, opener, token=town.do(requests.invite, maker).token)
    town.request(opener, "   ")
    row = town.ask(lambda reader: reader.one(store.REQUEST, id=opened.request))
    assert row.cancelled_ms is None
