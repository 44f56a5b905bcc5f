"""Knowing who it is: two people compare safety numbers, and a second browser is let in by the code it shows."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from journeys.looks import Looks
from journeys.person import Meet, Person

pytestmark = pytest.mark.browser

PICTURES = os.environ.get("KITH_PICTURES")
Friends = tuple[Person, Person]


def numbers(person: Person) -> list[str]:
    """Open the safety numbers from the chat's shield, and read them."""
    person.button("Open safety options").first.click()
    person.button(re.compile("^Compare safety numbers")).click()
    groups = person.page.get_by_role("list", name=re.compile("^Safety numbers with")).get_by_role("listitem")
    expect(groups).to_have_count(12)
    return groups.all_inner_texts()


def test_two_people_compare_safety_numbers(friends: Friends) -> None:
    """Both read the same twelve groups; a mark stays on the device that made it, and goes when taken away."""
    ann, ben = friends
    looks = Looks()
    hers, his = numbers(ann), numbers(ben)
    assert hers == his
    assert all(re.fullmatch(r"\d{5}", group) for group in hers)
    looks.at(ann.page, "compare")
    ann.button("Mark as compared").press("Enter")
    ann.sees(re.compile("^You compared these numbers on"))
    ann.page.reload()
    ann.in_chat()
    assert numbers(ann) == hers
    ann.sees(re.compile("^You compared these numbers on"))
    expect(ben.page.get_by_text(re.compile("^You compared these numbers on"))).to_have_count(0)
    if PICTURES:
        ann.page.evaluate("() => { document.documentElement.dir = 'rtl' }")
        ann.page.set_viewport_size({"width": 1100, "height": 900})
        ann.page.screenshot(path=Path(PICTURES) / "compare-wide-rtl.png")
    assert looks.faults == []


def test_a_second_browser_is_let_in_by_the_code_it_shows(meet: Meet, friends: Friends) -> None:
    """No recovery code: the first browser types the code, sees the name, approves; both take part from then on."""
    ann, ben = friends
    looks = Looks()
    laptop = meet("Ann Lake", joined=False, handle=ann.handle)
    laptop.sign_in()
    laptop.button("Approve from another device").click()
    laptop.sees("Your chats start empty here. Older messages stay on the devices that have them.")
    code = laptop.page.get_by_label("Device code", exact=True).inner_text()
    assert len(code.replace("-", "")) == 18
    looks.at(laptop.page, "link-code")

    ann.go("#/settings/devices")
    ann.fill("Code on the new device", code[:-1] + ("0" if code[-1] != "0" else "1"))
    ann.button("Find the device").click()
    ann.sees(re.compile("typing mistake"))
    ann.fill("Code on the new device", code.lower().replace("-", " "))
    ann.button("Find the device").click()
    ann.sees("Only approve a device that you hold in your hand. It can read and write as you.")
    looks.at(ann.page, "approve")
    ann.button(re.compile("^Approve ")).click()
    ann.sees(re.compile("is approved"))

    laptop.at_chats()
    laptop.open_chat(ben.name)
    laptop.in_chat()
    laptop.sees("No messages here yet.")
    ben.say("Can you read this on both?")
    laptop.reads("Can you read this on both?")
    laptop.say("Yes, from the laptop")
    ben.reads("Yes, from the laptop")
    ann.go("#/")
    expect(ann.page.get_by_role("alert")).to_have_count(0)  # she let it in herself
    assert looks.faults == []
