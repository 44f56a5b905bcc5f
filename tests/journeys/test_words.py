"""Two people change what they said: answers, reactions, edits, deletions, forwarding, in two real browsers."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from journeys.canaries import Canaries
from journeys.harness import Server
from journeys.looks import Looks
from journeys.person import Meet, Person, connect
from journeys.test_hostile import TEXTS, TRAP
from journeys.test_screens import focused, tab_to

pytestmark = pytest.mark.browser


def bubble(person: Person, text: str) -> Locator:
    """The newest bubble that says this, not one that only answers it."""
    said = person.page.locator(".text", has_text=text)
    return person.log.locator(".bubble").filter(has=said).last


def tap(person: Person, text: str) -> None:
    """Open the options of a message."""
    bubble(person, text).click(position={"x": 6, "y": 6})


def does(person: Person, text: str, what: str) -> None:
    """Tap a message and one of its options."""
    tap(person, text)
    person.page.get_by_role("group", name="Message options").get_by_role("button", name=what, exact=True).click()


def reacts(person: Person, text: str, symbol: str) -> None:
    """React to a message with one of the six."""
    tap(person, text)
    person.button(f"React with {symbol}").click()


def marks(person: Person, spoken: str) -> Locator:
    """The reactions under a message, as they are read aloud."""
    return person.log.get_by_role("button", name=f"{spoken}. Show who.")


def edits(person: Person, text: str, new: str) -> None:
    """Change a message of one's own."""
    does(person, text, "Edit")
    composer = person.page.get_by_role("textbox", name="Message")
    expect(composer).to_have_value(text)
    composer.fill(new)
    person.button("Save").click()
    expect(composer).to_have_value("")


def test_two_people_change_what_they_said_and_the_server_reads_none_of_it(meet: Meet, server: Server) -> None:
    """Answer, reaction, edit, deletion and forwarding arrive; not one word or symbol of them lies on the server."""
    words = Canaries()
    ann, ben = connect(meet, "Ann Lake", "Ben Hill")
    cal = meet("Cal Snow")
    cal.request(ben.handle, words.word("first"))
    cal.sees_request_sent()
    ben.accept(cal.name)
    ben.open_chat(ann.name)
    first, second, answer, secret = (words.word(place) for place in ("said", "edited", "answer", "deleted"))
    looks = Looks()

    they_answer_and_react(ann, ben, first, answer)
    they_edit_and_pass_on(looks, (ann, ben, cal), first, second)
    they_delete(looks, ann, ben, secret, words.word("about it"))
    rows = ben.page.get_by_role("list", name="Messages in this report").get_by_role("listitem")
    expect(rows.filter(has_text=first).first).to_contain_text("Verified")
    ben.close_sheet()
    looks.at(ben.page, "thread")
    assert looks.faults == []

    for person in (ann, ben):
        person.page.reload()
        person.open_chat("Ben Hill" if person is ann else "Ann Lake")
        person.reads(second)
        expect(person.log.get_by_text("This message was deleted.")).to_be_visible()
    server.stop()
    assert words.found_under(server.data, apart_from=["keys"]) == []
    assert words.found_in(server.log.read_bytes()) == []
    database = b"".join(file.read_bytes() for file in server.data.rglob("kith.db*"))
    assert ann.handle.encode() in database, "the search would find what is there"
    assert not any(symbol.encode() in database for symbol in ("👍", "😂", "❤️"))
    server.start()


def they_answer_and_react(ann: Person, ben: Person, first: str, answer: str) -> None:
    """A message, its answer, and reactions to both; one is news in the list of chats."""
    ann.say(first)
    ben.reads(first)
    ben.reply(first, answer)
    ann.reads(answer)
    reacts(ann, answer, "👍")
    expect(marks(ben, "1 reaction: 👍 1")).to_be_visible()
    reacts(ben, first, "❤️")
    reacts(ben, first, "😂")
    expect(marks(ann, "1 reaction: 😂 1")).to_be_visible()
    ann.home()
    expect(ann.chat_row(ben.name)).to_contain_text("Reacted 😂 to your message")
    ann.open_chat(ben.name)


def they_edit_and_pass_on(looks: Looks, people: tuple[Person, Person, Person], first: str, second: str) -> None:
    """An edit with its earlier words, a reaction taken back, and the new words passed on to a third."""
    ann, ben, cal = people
    edits(ann, first, second)
    ben.reads(second)
    expect(ben.log.locator("blockquote")).to_contain_text(second)
    ben.button("Show what this edited message said before").click()
    ben.sees_heading("Earlier versions")
    expect(ben.page.get_by_role("dialog")).to_contain_text(first)
    looks.at(ben.page, "versions")
    ben.close_sheet()
    marks(ben, "1 reaction: 😂 1").click()
    ben.sees_heading("Reactions")
    expect(ben.page.get_by_role("dialog")).to_contain_text("You")
    looks.at(ben.page, "reactions")
    ben.button("Take back 😂").click()
    expect(marks(ann, "1 reaction: 😂 1")).to_have_count(0)

    does(ben, second, "Forward")
    ben.sees_heading("Forward message")
    ben.fill("Find a chat", "cal")
    ben.page.get_by_role("checkbox", name=cal.name).check()
    looks.at(ben.page, "forward")
    ben.page.get_by_role("dialog").get_by_role("button", name="Forward", exact=True).click()
    expect(ben.page.get_by_role("dialog")).to_have_count(0)
    cal.open_chat(ben.name)
    cal.reads(second)
    expect(bubble(cal, second)).to_contain_text("Forwarded")


def they_delete(looks: Looks, ann: Person, ben: Person, secret: str, about: str) -> None:
    """A message and its quotes go on both sides; whoever got it can still report it, and is about to."""
    ann.say(secret)
    ben.reply(secret, about)
    tap(ann, secret)
    looks.at(ann.page, "menu")
    ann.page.get_by_role("group", name="Message options").get_by_role("button", name="Delete", exact=True).click()
    ann.sees("Ben Hill may have seen it. It can still be reported for 7 days.")
    looks.at(ann.page, "delete")
    ann.button("Delete for everyone").click()
    for person in (ann, ben):
        expect(person.log.get_by_text("This message was deleted.")).to_be_visible()
        expect(person.log.get_by_text(secret)).to_have_count(0)
        expect(person.log.locator("blockquote").filter(has_text="Deleted message")).to_be_visible()
    ben.tap_message("This message was deleted.")
    ben.button("Report").click()
    ben.button("Scam or asking for money").click()
    rows = ben.page.get_by_role("list", name="Messages in this report").get_by_role("listitem")
    expect(rows.filter(has_text=secret)).to_contain_text("Verified")


def test_changes_wait_out_a_tunnel(meet: Meet) -> None:
    """Made offline, an edit, a reaction and a deletion show at once and go out with the network."""
    dan, eli = connect(meet, "Dan Vale", "Eli Wren")
    for text in ("at nine", "never mind"):
        dan.say(text)
        eli.reads(text)
    eli.say("see you")
    dan.reads("see you")
    dan.loses_network()
    edits(dan, "at nine", "at ten")
    reacts(dan, "see you", "🙏")
    does(dan, "never mind", "Delete")
    dan.button("Delete for everyone").click()
    dan.reads("at ten")
    expect(dan.log.get_by_text("This message was deleted.")).to_be_visible()
    expect(dan.log.get_by_text("Waiting to send").first).to_be_visible()
    dan.page.wait_for_function("() => !navigator.onLine")
    expect(eli.log.get_by_text("at nine")).to_be_visible()
    dan.has_network_again()
    eli.reads("at ten")
    expect(eli.log.get_by_text("This message was deleted.")).to_be_visible()
    expect(marks(eli, "1 reaction: 🙏 1")).to_be_visible()
    expect(dan.log.get_by_text("Waiting to send")).to_have_count(0)


def test_edits_and_answers_by_keyboard(meet: Meet) -> None:
    """Arrow up edits the last message, Escape leaves it, the options open and close with the focus in its place."""
    fay, gus = connect(meet, "Fay Elm", "Gus Ash")
    gus.say("Ready?")
    fay.reads("Ready?")
    page = fay.page
    composer = page.get_by_role("textbox", name="Message")
    composer.focus()
    page.keyboard.type("Almots")
    page.keyboard.press("Enter")
    fay.reads("Almots")
    expect(fay.row("Almots")).to_contain_text(re.compile("Delivered|Read"))
    page.keyboard.press("ArrowUp")
    expect(composer).to_have_value("Almots")
    page.keyboard.press("Escape")
    expect(composer).to_have_value("")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Control+A")
    page.keyboard.type("Almost")
    page.keyboard.press("Enter")
    gus.reads("Almost")
    assert focused(fay) == "Message", "writing goes on"
    page.keyboard.type("half a thought")
    page.keyboard.press("ArrowUp")
    expect(composer).to_have_value("half a thought")
    composer.fill("")

    tab_to(fay, "Show options for: Ready?", backwards=True)
    page.keyboard.press("Enter")
    tab_to(fay, "React with 👍")
    page.keyboard.press("Escape")
    assert focused(fay) == "Show options for: Ready?"
    page.keyboard.press("Enter")
    tab_to(fay, "React with ❤️")
    page.keyboard.press("Space")
    expect(marks(gus, "1 reaction: ❤️ 1")).to_be_visible()
    gus.reply("Almost", "Take your time")
    fay.reads("Take your time")
    tab_to(fay, "Show the message it answers. You: Almost", backwards=True)
    page.keyboard.press("Enter")
    expect(fay.row("Almost").first).to_have_class(re.compile("found"))
    assert focused(fay) == "Show options for: Almost"
    live = fay.log.locator(".marks, .menu, .edited").evaluate_all("all => all.map(one => one.ariaLive)")
    assert set(live) == {"off"}, "reactions are not read aloud as if they were messages"


def test_words_that_want_to_be_code_stay_words_when_they_come_as_an_edit_or_a_quote(meet: Meet) -> None:
    """Every hostile text as an edit, its earlier version and its quote: shown as typed, and nothing runs."""
    hal, ivo = connect(meet, "Hal Birch", "Ivo Yew")
    for person in (hal, ivo):
        person.page.evaluate(TRAP)
    shown = "harmless"
    hal.say(shown)
    ivo.reads(shown)
    ivo.reply(shown, "what was that?")
    for text in TEXTS[:9]:
        edits(hal, shown, text)
        ivo.reads(text)
        expect(ivo.log.locator("blockquote")).to_contain_text(text)
        shown = text
    ivo.button("Show what this edited message said before").click()
    versions = ivo.page.get_by_role("dialog").locator(".text")
    expect(versions).to_have_text([*reversed(TEXTS[:9]), "harmless"])
    for link in ivo.page.locator("a[target=_blank]").all():
        assert (link.get_attribute("href") or "").startswith("https://")
    for person in (hal, ivo):
        assert person.page.evaluate("() => window.kith_was_run === undefined")
