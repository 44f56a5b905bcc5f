"""Groups in real browsers: nobody is added without her yes, everybody reads, and who leaves hears nothing more."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from journeys.looks import Looks
from journeys.person import Meet, Person, connect
from kith.messaging.pictures import read_picture
from messaging.pictures import GPS, chunk, png

pytestmark = pytest.mark.browser


def make_group(owner: Person, name: str) -> None:
    """A group, from the screen on which one adds people."""
    owner.go("#/add")
    owner.link("New group").click()
    owner.sees("The name and description can be read by the server")
    owner.fill("Name of the group", name)
    owner.fill("What it is about (optional)", "Thursdays at seven")
    owner.button("Create group").click()
    owner.sees_heading("People")


def open_people(person: Person, group: str) -> None:
    """Behind the shield of the group's chat."""
    person.open_chat(group)
    person.button("Open safety options").click()
    person.sees_heading("People")


def do_to(admin: Person, group: str, name: str, what: str) -> None:
    """Something that an admin does to a member of her group."""
    open_people(admin, group)
    admin.page.get_by_role("main").get_by_role("button", name=re.compile(f"^{name}")).click()
    admin.button(re.compile(f"^{what}")).click()
    expect(admin.page.get_by_role("dialog")).to_have_count(0)


PLACE = b"59.9127 N 10.7461 E"


def photographed() -> bytes:
    """A wide picture as a camera would leave it: with a block that says where, and words."""
    place = GPS + PLACE
    return png(400, 300, extra=chunk(b"eXIf", place[6:]) + chunk(b"tEXt", b"Comment\0" + place))


def set_photo(person: Person) -> bytes:
    """Give the group on the screen a photo. What her device sent, and the server keeps."""
    picture = photographed()
    assert PLACE in picture
    person.page.get_by_text("Group settings").click()
    person.sees("Where and how it was taken stays on this device.")
    file: Any = {"name": "choir.png", "mimeType": "image/png", "buffer": picture}
    person.page.get_by_test_id("group-photo").set_input_files(file)
    person.sees("Saved.")
    is_drawn(person.page.get_by_role("main").locator("img").first)
    room = person.call("GET", "/api/v1/groups")["body"][0]["room"]
    kept = person.page.evaluate(
        "async path => [...new Uint8Array(await (await fetch(path)).arrayBuffer())]", f"/api/v1/groups/{room}/photo"
    )
    found = read_picture("image/webp", bytes(kept))
    return found.data


def is_drawn(image: Locator) -> None:
    """A picture is on the screen, square, and its bytes could be read."""
    expect(image).to_be_visible()
    expect(image).to_have_js_property("naturalWidth", 256)
    expect(image).to_have_js_property("naturalHeight", 256)


def join_choir(person: Person, looks: Looks, *, connected: bool) -> None:
    """By the invitation. Of somebody with whom there is no chat, the photo waits until it is wanted."""
    person.home()
    person.link(re.compile("^Message requests")).click()
    person.link(re.compile("^Choir evenings")).click()
    person.sees("Ann Choir invites you to a group")
    person.sees("You have a chat" if connected else "You have no chat")
    if not connected:
        expect(person.page.locator("main img.veiled")).to_be_visible()
        expect(person.page.locator("header img")).to_have_count(0)
    looks.at(person.page, f"invitation-{person.handle}")
    if not connected:
        person.button("Show photo").click()
    is_drawn(person.page.locator("main img"))
    is_drawn(person.page.locator("header img").last)
    assert person.call("GET", "/api/v1/groups")["body"] == []
    person.button("Join").click()
    person.in_chat()


def test_a_group_from_the_first_yes_to_the_last_goodbye(meet: Meet) -> None:
    """Two join by invitation, three talk; one is removed and one leaves; each screen is looked at on the way."""
    looks = Looks()
    ann, ben = connect(meet, "Ann Choir", "Ben Choir")
    cem = meet("Cem Choir")
    make_group(ann, "Choir evenings")
    looks.at(ann.page, "group-empty")
    sent = set_photo(ann)
    looks.at(ann.page, "group-photo")
    assert all(secret not in sent for secret in (PLACE, b"Exif", b"ICC"))
    ann.button("Invite Ben Choir").click()
    ann.sees("Invitation to Ben Choir sent.")
    ann.fill("Their exact handle", cem.handle)
    ann.button("Invite").click()
    ann.sees(f"Invitation to @{cem.handle} sent.")
    join_choir(ben, looks, connected=True)
    join_choir(cem, looks, connected=False)
    is_drawn(ben.page.locator("header img").last)
    ann.open_chat("Choir evenings")
    ann.say("Welcome, both of you")
    ben.reads("Welcome, both of you")
    cem.reads("Welcome, both of you")
    cem.say("Glad to be here")
    ben.reads("Glad to be here")
    ann.reads("Glad to be here")
    expect(ben.log.get_by_text("Cem Choir", exact=True)).to_be_visible()
    looks.at(ben.page, "group-thread")
    open_people(ann, "Choir evenings")
    ann.page.get_by_role("main").get_by_role("button", name=re.compile("^Cem Choir")).click()
    looks.at(ann.page, "group-person")
    ann.button(re.compile("^Remove Cem Choir")).click()
    ann.sees("2 people")
    cem.sees("You are no longer in this group.")
    looks.at(cem.page, "group-left")
    ann.open_chat("Choir evenings")
    ann.say("Only the two of us")
    ben.reads("Only the two of us")
    expect(cem.log.get_by_text("Only the two of us")).to_have_count(0)
    open_people(ben, "Choir evenings")
    ben.button("Leave group").click()
    ben.sees("You stop getting messages at once.")
    ben.button("Leave group").click()
    ben.sees("You are no longer in this group.")
    ann.open_chat("Choir evenings")
    expect(ann.log.get_by_text("Ben Choir is no longer in this group.")).to_be_visible()
    assert looks.faults == []


def test_a_link_into_a_group_shows_facts_first_and_an_admin_lets_in(meet: Meet) -> None:
    """Opening the link does nothing; asking waits for a yes; a stopped link leads nowhere."""
    looks = Looks()
    dora, eli = meet("Dora Books"), meet("Eli Books")
    late = meet("Late Books")
    make_group(dora, "Reading circle")
    dora.page.get_by_text("Group settings").click()
    dora.page.get_by_label("Only admins can write").check()
    dora.sees("Saved.")
    expect(dora.page.get_by_label("An admin lets in who comes by a link")).to_be_checked()
    dora.button("Create invite link").click()
    link = dora.page.get_by_label("Invite link", exact=True).input_value()
    eli.page.goto(link)
    eli.page.reload()  # only the fragment changed
    eli.sees_heading("Reading circle")
    looks.at(eli.page, "group-link")
    assert dora.call("GET", "/api/v1/groups")["body"][0]["accounts"][0]["handle"] == dora.handle
    eli.button("Send request to join").click()
    eli.sees_heading("You asked to join")
    open_people(dora, "Reading circle")
    looks.at(dora.page, "group-joiners")
    dora.button("Let in Eli Books").click()
    eli.home()
    eli.open_chat("Reading circle")
    eli.sees("Only admins write in this group.")
    open_people(dora, "Reading circle")
    dora.button(re.compile("^Stop the link")).first.click()
    expect(dora.button(re.compile("^Stop the link"))).to_have_count(0)
    late.expects("404 (Not Found)")
    late.page.goto(link)
    late.page.reload()
    assert "not" in late.problem() or "nothing" in late.problem()
    dora.open_chat("Reading circle")
    dora.say("Chapter one by Thursday")
    eli.reads("Chapter one by Thursday")
    do_to(dora, "Reading circle", "Eli Books", "Make admin")
    eli.say("I can write now")
    dora.open_chat("Reading circle")
    dora.reads("I can write now")
    do_to(dora, "Reading circle", "Eli Books", "Ban Eli Books")
    eli.sees("You are no longer in this group.")
    open_people(dora, "Reading circle")
    dora.page.get_by_text("Group settings").click()
    dora.button("Lift ban on Eli Books").click()
    expect(dora.button("Lift ban on Eli Books")).to_have_count(0)
    assert looks.faults == []


def test_an_adult_reaches_no_minor_through_a_group(meet: Meet) -> None:
    """The invitation is "sent" as for everybody, and nothing of it reaches her."""
    kim = meet("Kim Young", born=(2011, 2))
    fay = meet("Fay Stranger")
    make_group(fay, "Homework help")
    fay.fill("Their exact handle", kim.handle)
    fay.button("Invite").click()
    fay.sees(f"Invitation to @{kim.handle} sent.")
    fay.fill("Their exact handle", "nobody.at.all")
    fay.button("Invite").click()
    fay.sees("Invitation to @nobody.at.all sent.")
    assert kim.call("GET", "/api/v1/group-invitations")["body"]["received"] == []
    kim.home()
    expect(kim.link(re.compile("^Message requests"))).to_have_count(0)
