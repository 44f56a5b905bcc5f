"""Much at once: bursts both ways, a browser that joins in the middle, tabs that are closed at the worst moment."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from journeys.person import Meet, Person

pytestmark = pytest.mark.browser

Friends = tuple[Person, Person]
BURST = 15


def test_a_burst_both_ways_arrives_whole_and_in_one_order(friends: Friends) -> None:
    """Both write as fast as they can; every message once, each writer's order kept, one order on both screens."""
    ada, bea = friends
    before = ada.texts()
    for number in range(BURST):
        ada.say(f"Ada says {number}")
        bea.say(f"Bea says {number}")
    for person in friends:
        person.reads(f"Ada says {BURST - 1}")
        person.reads(f"Bea says {BURST - 1}")
        whole(person)
    assert ada.texts() == bea.texts()
    assert len(ada.texts()) == len(before) + 2 * BURST
    for name in ("Ada", "Bea"):
        own = [text for text in ada.texts() if text.startswith(f"{name} says")]
        assert own == [f"{name} says {number}" for number in range(BURST)]


def test_a_browser_that_joins_while_people_write_disturbs_nobody(meet: Meet, friends: Friends) -> None:
    """Keys change under the running conversation: nothing is lost for the others, and the new one has the rest."""
    ada, bea = friends
    laptop = meet(ada.name, joined=False, handle=ada.handle)
    laptop.sign_in()
    laptop.sees_heading("Type your recovery code")
    laptop.fill("Recovery code", ada.code)
    laptop.button("Continue").click()
    for number in range(BURST):
        bea.say(f"Meanwhile {number}")
        ada.say(f"Indeed {number}")
    laptop.open_chat(bea.name)
    laptop.in_chat()
    bea.say("Is everybody here?")
    for person in (ada, laptop):
        person.reads("Is everybody here?")
        whole(person)
    laptop.say("All of us")
    for person in (ada, bea):
        person.reads("All of us")
        whole(person)
    assert ada.texts() == bea.texts()
    said = {f"{word} {number}" for word in ("Meanwhile", "Indeed") for number in range(BURST)}
    newest = ada.texts()[-len(said) - 2 :]
    assert set(newest) == said | {"Is everybody here?", "All of us"}
    assert newest[-2:] == ["Is everybody here?", "All of us"]
    heard = laptop.texts()
    assert ada.texts()[-len(heard) :] == heard


def test_a_tab_that_is_closed_at_once_neither_loses_nor_repeats(friends: Friends) -> None:
    """Closed as soon as a message shows, and on the other side while it arrives; then opened again."""
    ada, _ = friends
    said = [f"Gone again {number}" for number in range(4)]
    for text in said:
        ada.say(text)
        ada.reads(text)  # on the screen means kept on the device, sent or not
        for person in friends:
            address = person.page.url
            person.page.close()
            person.page = person.new_page()
            person.page.goto(address)
        for person in friends:
            person.reads(text)
    for person in friends:
        whole(person)
        assert person.texts()[-len(said) :] == said
        assert len(set(person.texts())) == len(person.texts())


def whole(person: Person) -> None:
    """No gap, nothing that could not be opened, nothing unsent."""
    for trouble in ("missing here", "couldn't be opened", "Not sent"):
        expect(person.log.get_by_text(trouble)).to_have_count(0)
    expect(person.log.get_by_text("· Waiting to send")).to_have_count(0)
