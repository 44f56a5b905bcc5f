"""What people see of each other and of their own chats: read status, typing, drafts, search, a chat put away."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from journeys.person import Meet, Person, connect

pytestmark = pytest.mark.browser

Friends = tuple[Person, Person]


def test_reading_and_writing_are_told_to_both_sides_and_to_nobody_who_tells_nothing(friends: Friends) -> None:
    """Read and typing appear on the other screen; turned off on one side, neither side sees them any more."""
    ada, bea = friends
    ada.say("Have you seen the heron?")
    bea.reads("Have you seen the heron?")
    ada.sees_state("Have you seen the heron?", "Read")
    bea.page.get_by_role("textbox", name="Message").press_sequentially("I have")
    ada.sees("Bea Status is typing…")
    expect(ada.page.get_by_text("Bea Status is typing…")).to_have_count(0)

    bea.go("#/settings/requests")
    for name in (re.compile("^Show when messages were read"), re.compile("^Show when someone is typing")):
        bea.page.get_by_role("switch", name=name).uncheck()
        bea.sees("Saved")
    bea.open_chat("Ada Status")
    ada.say("And the kingfisher?")
    bea.reads("And the kingfisher?")
    bea.say("Both of them")
    ada.reads("Both of them")
    expect(bea.page.get_by_text(re.compile("^· Delivered$"))).to_be_visible()
    ada.sees_state("And the kingfisher?", "Delivered")


def test_a_draft_survives_a_reload_and_stands_in_the_list(friends: Friends) -> None:
    """What is half written is there again, sealed on the device meanwhile; the list shows that it is a draft."""
    ada, _ = friends
    ada.page.get_by_role("textbox", name="Message").fill("Shall we meet at the")
    ada.home()
    expect(ada.chat_row("Bea Status")).to_contain_text("Draft: Shall we meet at the")
    ada.page.reload()
    ada.at_chats()
    expect(ada.chat_row("Bea Status")).to_contain_text("Draft: Shall we meet at the")
    ada.open_chat("Bea Status")
    composer = ada.page.get_by_role("textbox", name="Message")
    expect(composer).to_have_value("Shall we meet at the")
    composer.fill("")


def test_words_are_found_on_the_device_and_lead_to_where_they_were_said(friends: Friends) -> None:
    """Searching asks the server nothing, and a result opens the chat at its message."""
    ada, bea = friends
    for text in ("The oystercatcher came back", "Bring the long ladder", "Nothing else"):
        ada.say(text)
    bea.reads("Nothing else")
    ada.go("#/search")
    ada.sees_heading("Search messages")
    asked = len(ada.traffic.requests)
    ada.fill("Words to find", "OYSTERcatcher")
    found = ada.page.get_by_role("link").filter(has_text="oystercatcher came back")
    expect(found).to_be_visible()
    ada.sees("Found 1 message")
    asks = [what for what, _ in ada.traffic.requests[asked:] if "/api/" in what]
    # The key log is looked at in its own time, whatever she does.
    assert [what for what in asks if "/transparency" not in what] == []
    found.click()
    expect(ada.log.locator("[aria-current]")).to_contain_text("The oystercatcher came back")


def test_a_chat_that_was_put_away_comes_back_with_the_next_message(meet: Meet) -> None:
    """Archived it is out of the list; a message brings it back, and the title of the window says how many wait."""
    cat, dov = connect(meet, "Cat Status", "Dov Status")
    cat.home()
    cat.button("Show chat options: Dov Status").click()
    cat.button(re.compile("^Archive chat")).click()
    expect(cat.button("Show 1 archived chat")).to_be_visible()
    expect(cat.chat_row("Dov Status")).to_have_count(0)
    dov.say("Where are you?")
    expect(cat.chat_row("Dov Status")).to_be_visible()
    expect(cat.page).to_have_title("(1) Chats · Kith")


def test_the_timer_of_a_chat_is_said_to_both_sides_and_stands_on_later_messages(friends: Friends) -> None:
    """One side sets it; the other reads who did, and what is written then says on both screens that it disappears."""
    ada, bea = friends
    ada.button("Show chat options: Bea Status").click()
    ada.page.get_by_label("Disappearing messages").select_option("1 hour")
    ada.close_sheet()
    ada.sees("You set messages to disappear 1 hour after they are read.")
    bea.sees("They set messages to disappear 1 hour after they are read.")
    bea.say("For an hour, then")
    ada.reads("For an hour, then")
    expect(bea.row("For an hour, then").get_by_text(re.compile("^Disappears in"))).to_be_visible()
    expect(ada.row("For an hour, then").get_by_text(re.compile("^Disappears"))).to_be_visible()
