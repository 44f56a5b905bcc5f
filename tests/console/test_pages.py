"""The console's pages: nothing anybody wrote before a click, one entry per read, decisions that lead on."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from console.conftest import Console
from console.scene import CANARY, add_appeal
from kith.ledger import audit
from kith.people import enforcement
from kith.reports import store

DECISION = {"policy": "fraud-deception", "severity": "moderate", "action": "suspend", "days": "7", "reason": ""}


def entries(console: Console, action: str) -> list[Any]:
    """Entries of the staff log of one kind, newest first."""
    return [row for row in console.world.ask(audit.recent, 10_000) if row.action == action]


def exhibits(console: Console, case: str, side: str = "reported") -> list[str]:
    """Verified exhibits of one side."""
    return [row.exhibit for row in console.world.exhibits(case) if row.side == side and row.flaw is None]


class Inline(HTMLParser):
    """Collects what a strict policy forbids, and what a page must have."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.bad: list[str] = []
        self.root: dict[str, str | None] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Inline scripts, styles and handlers."""
        known = dict(attrs)
        if tag == "html":
            self.root = known
        inline = tag == "style" or (tag == "script" and "src" not in known)
        foreign = any(str(known.get(name) or "").startswith(("http:", "https:", "//")) for name in ("src", "href"))
        if inline or foreign or any(name == "style" or name.startswith("on") for name in known):
            self.bad.append(f"<{tag} {known}>")


def test_the_queue_is_gravest_first_and_names_nobody(console: Console) -> None:
    """Child safety above the rest; why, age and due; no handle, no name, no words; no entry needed."""
    page = console.as_("cleo").get("/").text
    queues = re.findall(r">(Child safety|General|Appeals) case", page)
    assert queues[0] == "Child safety"
    assert len(queues) == 4
    assert "the reporter says that somebody under 18 is involved" in page
    assert not [name for name in console.people if name in page.lower()]
    assert CANARY not in page
    assert entries(console, "case.viewed") == []


def test_a_case_shows_its_people_only_once_taken(console: Console) -> None:
    """Before: why and when. After: the person, closed exhibits, holes; still no words and no reporter's name."""
    ada, case = console.as_("ada"), console.case_about("marco")
    outside = ada.get(f"/cases/{case}").text
    assert "Take this case" in outside
    assert "marco" not in outside.lower()
    ada.submit(f"/cases/{case}/claim")
    inside = ada.get(f"/cases/{case}").text
    assert "<bdi>marco</bdi>" in inside
    assert "nadia" not in inside.lower()
    assert inside.count(">VERIFIED<") == 5
    assert inside.count(">UNVERIFIED<") == 1
    assert "it is from another chat" in inside
    assert "2 messages not included here" in inside
    assert "1 later message not included" in inside
    assert "Age band" not in inside
    assert CANARY not in inside
    assert len(entries(console, "case.viewed")) == 1


def test_words_are_in_the_answer_to_a_click_and_nowhere_else(console: Console) -> None:
    """Opening one shows one; loading the page again shows none; each read is one entry."""
    ada, case = console.taken("ada", "marco")
    [first, *_] = exhibits(console, case)
    opened = ada.submit(f"/cases/{case}/open", {"what": first})
    assert opened.status_code == 200
    assert opened.text.count(CANARY) == 1
    assert CANARY not in ada.get(f"/cases/{case}").text
    assert [row.object for row in entries(console, "evidence.read")] == [first]
    everything = ada.submit(f"/cases/{case}/open", {"what": "all"})
    assert everything.text.count(CANARY) == 6
    assert len(entries(console, "evidence.read")) == 7
    [(report,)] = console.world.raw(f"select report from reports where \"case\" = '{case}'")  # noqa: S608  our own id
    note = ada.submit(f"/cases/{case}/open", {"what": report}, Accept="application/json")
    assert CANARY in note.json()["things"][report]["text"]
    assert note.json()["views"] == 8
    assert len(entries(console, "note.read")) == 1


def test_who_does_not_hold_the_case_opens_nothing(console: Console) -> None:
    """A colleague gets a sentence, and the attempt is entered."""
    _, case = console.taken("ada", "marco")
    ben = console.as_("ben")
    answer = ben.submit(f"/cases/{case}/open", {"what": "all"})
    assert answer.status_code == 409
    assert CANARY not in answer.text
    assert [row.outcome for row in entries(console, "evidence.read")] == ["refused"]
    assert "is working on this case" in ben.get(f"/cases/{case}").text


def test_a_case_of_a_closed_queue_and_no_case_at_all_look_the_same(console: Console) -> None:
    """Byte for byte, for whoever lacks the role."""
    ada, grave = console.as_("ada"), console.case_about("pavel", "child-safety")
    nothing = console.world.hub.new_id()
    for path in ("", "/claim", "/open", "/escalate", "/release"):
        answers = []
        for case in (grave, nothing):
            fields = {"what": "all"} if path == "/open" else {}
            answer = ada.get(f"/cases/{case}") if not path else ada.submit(f"/cases/{case}{path}", fields)
            answers.append((answer.status_code, answer.text))
        if path == "/claim":  # says that the role is missing, which the person knows
            continue
        assert answers[0] == answers[1], path


def test_a_decision_takes_effect_and_leads_to_the_next_case(console: Console) -> None:
    """Verdicts and decision in one form; the measure holds; the case is gone from the queue and in one's list."""
    ada, case = console.taken("ada", "marco")
    verdicts = {f"verdict-{exhibit}": "breaks-standards" for exhibit in exhibits(console, case)}
    answer = ada.submit(f"/cases/{case}/decide", DECISION | verdicts)
    assert (answer.status_code, answer.headers["location"]) == (303, "/next")
    assert not console.world.ask(enforcement.standing, console.people["marco"]).can_send
    assert ada.get("/next").headers["location"].startswith("/cases/")
    listed = ada.get("/decisions").text
    assert "fraud-deception" in listed
    assert case[:8] in listed
    assert len(entries(console, "verdict.given")) == 3
    assert ada.get(f"/cases/{case}").status_code == 404


def test_a_refused_decision_keeps_what_was_typed(console: Console) -> None:
    """409 with the sentence, the reason field and choices as they were, and the verdicts kept."""
    ada, case = console.taken("ada", "marco")
    [exhibit, *_] = exhibits(console, case)
    fields = DECISION | {"reason": "too short & <b>", f"verdict-{exhibit}": "unclear"}
    answer = ada.submit(f"/cases/{case}/decide", fields)
    assert answer.status_code == 409
    assert "Mark a verified message" in answer.text
    assert "too short &amp; &lt;b&gt;</textarea>" in answer.text
    assert 'value="suspend" required data-key="4" checked' in answer.text
    [row] = [row for row in console.world.exhibits(case) if row.exhibit == exhibit]
    assert row.verdict == "unclear"


@pytest.mark.parametrize(
    "changes",
    [
        {"policy": "nonsense"},
        {"severity": "huge"},
        {"action": "ban"},
        {"days": "many"},
        {"days": "9" * 5000},
        {"extra": "1"},
        {"verdict-x": "guilty"},
        {"policy": ""},
    ],
)
def test_a_form_that_makes_no_sense_is_400(console: Console, changes: dict[str, str]) -> None:
    """With a sentence, and nothing decided."""
    ada, case = console.taken("ada", "marco")
    answer = ada.submit(f"/cases/{case}/decide", DECISION | changes)
    assert answer.status_code == 400
    assert console.case_about("marco") == case


def test_child_safety_is_decided_there_and_leads_on_to_the_draft(console: Console) -> None:
    """The standard is not offered elsewhere; a decision under it goes on where app says."""
    ada, case = console.taken("ada", "marco")
    assert "Sexual abuse of children" not in ada.get(f"/cases/{case}").text
    cleo, grave = console.taken("cleo", "pavel", "child-safety")
    page = cleo.get(f"/cases/{grave}").text
    assert "Sexual abuse of children" in page
    assert "Age band" in page
    verdicts = {f"verdict-{exhibit}": "breaks-standards" for exhibit in exhibits(console, grave)}
    fields = {"policy": "child-safety", "severity": "imminent", "action": "suspend", "days": "", "reason": ""}
    answer = cleo.submit(f"/cases/{grave}/decide", fields | verdicts)
    assert answer.headers["location"] == f"/tips/new?case={grave}"
    [measure] = console.world.ask(enforcement.measures_of, console.people["pavel"])
    assert (measure.what, measure.until_ms) == ("suspended", None)


def test_a_general_case_can_be_handed_to_child_safety(console: Console) -> None:
    """One button; it leaves the reviewer's view."""
    ada, case = console.taken("ada", "marco")
    assert ada.submit(f"/cases/{case}/escalate").headers["location"] == "/"
    assert ada.get(f"/cases/{case}").status_code == 404
    assert case[:8] in console.as_("cleo").get("/").text


def test_an_appeal_hides_the_first_reviewer_and_gives_everything_back(console: Console) -> None:
    """A colleague sees measure, words on click, and evidence; the first reviewer sees no appeal at all."""
    quinn = console.world.account("quinn")
    add_appeal(console.world, quinn, "ada")
    [row] = [row for row in console.world.open_cases() if row.queue == "appeals"]
    ada, ben = console.as_("ada"), console.as_("ben")
    assert row.case[:8] not in ada.get("/").text
    assert ada.get(f"/cases/{row.case}").status_code == 404
    ben.submit(f"/cases/{row.case}/claim")
    page = ben.get(f"/cases/{row.case}").text
    assert "suspended" in page
    [(origin,)] = console.world.raw(f"select origin from cases where \"case\" = '{row.case}'")  # noqa: S608  our own id
    [(first,)] = console.world.raw(f"select decided_by from cases where \"case\" = '{origin}'")  # noqa: S608  our own id
    assert first not in page
    assert ben.submit(f"/cases/{row.case}/open", {"what": "all"}).text.count(CANARY) == 1
    answer = ben.submit(f"/cases/{row.case}/appeal", {"outcome": "overturned", "reason": "It was a quote."})
    assert answer.headers["location"] == "/next"
    assert console.world.ask(enforcement.standing, quinn).can_send
    assert "overturned" in ada.get("/decisions").text


def test_names_and_texts_are_shown_as_text(console: Console) -> None:
    """Markup in a name, a note and a message stays what somebody typed."""
    world, markup = console.world, '"><script>alert(1)</script><img src=x onerror=alert(2)>'
    them, me = world.account("x" + markup), console.people["olga"]
    chat = world.hub.chat(me, them)
    world.hub.say(chat, them, markup)
    world.report(chat, me, them, note=markup)
    [case] = [row.case for row in world.open_cases() if row.account == them]
    ada = console.as_("ada")
    ada.submit(f"/cases/{case}/claim")
    page = ada.submit(f"/cases/{case}/open", {"what": "all"}).text
    assert Inline(page).bad == []
    assert page.lower().count("&lt;script&gt;") == 3
    assert "<script>alert" not in page.lower()


def test_no_page_holds_inline_code_and_every_page_names_its_language(console: Console) -> None:
    """The strict policy costs nothing; control: the parser does see inline code."""
    assert len(Inline('<p onclick="x"><style></style><script>1</script><a href="//x">').bad) == 4
    cleo, case = console.taken("cleo", "pavel", "child-safety")
    boss = console.as_("boss")
    pages = [cleo.get(path) for path in ("/", "/decisions", "/shift", f"/cases/{case}", "/nothing")]
    for page in [*pages, boss.get("/staff"), console.visitor().get("/sign-in")]:
        seen = Inline(page.text)
        assert seen.bad == []
        assert (seen.root["lang"], seen.root["dir"]) == ("en", "ltr")


def test_pages_are_for_their_roles(console: Console) -> None:
    """An admin has no queue, a reviewer no staff page; each gets a sentence."""
    boss, ada = console.as_("boss"), console.as_("ada")
    assert boss.get("/").headers["location"] == "/staff"
    for person, path in ((ada, "/staff"), (boss, "/decisions"), (boss, "/shift")):
        answer = person.get(path)
        assert answer.status_code == 403
        assert "This page is for the role" in answer.text


def test_roles_are_changed_by_an_admin_but_never_ones_own(console: Console) -> None:
    """The colleague is signed out; one's own form does nothing, even when sent by hand."""
    boss, ada = console.as_("boss"), console.as_("ada")
    ids = {row.roles: row.staff for row in console.world.ask(lambda reader: reader.all(store.ALL_STAFF))}
    own = ids['["admin"]']
    [(adas,)] = console.world.raw("select staff from staff_logins where login = 'ada'")
    token = boss.csrf("/staff")
    assert boss.post(f"/staff/{own}/roles", {"csrf": token, "role-reviewer": "yes"}).status_code == 409
    assert boss.post(f"/staff/{adas}/roles", {"csrf": token, "role-child-safety": "yes"}).status_code == 303
    assert ada.get("/").headers["location"] == "/sign-in"
    assert boss.post(f"/staff/{adas}/roles", {"csrf": token}).status_code == 409


def test_the_shift_page_warns_at_four_fifths(console: Console) -> None:
    """In a calm sentence."""
    ada, case = console.taken("ada", "marco")
    assert "Opened in this shift: 0 of 120" in ada.get("/shift").text
    for _ in range(16):
        ada.submit(f"/cases/{case}/open", {"what": "all"})
    assert "This is a good moment for a break" in ada.get("/shift").text
    assert "which is enough" not in ada.get("/shift").text


def test_a_case_whose_key_does_not_open_takes_no_words_but_a_decision(console: Console) -> None:
    """A sentence instead of a fault; without words of one's own the case is decided."""
    ada, case = console.taken("ada", "marco")
    console.world.raw("update case_keys set wrapped = zeroblob(60)")
    verdicts = {f"verdict-{exhibit}": "breaks-standards" for exhibit in exhibits(console, case)}
    refused = ada.submit(f"/cases/{case}/decide", DECISION | verdicts | {"reason": "my words"})
    assert refused.status_code == 409
    assert "does not open" in refused.text
    assert ada.submit(f"/cases/{case}/decide", DECISION | verdicts).status_code in (302, 303)
