"""What goes on in a group: who has read, what disappears, what could not be sent, and what a minor need not see."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from journeys.companions import Companion, Company, company
from journeys.harness import Server, served
from journeys.looks import Looks
from journeys.person import Meet, Person
from journeys.test_files import adds, chosen, encoded, painted, sends
from journeys.test_groups import do_to, make_group, open_people
from journeys.test_words import bubble, edits
from kith.sdk import Room

pytestmark = pytest.mark.browser

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
GROUP = "Choir evenings"

A_CLOCK_OF_ITS_OWN = """
    const begun = Date, real = Date.now.bind(Date);
    self.ahead_ms = AHEAD;
    Date.now = () => real() + self.ahead_ms;
    const Real = Worker;
    self.Worker = class extends Real {
        constructor(url, options) { super(url, {...options, name: `${options?.name ?? ''}@${self.ahead_ms}`}); }
    };
"""
"""What a page says of the time; its engine is told at the start how far ahead that is."""

IN_THE_ENGINE = """{
    const real = Date.now.bind(Date), ahead = Number(self.name.split('@')[1] ?? 0);
    Date.now = () => real() + ahead;
}
"""

KEPT = """async () => {
    const opening = indexedDB.open('kith');
    await new Promise((done) => { opening.onsuccess = done; });
    const found = {};
    for (const name of ['messages', 'reports']) {
        const store = opening.result.transaction(name).objectStore(name);
        const read = (asked) => new Promise((done) => { asked.onsuccess = () => done(asked.result); });
        const [keys, values] = [await read(store.getAllKeys()), await read(store.getAll())];
        found[name] = Object.fromEntries(keys.map((key, at) => [key, values[at].length]));
    }
    opening.result.close();
    return found;
}"""
"""How long each sealed record is; what they say, only the engine of a signed-in device can tell."""

LONG = "and the rest of it " * 100


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, client: Path) -> Iterator[Server]:
    """A server whose client can be told what time it is."""
    folder = tmp_path_factory.mktemp("group-life")
    altered = Path(shutil.copytree(client, folder / "dist"))
    (worker,) = altered.glob("assets/worker-*.js")
    worker.write_text(IN_THE_ENGINE + worker.read_text())
    with served(folder, client=altered) as running:
        yield running


@pytest.fixture
def others(tmp_path: Path, server: Server) -> Iterator[Company]:
    """Members without a browser."""
    with company(tmp_path, server) as here:
        yield here


def comes_back(person: Person, ahead_ms: int, chat: str) -> None:
    """Open Kith again, so much later."""
    person.page.close()
    person.page = person.new_page()
    person.page.add_init_script(A_CLOCK_OF_ITS_OWN.replace("AHEAD", str(ahead_ms)))
    person.page.goto("/#/")
    person.at_chats()
    person.open_chat(chat)


def records(person: Person) -> dict[str, dict[str, int]]:
    """The sealed records of the profile, read while no engine runs."""
    page = person.context.new_page()
    page.goto("/manifest.webmanifest")
    found: dict[str, dict[str, int]] = page.evaluate(KEPT)
    page.close()
    return found


def read_by(person: Person, text: str, said: str) -> None:
    """The options of an own message say who has read it; they are closed again."""
    bubble(person, text).click(position={"x": 6, "y": 6})
    expect(person.row(text).get_by_text(said, exact=True)).to_be_visible()
    bubble(person, text).click(position={"x": 6, "y": 6})


def test_a_group_lives(meet: Meet, others: Company) -> None:
    """Read by how many; a timer and its end; changes that are refused; what somebody unknown sends to a minor."""
    looks = Looks()
    ann = meet("Ann Choir")
    kim = meet("Kim Choir", born=(2011, 2))
    ann.open_invite(kim.invite(), "First words")
    kim.accept(ann.name)
    make_group(ann, GROUP)
    room, members = gathers(ann, kim, others)
    who_has_read(ann, room, members, looks)
    what_somebody_unknown_sends(ann, kim, room, members, looks)
    what_is_refused(ann, kim, looks)
    what_disappears(ann, kim, room, members, looks)
    assert looks.faults == []


def gathers(ann: Person, kim: Person, others: Company) -> tuple[Room, list[Companion]]:
    """Everybody says yes."""
    ann.button(f"Invite {kim.name}").click()
    ann.sees(f"Invitation to {kim.name} sent.")
    kim.home()
    kim.link(re.compile("^Message requests")).click()
    kim.link(re.compile(f"^{GROUP}")).click()
    kim.button("Join").click()
    kim.in_chat()
    members = [others.join(name) for name in ("Dee Choir", "Eli Choir", "Fay Choir")]
    for one in members:
        ann.fill("Their exact handle", one.handle)
        ann.button("Invite").click()
        ann.sees(f"Invitation to @{one.handle} sent.")
    rooms = [one.joins() for one in members]
    ann.open_chat(GROUP)
    ann.sees("Fay Choir joined.")
    return rooms[0], members


def who_has_read(ann: Person, room: Room, members: list[Companion], looks: Looks) -> None:
    """Counted as they tell it; what was told while she was away is told again."""
    dee, eli, fay = members
    ann.say("Rehearsal at seven")
    dee.reads(room, "Rehearsal at seven")
    read_by(ann, "Rehearsal at seven", "Read by 1 of 4")
    eli.reads(room, "Rehearsal at seven")
    read_by(ann, "Rehearsal at seven", "Read by 2 of 4")
    ann.loses_network()
    fay.reads(room, "Rehearsal at seven")
    ann.has_network_again()
    read_by(ann, "Rehearsal at seven", "Read by 2 of 4")
    ann.say("Are you all there?")
    read_by(ann, "Rehearsal at seven", "Read by 3 of 4")
    bubble(ann, "Rehearsal at seven").click(position={"x": 6, "y": 6})
    looks.at(ann.page, "group-read-by")
    bubble(ann, "Rehearsal at seven").click(position={"x": 6, "y": 6})


def what_somebody_unknown_sends(ann: Person, kim: Person, room: Room, members: list[Companion], looks: Looks) -> None:
    """Closed for her until she wants it; open for the adult, and open for her when a friend sends it."""
    photo = encoded(painted(400, 300, 60), "PNG")
    eli = members[1]
    eli.does(lambda client: client.room(room.id).send_file(photo, name="hall.png", caption="Our hall"))
    kim.open_chat(GROUP)
    kim.reads("Our hall")
    expect(kim.row("Our hall").get_by_text("Eli Choir won't know if you do.")).to_be_visible()
    expect(kim.row("Our hall").get_by_role("button", name=re.compile("^Open photo"))).to_have_count(0)
    looks.at(kim.page, "group-veil")
    ann.reads("Our hall")
    expect(ann.row("Our hall").get_by_role("button", name=re.compile("^Open photo"))).to_be_visible()
    ann.open_chat(GROUP)
    adds(ann, chosen("song.png", photo, "image/png"))
    sends(ann, "Our song")
    expect(kim.row("Our song").get_by_role("button", name=re.compile("^Open photo"))).to_be_visible()
    kim.row("Our hall").get_by_role("button", name="Show", exact=True).click()
    expect(kim.row("Our hall").get_by_role("button", name=re.compile("^Open photo"))).to_be_visible()


def what_is_refused(ann: Person, kim: Person, looks: Looks) -> None:
    """Made in a tunnel by an admin who is none any more: each says so, calmly, and can be tried again or dropped."""
    kim.say("At eight")
    ann.reads("At eight")
    do_to(ann, GROUP, kim.name, "Make admin")
    kim.button(f"Show chat options: {GROUP}").click()
    timer = kim.page.get_by_label("Disappearing messages")
    expect(timer).to_be_enabled()
    kim.close_sheet()
    kim.loses_network()
    edits(kim, "At eight", "At nine")
    kim.button(f"Show chat options: {GROUP}").click()
    timer.select_option("1 day")
    kim.close_sheet()
    kim.sees("You set messages to disappear 1 day after they are read.")
    do_to(ann, GROUP, kim.name, "Make member")
    admins_only(ann, wanted=True)
    kim.has_network_again()
    kim.sees("Edit not sent")
    kim.sees("Disappearing messages not changed")
    looks.at(kim.page, "group-not-sent")
    kim.reads("At eight")
    admins_only(ann, wanted=False)
    ann.open_chat(GROUP)
    expect(kim.page.get_by_role("textbox", name="Message")).to_be_visible()
    kim.log.get_by_role("listitem").filter(has_text="Disappearing").get_by_role("button", name="Cancel change").click()
    expect(kim.page.get_by_text("Disappearing messages not changed")).to_have_count(0)
    kim.row("At eight").get_by_role("button", name="Try again").click()
    ann.reads("At nine")
    kim.reads("At nine")


def admins_only(owner: Person, *, wanted: bool) -> None:
    """Who may write."""
    open_people(owner, GROUP)
    owner.page.get_by_text("Group settings").click()
    owner.page.get_by_label("Only admins can write").set_checked(wanted)
    owner.sees("Saved.")


def what_disappears(ann: Person, kim: Person, room: Room, members: list[Companion], looks: Looks) -> None:
    """Admins set the timer for all; a browser that was closed past the end shows and holds nothing, for ever."""
    kim.button(f"Show chat options: {GROUP}").click()
    expect(kim.page.get_by_label("Disappearing messages")).to_be_disabled()
    kim.sees("Only admins can change this.")
    looks.at(kim.page, "group-timer-member")
    kim.close_sheet()
    ann.button(f"Show chat options: {GROUP}").click()
    ann.page.get_by_label("Disappearing messages").select_option("5 minutes")
    ann.close_sheet()
    ann.sees("You set messages to disappear 5 minutes after they are read.")
    kim.sees("Ann Choir set messages to disappear 5 minutes after they are read.")
    comes_back(ann, 0, GROUP)
    before = records(ann)["messages"]
    members[0].hears_timer(room, 300)
    members[0].says(room, f"Gone soon {LONG}")
    members[0].says(room, "Gone as well")
    ann.reads("Gone as well")
    left = ann.row("Gone as well").get_by_text(re.compile("^Disappears in"))
    expect(left).to_have_text(re.compile("in [45] minutes$"))
    expect(ann.row("Rehearsal at seven").get_by_text(re.compile("^Disappears"))).to_have_count(0)
    looks.at(ann.page, "group-disappearing")
    ann.page.evaluate(f"() => {{ self.ahead_ms = {2 * MINUTE}; }}")
    expect(left).to_have_text("Disappears in 3 minutes")
    ann.page.close()

    closed = records(ann)
    (key,) = (key for key, size in closed["messages"].items() if key not in before and size > len(LONG))
    comes_back(ann, 10 * MINUTE, GROUP)
    ann.reads("Rehearsal at seven")
    expect(ann.log.get_by_text("Gone as well")).to_have_count(0)
    expect(ann.log.get_by_text("Gone soon")).to_have_count(0)
    expect(ann.log.get_by_text("missing here")).to_have_count(0)
    ann.page.close()
    gone = records(ann)
    assert gone["messages"][key] < 1000 < closed["messages"][key]
    assert set(gone["messages"]) == set(closed["messages"]), "every place stays, empty"
    copies = set(gone["reports"]) - set(closed["reports"])
    assert len(copies) == 2, "for a report, a week, and shown nowhere"
    comes_back(ann, 9 * DAY, GROUP)
    until_dropped(ann, copies)


def until_dropped(person: Person, copies: set[str]) -> None:
    """Housekeeping comes a little after connecting."""
    found: Any = copies
    for _ in range(60):
        found = copies & set(records(person)["reports"])
        if not found:
            return
        person.page.wait_for_timeout(500)
    raise AssertionError(found)
