"""One person in several tabs and browsers: at once, anew, signed out from afar, without a network."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import expect

from journeys.looks import Looks
from journeys.person import Meet, Person

pytestmark = pytest.mark.browser


Friends = tuple[Person, Person]


def test_two_tabs_of_one_person_send_at_once(friends: Friends) -> None:
    """Both tabs write; every message arrives once, and both tabs show the same."""
    ann, ben = friends
    first, second = ann.page, ann.new_page()
    second.goto(first.url)
    with ann.on(second):
        ann.reads("First words")
    for page in (first, second):
        page.get_by_role("textbox", name="Message").fill("")
    texts = ann.texts()
    for number in range(4):
        for name, page in (("left", first), ("right", second)):
            page.get_by_role("textbox", name="Message").fill(f"{name} {number}")
            texts.append(f"{name} {number}")
        # Both clicks are under way before either is answered.
        for page in (first, second):
            page.evaluate("() => document.querySelector('form button[type=submit]').click()")
        for page in (first, second):
            expect(page.get_by_role("textbox", name="Message")).to_have_value("")
    for page in (first, second):
        with ann.on(page):
            ann.reads("left 3")
            ann.reads("right 3")
            assert sorted(ann.texts()) == sorted(texts)
    ben.reads("left 3")
    ben.reads("right 3")
    assert sorted(ben.texts()) == sorted(texts)
    with ann.on(second):
        assert ben.texts() == ann.texts()
    second.close()


def test_a_second_browser_joins_with_the_recovery_code(meet: Meet, friends: Friends) -> None:
    """It shows the chats, says why they are empty, and takes part from now on, both ways and in both browsers."""
    ann, ben = friends
    laptop = second_browser(meet, ann)
    laptop.open_chat(ben.name)
    laptop.in_chat()
    laptop.sees("No messages here yet.")
    ben.say("Can you read this on both?")
    for person in (ann, laptop):
        person.reads("Can you read this on both?")
    laptop.say("Yes, from the laptop")
    for person in (ann, ben):
        person.reads("Yes, from the laptop")
    ann.say("And from the phone")
    for person in (laptop, ben):
        person.reads("And from the phone")
    is_told_of_the_new_device(ann)
    laptop.go("#/settings")
    laptop.button("Sign out").click()
    laptop.page.get_by_role("dialog").get_by_role("button", name="Sign out", exact=True).click()
    laptop.sees_heading("Welcome to Kith")
    ben.say("Only for those who are still here")
    ann.reads("Only for those who are still here")


def is_told_of_the_new_device(ann: Person) -> None:
    """The warning is above the chat, said once on a wide window, and put away by keyboard for good."""
    looks, page = Looks(), ann.page
    warning = page.get_by_role("alert").filter(has_text="A device was added to your account.")
    page.reload()
    expect(warning).to_be_visible()
    looks.at(page, "alarm")
    before = page.viewport_size
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(warning).to_have_count(1)
    looks.at(page, "alarm-two-panes")
    page.evaluate("() => { document.documentElement.dir = 'rtl' }")
    looks.at(page, "alarm-right-to-left")
    assert looks.faults == []
    if before is not None:
        page.set_viewport_size(before)
    ann.link("See your devices").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(warning).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.reload()
    ann.in_chat()
    expect(warning).to_have_count(0)


def test_a_browser_that_is_signed_out_from_afar_locks_within_five_seconds(meet: Meet, friends: Friends) -> None:
    """Removed in the list of devices: locked, nothing readable on the screen, and new messages do not reach it."""
    ann, ben = friends
    laptop = second_browser(meet, ann)
    laptop.expects("401", "WebSocket connection to")
    laptop.open_chat(ben.name)
    laptop.in_chat()
    ben.say("Before the lock")
    laptop.reads("Before the lock")

    ann.go("#/settings/devices")
    rows = ann.page.get_by_role("main").get_by_role("listitem")
    expect(rows).to_have_count(2)
    ann.button(re.compile("^Remove ")).click()
    ann.page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
    began = time.monotonic()
    laptop.sees("You were signed out on this device.")
    assert time.monotonic() - began < 5
    expect(laptop.page.get_by_text("Before the lock")).to_have_count(0)
    expect(rows).to_have_count(1)

    ben.say("After the lock")
    ann.open_chat(ben.name)
    ann.reads("After the lock")
    ann.say("Still here")
    ben.reads("Still here")
    laptop.page.reload()
    expect(laptop.page.get_by_role("heading").first).to_be_visible()
    expect(laptop.page.get_by_text("Before the lock")).to_have_count(0)
    expect(laptop.page.get_by_text("After the lock")).to_have_count(0)


def test_what_is_written_offline_goes_out_when_the_network_is_back(friends: Friends) -> None:
    """Said on the screen, waiting on the device, sent once, in order; what came meanwhile is there too."""
    ann, ben = friends
    before = ben.texts()
    ann.loses_network()
    ann.say("Written in a tunnel")
    ann.say("Still in the tunnel")
    ann.sees_state("Written in a tunnel", "Waiting to send")
    ben.say("Where are you?")
    ann.has_network_again()
    ann.reads("Where are you?")
    ann.sees_state("Still in the tunnel", "Delivered")
    expect(ann.page.get_by_text(re.compile("^You're offline"))).to_have_count(0)
    ben.reads("Still in the tunnel")
    assert ben.texts() == [*before, "Where are you?", "Written in a tunnel", "Still in the tunnel"]


def test_a_queued_message_survives_closing_the_tab(friends: Friends) -> None:
    """Closed between writing and sending: the next tab sends it, once."""
    ann, ben = friends
    before = ben.texts()
    ann.loses_network()
    ann.say("Kept in a drawer")
    ann.sees_state("Kept in a drawer", "Waiting to send")
    address = ann.page.url
    ann.page.close()
    ann.has_network_again()
    ann.page = ann.new_page()
    ann.page.goto(address)
    ann.sees_state("Kept in a drawer", "Delivered")
    ben.reads("Kept in a drawer")
    assert ben.texts() == [*before, "Kept in a drawer"]


def test_kith_opens_without_a_network_but_locked(friends: Friends) -> None:
    """From the service worker's copy; the chats stay sealed until the server gives the other half of the key."""
    ann, _ = friends
    ann.page.evaluate("() => navigator.serviceWorker.ready.then(() => null)")
    ann.page.reload()
    ann.reads("First words")
    ann.loses_network()
    ann.page.reload()
    ann.sees_heading("Go online to unlock")
    expect(ann.page.get_by_text("First words")).to_have_count(0)
    ann.has_network_again()
    ann.button("Try again").click()
    ann.reads("First words")


def test_wrong_words_are_answered_in_sentences(meet: Meet) -> None:
    """Wrong password, unknown handle, wrong code, taken handle, weak password: one sentence, and nothing is lost."""
    ann = meet("Ann Seven")
    out = meet("Somebody Else", joined=False)
    out.expects("401 (Unauthorized)", "409 (Conflict)", "400 (Bad Request)")
    out.page.goto("/")
    out.link("Sign in").click()
    out.fill("Handle", ann.handle)
    out.fill("Password", "not the password")
    out.button("Sign in").click()
    wrong_password = out.problem()
    out.fill("Handle", "nobody.at.all")
    out.button("Sign in").click()
    out.page.wait_for_timeout(300)
    assert out.problem() == wrong_password
    assert wrong_password.endswith(".")
    out.link("Use your recovery code").click()
    out.fill("Handle", ann.handle)
    out.fill("Recovery code", "0000-0000-0000-0000-0000-0000-0000-0000-00")
    out.fill("New password", "a new long password")
    out.button("Set new password").click()
    assert out.problem().endswith(".")

    out.go_out("#/sign-up")
    out.give_age()
    out.button("Agree and continue").click()
    out.fill("Handle", ann.handle)
    out.fill("Name", "Somebody Else")
    out.fill("Password", "short")
    out.button("Create account").click()
    assert out.problem().endswith(".")
    out.fill("Password", "long enough for anybody")
    out.button("Create account").click()
    expect(out.page.get_by_role("alert").filter(has_text="handle")).to_be_visible()
    expect(out.page.get_by_label("Name", exact=True)).to_have_value("Somebody Else")


def test_a_child_under_thirteen_is_told_kindly_and_not_asked_twice(meet: Meet) -> None:
    """Refused without a reason that invites lying, with help at hand, and the next try gives the same answer."""
    kid = meet("A Child", joined=False, born=(2020, 1))
    kid.expects("403 (Forbidden)")
    kid.page.goto("/")
    kid.link("Create account").click()
    kid.give_age()
    kid.sees_heading("You can't make an account right now.")
    assert not re.search(r"13|age|old|young", kid.page.get_by_role("main").inner_text())
    expect(kid.link("Get help").first).to_be_visible()
    kid.page.reload()
    kid.go_out("#/sign-up")
    kid.sees_heading("You can't make an account right now.")
    told = kid.call("POST", "/api/v1/age", {"year": 1980, "month": 1})
    assert told["status"] == 403


def second_browser(meet: Meet, person: Person) -> Person:
    """Another browser of the same person, signed in and confirmed with the recovery code."""
    other = meet(person.name, joined=False, handle=person.handle)
    other.page.goto("/#/sign-in")
    other.sees("Your chats start empty here. Older messages stay on the devices that have them.")
    other.page.goto("/#/")
    other.sign_in()
    other.sees_heading("Type your recovery code")
    other.fill("Recovery code", person.code)
    other.button("Continue").click()
    other.at_chats()
    return other
