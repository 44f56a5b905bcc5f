"""Strangers: what an adult and a minor who are not connected learn of each other, which is nothing."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from journeys.person import Meet, Person

pytestmark = pytest.mark.browser

ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def test_an_adult_and_an_unconnected_minor_learn_nothing_of_each_other(meet: Meet) -> None:
    """A minor, nobody, one who blocked, one who takes no requests: one screen, one answer; the minor sees nothing."""
    kit = meet("Kit Moss", born=(2012, 6))
    vera = meet("Vera Stone")
    cleo = meet("Cleo Marsh")
    dora = meet("Dora Heath")
    adult = meet("Paul Quick")
    blocks(dora, adult)
    cleo.go("#/settings/requests")
    cleo.page.get_by_role("radio", name=re.compile("^Nobody")).click()
    cleo.sees("Saved.")
    heard = len(kit.traffic.heard)

    handles = ["kit.moss", "nobody.here", "dora.heath", "cleo.marsh", "vera.stone"]
    screens = {handle: screen_after_request(adult, handle) for handle in handles}
    assert len(set(screens.values())) == 1
    answers = [answer(adult, "POST", "/api/v1/requests", {"handle": handle}) for handle in handles]
    assert all(one == answers[0] for one in answers)
    assert answers[0][0] == 201
    listed = adult.call("GET", "/api/v1/requests")["body"]["sent"]
    assert {tuple(sorted((key, value) for key, value in one.items() if key not in SECRET)) for one in listed} == {
        (("account", None), ("room", None), ("state", "sent"))
    }
    the_sent_list_looks_alike(adult, handles)

    vera.open_request("Paul Quick")  # the control: one of the five was reached
    sees_nothing(kit, heard)
    unknown = answer(adult, "GET", f"/api/v1/accounts/{uuid4()}/devices")
    assert answer(adult, "GET", f"/api/v1/accounts/{account_of(kit)}/devices") == unknown
    adult.expects("404 (Not Found)")

    backwards = [answer(kit, "POST", "/api/v1/requests", {"handle": one}) for one in ("cleo.marsh", "nobody.too")]
    assert backwards[0] == backwards[1] == answers[0]


SECRET = {"request", "to", "sent_ms"}
"""What the requester gave or chose herself, and when."""


def test_a_minors_own_invite_works_once_and_only_with_her_yes(meet: Meet) -> None:
    """The link leads an adult to a request that she confirms; for the next adult it is as if it did not exist."""
    ivy = meet("Ivy Reed", born=(2011, 2))
    aunt = meet("Aunt June")
    late = meet("Late Larry")
    link = ivy.invite()
    aunt.open_invite(link, "It's me, your aunt")
    late.open_invite(link, "Let me in too")
    ivy.open_request("Aunt June")
    ivy.sees("can't see that you've read this, and can't message you unless you accept.")
    expect(ivy.page.get_by_text("It's me, your aunt")).to_have_count(0)
    ivy.button("Accept").click()
    ivy.reads("It's me, your aunt")
    aunt.open_chat("Ivy Reed")
    aunt.say("Cake on Sunday?")
    ivy.reads("Cake on Sunday?")
    ivy.home()
    expect(ivy.link(re.compile("^Message requests"))).to_have_count(0)
    assert ivy.call("GET", "/api/v1/requests")["body"]["received"] == []
    without_times = re.sub(r"\d{1,2}:\d\d", "", aunt.page.locator("body").inner_text())
    assert not re.search("13|16|minor|under 18|years", without_times)


def blocks(person: Person, other: Person) -> None:
    """`person` had a request of `other` and blocked it."""
    other.request(person.handle, "Hello there")
    other.sees_request_sent()
    person.open_request(other.name)
    person.button("Block").click()
    person.sees_heading(f"{other.name} is blocked")
    person.close_sheet()
    other.go("#/requests")
    other.button(f"Cancel request to {person.handle}").click()
    expect(other.page.get_by_text("No requests")).to_be_visible()


def screen_after_request(person: Person, handle: str) -> str:
    """Everything on the screen that follows a request."""
    person.go("#/")
    person.request(handle)
    person.sees_request_sent()
    return person.page.locator("body").inner_text()


def the_sent_list_looks_alike(person: Person, handles: list[str]) -> None:
    """The list of sent requests says the same of each."""
    person.go("#/requests")
    rows = person.page.get_by_role("main").get_by_role("listitem")
    expect(rows.first).to_be_visible()
    said = {re.sub("|".join(map(re.escape, handles)), "WHO", row) for row in rows.all_inner_texts()}
    assert len(said) == 1


def answer(person: Person, method: str, path: str, body: object = None) -> tuple[int, list[Any], str]:
    """Status, headers and body, as bytes would compare, apart from the fresh id and the date."""
    got = person.call(method, path, body)
    return got["status"], [one for one in got["headers"] if one[0] != "date"], ID.sub("ID", got["text"])


def sees_nothing(person: Person, heard: int) -> None:
    """No word on the screen, nothing to fetch, not a frame on the stream, also after opening Kith anew."""
    assert person.call("GET", "/api/v1/requests")["body"]["received"] == []
    assert person.call("GET", "/api/v1/notices")["body"] == []
    assert [frame for frame in person.traffic.heard[heard:] if not is_pong(frame)] == []
    person.page.reload()
    person.at_chats()
    expect(person.page.get_by_text("No chats yet")).to_be_visible()
    expect(person.link(re.compile("^Message requests"))).to_have_count(0)


def is_pong(frame: bytes) -> bool:
    """`[22 PONG, time]`: the only thing a quiet stream says."""
    return frame[:2] == b"\x92\x16"


def account_of(person: Person) -> str:
    """Her account's id."""
    return str(person.call("GET", "/api/v1/me")["body"]["account_id"])
