"""Restricting: peace from somebody who never learns of it, in real browsers, and undone in one tap."""

from __future__ import annotations

import re
import time
from typing import Final

import msgspec
import pytest
from playwright.sync_api import expect

from journeys.person import Meet, Person, connect
from journeys.test_files import adds, blobs_asked, chosen, encoded, painted, sends

pytestmark = pytest.mark.browser

ACCEPTED: Final = 17
MAIL: Final = 19
WHISPER: Final = 20
DELIVERED: Final = 23
BESIDE: Final = (18, 22)
"""Refusals and pongs say nothing of the other side."""


def kinds_since(person: Person, count: int) -> list[int]:
    """Kinds of the frames that came since then, each once."""
    frames = [msgspec.msgpack.decode(frame) for frame in person.traffic.heard[count:]]
    return sorted({int(frame[0]) for frame in frames} - set(BESIDE))


def hears_since(person: Person, count: int, kinds: list[int]) -> None:
    """Frames of exactly these kinds came, or come soon: word of a delivery may follow that of reading."""
    until = time.monotonic() + 20
    while not set(kinds) <= set(kinds_since(person, count)) and time.monotonic() < until:
        person.page.wait_for_timeout(50)
    assert kinds_since(person, count) == kinds


def restrict(person: Person, name: str) -> None:
    """Behind the shield of the open chat."""
    person.button("Open safety options").click()
    person.button(re.compile(f"^Restrict {name}")).click()
    person.sees_heading(f"{name} is restricted")
    person.button("Done").click()
    person.sees(f"You restricted {name}. They won't know.")


def finds_among_requests(person: Person, name: str) -> None:
    """Open the chat where it waits, without a number."""
    entry = person.link(re.compile("^Message requests"))
    expect(entry).to_contain_text("1 restricted chat")
    entry.click()
    aside = person.page.get_by_role("list", name="Restricted").get_by_role("link").filter(has_text=name)
    expect(aside).not_to_contain_text("unread")
    aside.click()
    expect(person.row("Why don't you answer?")).to_be_visible()


def test_who_is_restricted_waits_among_the_requests_and_never_learns_of_it(meet: Meet) -> None:
    """No notice, number or read status, nothing fetched; what he sees and what reaches his browser stay the same."""
    ben, ann = connect(meet, "Ben Rough", "Ann Calm")
    cat = meet("Cat Friend")
    cat.request(ann.handle, "Hello Ann")
    ann.accept("Cat Friend")
    ann.reads("Hello Ann")
    ann.say("Hello Cat")
    ann.open_chat("Ben Rough")
    ann.say("Hello Ben")
    ben.reads("Hello Ben")

    before = len(ben.traffic.heard)
    ben.say("The control")
    ann.reads("The control")
    ben.sees_state("The control", "Read")
    hears_since(ben, before, [ACCEPTED, WHISPER, DELIVERED])

    restrict(ann, "Ben Rough")
    ann.home()
    expect(ann.chat_row("Ben Rough")).to_have_count(0)
    fetched = len(blobs_asked(ann))
    before = len(ben.traffic.heard)
    adds(ben, chosen("hills.jpg", encoded(painted(400, 300, 90), "JPEG")))
    sends(ben, "Look at this")
    ben.say("Why don't you answer? https://example.com")
    ben.sees_state("Why don't you answer?", "Delivered")
    cat.open_chat("Ann Calm")
    cat.say("Choir at seven")
    expect(ann.page).to_have_title("(1) Chats · Kith")  # behind all that Ben wrote, and counts alone
    expect(ann.chat_row("Ben Rough")).to_have_count(0)
    expect(ann.page.get_by_role("link", name=re.compile("Ben Rough.*New message"))).to_have_count(0)

    finds_among_requests(ann, "Ben Rough")
    expect(ann.row("Why don't you answer?").get_by_role("link")).to_have_count(0)
    expect(ann.row("Look at this")).to_contain_text("You restricted Ben Rough. It's okay not to look.")
    ann.page.get_by_role("textbox", name="Message").press_sequentially("At work")
    ann.button("Send").click()
    ben.reads("At work")  # it came behind all that she could have told
    expect(ben.log.get_by_text(re.compile("· Read"))).to_have_count(0)
    hears_since(ben, before, [ACCEPTED, MAIL, DELIVERED])  # the mail is her answer
    assert len(blobs_asked(ann)) == fetched

    ann.button("Stop restricting").click()
    expect(ann.page.get_by_text("You restricted Ben Rough.")).to_have_count(0)
    expect(ann.log).to_be_focused()
    ann.home()
    expect(ann.chat_row("Ben Rough")).to_be_visible()
    ben.say("Good night")
    expect(ann.page).to_have_title("(2) Chats · Kith")
    ann.open_chat("Ben Rough")
    ann.reads("Good night")
    ben.sees_state("Good night", "Read")


def test_the_list_of_restricted_people_lifts_it_too_and_another_tab_agrees(meet: Meet) -> None:
    """From the options of the chat into the settings; the chat is back in every tab."""
    _, dee = connect(meet, "Eli Rough", "Dee Calm")
    dee.button("Show chat options: Eli Rough").click()
    dee.button(re.compile("^Restrict Eli Rough")).click()
    dee.sees_heading("Eli Rough is restricted")
    dee.close_sheet()
    other = dee.new_page()
    other.goto("/#/requests")
    listed = other.get_by_role("list", name="Restricted").get_by_role("link").filter(has_text="Eli Rough")
    expect(listed).to_be_visible()
    dee.go("#/settings/restricted")
    dee.button("Stop restricting Eli Rough").click()
    dee.sees_heading("You haven't restricted anyone")
    expect(listed).to_have_count(0)
    dee.home()
    expect(dee.chat_row("Eli Rough")).to_be_visible()
