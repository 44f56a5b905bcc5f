"""The console pages: who may see them, what they hold before and after a deliberate click, and the whole way."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from authorities.bureau import CANARY, Bureau
from console.conftest import ORIGIN, Person
from console.test_pages import Inline
from kith.app.console import console_app
from kith.authorities import flows, staff
from kith.authorities.journal import Answered, Lost
from kith.reports.shell import ConsoleFacts


class Desk:
    """A bureau with its console."""

    def __init__(self, bureau: Bureau, runner: asyncio.Runner) -> None:
        self.bureau = bureau
        self._runner = runner
        self._people: list[Person] = []
        self.app = console_app(
            bureau.database,
            ConsoleFacts(origin=ORIGIN, desk=bureau.desk),
            pages=staff.pages(bureau.office),
            templates=[staff.TEMPLATES],
            navigation=staff.NAVIGATION,
        )

    def as_(self, login: str) -> Person:
        """Somebody who is signed in."""
        made = Person(self.app, self._runner)
        self._people.append(made)
        assert made.sign_in(login).status_code == 303
        return made

    def close(self) -> None:
        """Everybody goes home."""
        for person in self._people:
            person.close()


@pytest.fixture
def desk(bureau: Bureau) -> Iterator[Desk]:
    """A console for the bureau."""
    with asyncio.Runner() as runner:
        made = Desk(bureau, runner)
        yield made
        made.close()


def send(person: Person, path: str, **fields: str) -> tuple[int, str]:
    """Send a form from the list page."""
    answer = person.post(path, {"csrf": person.csrf("/tips"), **fields})
    return answer.status_code, html.unescape(answer.text)


def read_hash(person: Person, tip: str) -> str:
    """Read a draft and take the hash from its form."""
    found = re.search(r'name="read_hash" value="([0-9a-f]{64})"', send(person, f"/tips/{tip}/read")[1])
    assert found
    return found[1]


@pytest.mark.parametrize("path", ["/tips", "/kept", "/tips/of/x", "/tips/{tip}"])
def test_only_child_safety_people_come_in(desk: Desk, path: str) -> None:
    """A reviewer and an admin are refused; a child-safety person is not."""
    tip = desk.bureau.drafted()
    desk.bureau.staff("ada", "reviewer", "admin")
    where = path.format(tip=tip)
    assert desk.as_("ada").get(where).status_code == 403
    assert desk.as_("dora").get(where).status_code in (200, 303)


def test_no_page_holds_a_word_before_it_is_deliberately_opened(desk: Desk) -> None:
    """List, status and case link name ids and states; nothing is read, so there is no entry."""
    tip = desk.bureau.drafted()
    dora = desk.as_("dora")
    for path in ("/tips", f"/tips/{tip}", "/kept"):
        page = dora.get(path).text
        assert CANARY not in page
        assert "pavel" not in page
    assert desk.bureau.entries("tip.read") == []
    status, page = send(dora, f"/tips/{tip}/read")
    assert status == 200
    assert CANARY in page
    assert [row.actor for row in desk.bureau.entries("tip.read")] == [desk.bureau.second.id]


def test_the_exact_xml_is_shown(desk: Desk) -> None:
    """What would be sent, character for character, with its hash."""
    tip = desk.bureau.drafted()
    dora = desk.as_("dora")
    page = send(dora, f"/tips/{tip}/read")[1]
    reading = desk.bureau.read(tip)
    assert reading.body is not None
    assert reading.body.decode() in page
    assert reading.hash in page


def test_a_draft_is_changed_by_one_and_approved_by_another(desk: Desk) -> None:
    """The whole way through the pages."""
    tip = desk.bureau.drafted()
    cleo, dora = desk.as_("cleo"), desk.as_("dora")
    fields = {
        "type": "Child Sex Trafficking",
        "sextortion": "on",
        "escalate": "He knows the address.",
        "remarks": "Seen <twice> & noted.",
    }
    assert send(cleo, f"/tips/{tip}/edit", **fields)[0] == 303
    status, page = send(cleo, f"/tips/{tip}/approve", read_hash=read_hash(cleo, tip))
    assert status == 409
    assert "A second person has to approve it." in page
    digest = read_hash(dora, tip)
    assert send(dora, f"/tips/{tip}/approve", read_hash=digest)[0] == 303
    assert desk.bureau.states(tip) == "APPROVED"
    body = desk.bureau.read(tip).body
    assert body is not None
    assert b"<incidentType>Child Sex Trafficking<" in body
    assert b"<reportAnnotations><sextortion />" in body
    assert b"Seen &lt;twice&gt; &amp; noted." in body
    assert "Approved, about to be sent" in dora.get(f"/tips/{tip}").text


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("edit", {"type": "Something"}, 400),
        ("edit", {"type": "Child Sex Tourism", "remarks": "x" * 4001}, 400),
        ("edit", {"type": "Child Sex Tourism", "escalate": "x" * 3001}, 409),
        ("edit", {}, 400),
        ("approve", {}, 400),
        ("approve", {"read_hash": "0" * 64}, 409),
        ("approve", {"read_hash": "0" * 64, "strange": "1"}, 400),
        ("reopen", {}, 409),
    ],
)
def test_wrong_input_is_answered_with_a_sentence(desk: Desk, path: str, fields: dict[str, str], status: int) -> None:
    """Never a crash, and nothing changes."""
    tip = desk.bureau.drafted()
    assert send(desk.as_("dora"), f"/tips/{tip}/{path}", **fields)[0] == status
    assert desk.bureau.states(tip) == "DRAFT"


@pytest.mark.parametrize("act", ["read", "edit", "approve", "reopen", "close"])
def test_an_unknown_cybertip_is_not_there(desk: Desk, act: str) -> None:
    """Every act."""
    fields = {"edit": {"type": "Child Sex Tourism"}, "approve": {"read_hash": "0" * 64}}.get(act, {})
    desk.bureau.drafted()
    assert send(desk.as_("dora"), f"/tips/none/{act}", **fields)[0] == 404
    assert desk.as_("dora").get("/tips/none").status_code == 404


def test_doubt_is_shown_loudly_with_what_to_do(desk: Desk) -> None:
    """Where it stands, why nothing happens by itself, and when it may be opened again."""
    tip = desk.bureau.approved()
    sending = desk.bureau.do(flows.begin, tip, desk.bureau.office)
    desk.bureau.do(flows.settle, sending.entry, Lost("ReadTimeout"), desk.bureau.office, 0.5)
    dora = desk.as_("dora")
    assert "Somebody has to look at this one." in dora.get("/tips").text
    page = dora.get(f"/tips/{tip}").text
    assert "In doubt" in page
    assert "deleted there after 24 hours" in page
    assert "Make it a draft again" not in page


def test_a_finished_one_shows_its_journal_and_what_is_kept(desk: Desk) -> None:
    """Number, calls, and the date on which it will be destroyed."""
    tip = desk.bureau.approved()
    for answer in (Answered(200, 0, "4500001"), Answered(200, 5102)):
        sending = desk.bureau.do(flows.begin, tip, desk.bureau.office)
        desk.bureau.do(flows.settle, sending.entry, answer, desk.bureau.office, 0.5)
    dora = desk.as_("dora")
    page = dora.get(f"/tips/{tip}").text
    assert "4500001" in page
    assert "5102" in page
    kept = dora.get("/kept").text
    assert tip[:8] in kept
    assert "1 Jan 2027" in kept


def test_pages_hold_nothing_inline(desk: Desk) -> None:
    """The policy of the console forbids it."""
    tip = desk.bureau.drafted()
    dora = desk.as_("dora")
    pages = [dora.get(path).text for path in ("/tips", f"/tips/{tip}", "/kept")]
    pages.append(dora.post(f"/tips/{tip}/read", {"csrf": dora.csrf("/tips")}).text)
    assert [Inline(page).bad for page in pages] == [[]] * len(pages)


def test_a_decision_leads_on_to_its_cybertip(desk: Desk) -> None:
    """By the id of the case."""
    tip = desk.bureau.drafted()
    case = desk.bureau.tip(tip).case
    assert desk.as_("dora").get(f"/tips/of/{case}").headers["location"] == f"/tips/{tip}"
    assert desk.as_("dora").get("/tips/of/none").headers["location"] == "/tips"


def test_templates_are_all_used() -> None:
    """No page without a way to it."""
    source = Path(staff.__file__).read_text()
    assert all(f'"{file.name}"' in source for file in staff.TEMPLATES.iterdir())
